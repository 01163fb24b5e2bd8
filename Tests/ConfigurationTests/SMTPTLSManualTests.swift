import Glibc
import Testing

@testable import Configuration

@Suite("smtp-tls.conf(5) and the sample agree with the source")
struct SMTPTLSManualTests {
    func file(_ name: String) throws -> String {
        let root = #filePath.split(separator: "/").dropLast(3).map { "/" + $0 }.joined()
        let handle = try #require(fopen("\(root)/\(name)", "r"), "\(name)")
        defer { fclose(handle) }
        var octets = [UInt8](repeating: 0, count: 1 << 20)
        let count = fread(&octets, 1, octets.count, handle)
        return String(decoding: octets[..<count], as: UTF8.self)
    }

    @Test("the page has every keyword, level, option and name of match=")
    func page() throws {
        let items = try file("docs/man/smtp-tls.conf.5").split(separator: "\n").filter { $0.hasPrefix(".It Cm ") }
        let words = Set(items.compactMap { $0.dropFirst(7).split(separator: " ").first.map(String.init) })
        var expected = SMTPTLSConfiguration.Keyword.allCases.map(\.rawValue)
        expected += SMTPTLSConfiguration.Option.allCases.map(\.rawValue)
        expected += TLSPolicy.Level.allCases.map(\.rawValue)
        expected += [TLSPolicy.Name.nextHop, .belowNextHop, .hostName].map(\.description)
        for word in expected { #expect(words.contains(word), "\(word)") }
        #expect(words == Set(expected))
    }

    @Test("the sample is what holds without a file, and its comments are valid lines")
    func sample() throws {
        let text = try file("proto/smtp-tls.conf")
        #expect(try SMTPTLSConfiguration.parse(text, file: "smtp-tls.conf") == SMTPTLSConfiguration())
        let lines = text.split(separator: "\n").map { line in
            line.hasPrefix("#tls-") || line.hasPrefix("#d") ? line.dropFirst() : line
        }
        let configuration = try SMTPTLSConfiguration.parse(lines.joined(separator: "\n"), file: "smtp-tls.conf")
        #expect(Set(configuration.destinations.map(\.policy.level)) == Set([.none, .verify, .encrypt, .fingerprint]))
        #expect(configuration.demandsTLS)
    }
}
