import Foundation
import Testing

/// The rows of `Conformance/*.smtp`, each a dialogue with a live smtpserver (Conformance/README.md).
@Suite("SMTP conformance", .conformanceServers)
struct ConformanceTests {
    /// All rows, read once.
    static let suite: (rows: [ConformanceRow], mistakes: [String]) = {
        let folder = URL(fileURLWithPath: #filePath).deletingLastPathComponent().path + "/Conformance"
        func text(_ name: String) -> String {
            String(decoding: FileManager.default.contents(atPath: "\(folder)/\(name)") ?? Data(), as: UTF8.self)
        }
        var parser = ConformanceParser(sections: ConformanceParser.sections(text("sections")))
        let names = (try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? []
        for name in names.sorted() where name.hasSuffix(".smtp") { parser.read(text(name), file: name) }
        return (parser.rows, parser.mistakes)
    }()

    @Test("the files are read without a mistake, and have at least 300 rows")
    func files() {
        #expect(Self.suite.mistakes.isEmpty, "\(Self.suite.mistakes.joined(separator: "\n"))")
        #expect(Self.suite.rows.count >= 300)
    }

    @Test("docs/conformance.md lists the rows that deviate, and no others")
    func documented() throws {
        let text = try String(contentsOfFile: "\(Programs.sources)/docs/conformance.md", encoding: .utf8)
        let listed = Set(text.split(separator: "\n").filter { $0.contains(".smtp |") }.map(String.init))
        let expected = Set(
            Self.suite.rows.compactMap { row in
                row.deviation.map { deviation in
                    let references = row.references.map(\.description).joined(separator: ", ")
                    return "| \(row.place.prefix { $0 != ":" }) | \(row.name) | \(references) | \(deviation) |"
                }
            })
        #expect(expected.subtracting(listed).isEmpty, "lacks \(expected.subtracting(listed).sorted())")
        #expect(listed.subtracting(expected).isEmpty, "has too much \(listed.subtracting(expected).sorted())")
    }

    /// A reminder: whoever adds a feature to smtpserver switches its rows on.
    @Test(
        "rows wait only for what smtpserver has not",
        arguments: ConformanceServer.awaited.sorted { $0.rawValue < $1.rawValue })
    func awaited(_ server: ConformanceServer) async throws {
        #expect(Self.suite.rows.contains { $0.server == server }, "no row needs \(server.rawValue)")
        var settings = Instance.Settings()
        server.configure(&settings, sinkPort: 25)
        let instance = try await Instance(settings)
        defer { instance.destroy() }
        let check = try await instance.run(
            "\(Programs.libexec)/smtpserver", ["--check", "-Z", instance.configuration])
        guard check.status == .exited(0) else { return }
        let keyword = try #require(
            server.keyword,
            "smtpserver.conf can have what \(server.rawValue) needs: take it out of ConformanceServer.awaited")
        try await instance.start()
        let client = try Connection(port: instance.port)
        _ = try client.readReply()
        let hello = try client.command("EHLO client.test")
        #expect(
            !hello.texts.contains { $0.hasPrefix(keyword) },
            "\(keyword) is offered: take \(server.rawValue) out of ConformanceServer.awaited")
        try await instance.stop()
    }

    @Test("row", arguments: suite.rows.filter { !ConformanceServer.awaited.contains($0.server) })
    func row(_ row: ConformanceRow) async throws {
        let servers = try #require(ConformanceServers.current)
        let faults = try await servers.play(row)
        if let deviation = row.deviation {
            withKnownIssue("\(deviation)") {
                for fault in faults { Issue.record("\(fault)") }
            }
        } else {
            for fault in faults { Issue.record("\(fault)") }
        }
    }
}
