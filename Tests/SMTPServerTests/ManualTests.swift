import ProgramKit
import Testing

@testable import Configuration
@testable import SMTPServer

@Suite struct ManualTests {
    func manual(_ name: String) throws -> String {
        let root = #filePath.split(separator: "/").dropLast(3).map { "/" + $0 }.joined()
        return String(decoding: try FileOctets.read("\(root)/docs/man/\(name)", limit: 1 << 20), as: UTF8.self)
    }

    @Test("smtpserver.conf(5) has every parameter that can be used")
    func parameters() throws {
        let text = try manual("smtpserver.conf.5")
        for (name, parameter) in SMTPServerConfiguration.parameters {
            if case .unavailable = parameter { continue }
            #expect(text.contains(" \(name)"), "\(name)")
        }
    }

    @Test("smtpserver(8) has every option")
    func options() throws {
        let text = try manual("smtpserver.8")
        let flagLines = text.split(separator: "\n").filter { $0.hasPrefix(".Fl ") || $0.hasPrefix(".It Fl ") }
        let words = Set(flagLines.flatMap { $0.split(separator: " ").map(String.init) })
        for spec in ServerOptions.specs {
            if let letter = spec.letter { #expect(words.contains(String(letter)), "-\(letter)") }
            if let name = spec.name { #expect(words.contains("-\(name)"), "--\(name)") }
        }
    }
}
