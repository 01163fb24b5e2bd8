import Foundation
import Testing

/// The format of the rows, and that a row fails where it should: against a server that answers what the test says.
@Suite("The rows of the conformance suite")
struct ConformanceFormatTests {
    static let sections = ConformanceParser.sections("# comment\n5321 4.1.1.1 4.2.4 C\n3030 2\n")

    private func read(_ text: String) -> ConformanceParser {
        var parser = ConformanceParser(sections: Self.sections)
        parser.read(text, file: "t.smtp")
        return parser
    }

    @Test("a row has a name, references, a server and steps")
    func row() throws {
        let parser = read(
            "# comment\nneeds plain\n\n== first\nRFC 5321 §4.1.1.1; RFC 5321 Appendix C\nsplit every\nehlo\n"
                + "C+ NOOP {n}\nrepeat 2\nC: NOOP {n}\nS: 250\nend\n== second\nneeds lmtp\nRFC 3030 §2\nspeaks first\n"
                + "deviates so it is\nclose\n")
        #expect(parser.mistakes.isEmpty)
        try #require(parser.rows.count == 2)
        let first = parser.rows[0]
        #expect(first.name == "first")
        #expect(first.place == "t.smtp:4")
        #expect(first.references.map(\.description) == ["RFC 5321 §4.1.1.1", "RFC 5321 Appendix C"])
        #expect(first.server == .plain)
        #expect(first.isSplit && !first.speaksFirst && first.deviation == nil)
        #expect(first.steps.count == 7)
        let sent = first.steps.compactMap { step -> String? in
            if case .send(let template) = step.action {
                String(decoding: template.octets(id: "x"), as: UTF8.self)
            } else {
                nil
            }
        }
        #expect(sent == ["EHLO client.test\r\n", "NOOP {n}\r\n", "NOOP 1\r\n", "NOOP 2\r\n"])
        #expect(parser.rows[1].server == .lmtp)
        #expect(parser.rows[1].speaksFirst)
        #expect(parser.rows[1].deviation == "so it is")
    }

    @Test(
        "a mistake is told with its line, and the row is not played",
        arguments: [
            ("RFC 5321 §4.9\nclose", "t.smtp:3: RFC 5321 has no section 4.9"),
            ("RFC 9999 §1\nclose", "t.smtp:3: RFC 9999 is not in Conformance/sections"),
            ("RFC 5321 4.2.4\nclose", "t.smtp:3: RFC 5321 4.2.4: a reference is"),
            ("close", "t.smtp:2: x: no reference"),
            ("RFC 3030 §2", "t.smtp:2: x: no steps"),
            ("RFC 3030 §2\nneeds nothing\nclose", "t.smtp:4: needs nothing: valid are plain, "),
            ("RFC 3030 §2\nC: NOOP", "t.smtp:2: x: the last C: is not answered"),
            ("RFC 3030 §2\nC: NOOP\nC: NOOP\nS: 250", "t.smtp:5: a reply is due here"),
            ("RFC 3030 §2\nS: hello", "t.smtp:4: hello: a reply begins with a code"),
            ("RFC 3030 §2\nS: 150", "t.smtp:4: 150: a reply begins with a code"),
            ("RFC 3030 §2\nfrob", "t.smtp:4: frob: no such step"),
            ("RFC 3030 §2\nraw {id", "t.smtp:4: { without }"),
            ("RFC 3030 §2\nraw {what}", "t.smtp:4: {what}: valid are"),
            ("RFC 3030 §2\nraw \\q", "t.smtp:4: \\q: valid are"),
            ("RFC 3030 §2\nraw \\x1", "t.smtp:4: \\x1: two hexadecimal digits"),
            ("RFC 3030 §2\nrepeat 3\nclose", "t.smtp:2: x: repeat without end"),
            ("RFC 3030 §2\nend", "t.smtp:4: end without repeat"),
            ("RFC 3030 §2\nclose\nRFC 3030 §2", "t.smtp:5: RFC stands above the steps"),
            ("RFC 3030 §2\nclose\nstored many", "t.smtp:5: stored is followed by"),
            ("RFC 3030 §2\nclose\n| text", "t.smtp:5: | stands below stored"),
            ("RFC 3030 §2\nstored none\nclose", "t.smtp:5: what is stored is said at the end"),
            ("RFC 3030 §2\nclose\n== x\nRFC 3030 §2\nclose", "t.smtp:5: x: another row has that name"),
        ])
    func mistake(text: String, expected: String) {
        let parser = read("needs plain\n== x\n" + text + "\n")
        #expect(parser.mistakes.count == 1)
        #expect(parser.mistakes.first?.hasPrefix(expected) == true, "\(parser.mistakes)")
        #expect(parser.rows.count == (expected.contains("another row") ? 1 : 0))
    }

    @Test(
        "places in the text are filled",
        arguments: [
            ("a\\r\\n\\0\\\\\\{\\xff", [97, 13, 10, 0, 92, 123, 255]), ("<{id}>", Array("<me>".utf8)),
            ("{ab*3}", Array("ababab".utf8)), ("{base64:\\0a\\0b}", Array("AGEAYg==".utf8)),
            ("{base64:{id}}", Array("e2lk}".utf8)),
        ] as [(String, [UInt8])])
    func template(text: String, octets: [UInt8]) throws {
        if text == "{base64:{id}}" {
            // Places do not nest: the first brace ends it.
            #expect(throws: ConformanceMistake.self) { try ConformanceTemplate(text) }
        } else {
            #expect(try ConformanceTemplate(text).octets(id: "me") == octets)
        }
    }

    @Test(
        "a pattern takes the replies that it describes",
        arguments: [
            ("250", "250 ok\r\n", true), ("250", "251 ok\r\n", false), ("250|251", "251 ok\r\n", true),
            ("5xx", "554 no\r\n", true), ("5xx", "454 no\r\n", false), ("250 2.1.0", "250 2.1.0 ok\r\n", true),
            ("250 2.1.0", "250 2.1.5 ok\r\n", false), ("250 2.1.x", "250 2.1.5 ok\r\n", true),
            ("250 2.1.0", "250 ok\r\n", false), ("250 2.1.0|2.0.0 ok", "250 2.0.0 ok\r\n", true),
            ("250 2.1.0 ok", "250 2.1.0 okay\r\n", false), ("250 2.1.0 ok*", "250 2.1.0 okay\r\n", true),
            ("250 *b*", "250 abc\r\n", true), ("250 SIZE*", "250-x\r\n250-SIZE 1\r\n250 HELP\r\n", true),
            ("250 2.1.0", "250-2.1.0 a\r\n250 2.1.5 b\r\n", false), ("250 <{id}>", "250 <me>\r\n", true),
        ])
    func pattern(pattern: String, reply: String, fits: Bool) throws {
        let lines = reply.split(separator: "\r\n").map { Array(($0 + "\r\n").utf8) }
        let parsed = ConformanceReply(lines, hasStatus: false, hostName: "sink.test")
        #expect(parsed.faults.isEmpty)
        #expect(try (ConformanceReplyPattern(pattern).fault(of: parsed, id: "me") == nil) == fits)
    }

    @Test(
        "what no reply may be is told without being asked for",
        arguments: [
            ("250 ok\n", "without CRLF"), ("250 \u{fc}\r\n", "octet 195"), ("250-a\r\n251 b\r\n", "in one reply"),
            ("2x0 ok\r\n", "no reply code"), ("190 ok\r\n", "no reply code"), ("250_ok\r\n", "behind the code"),
            ("250 4.1.0 ok\r\n", "the classes differ"), ("250 ok\r\n", "without an enhanced status code"),
            ("250 2.0.0 " + String(repeating: "x", count: 510) + "\r\n", "512 are allowed"),
        ])
    func faults(reply: String, fault: String) {
        let octets = Array(reply.utf8)
        var lines: [[UInt8]] = [[]]
        for octet in octets {
            lines[lines.count - 1].append(octet)
            if octet == 10 { lines.append([]) }
        }
        let parsed = ConformanceReply(lines.dropLast(), hasStatus: true, hostName: "sink.test")
        #expect(parsed.faults.contains { $0.contains(fault) }, "\(parsed.faults)")
    }

    /// What a row says, what the server answers, and the fault; nil: none.
    static let dialogues: [(name: String, steps: String, answers: [String: String], fault: String?)] = [
        ("as expected", "ehlo\nC: NOOP\nS: 250 2.0.0 ok", [:], nil),
        ("another code", "ehlo\nC: NOOP\nS: 251", [:], "line 6: expected 251"),
        ("a line is missing", "ehlo\nS- FROB", [:], "no line like \"FROB\""),
        ("a line is there", "ehlo\nS! PIPELINING", [:], "a line like \"PIPELINING\""),
        ("a reply too many", "ehlo\nC: NOOP\nS: 250", ["NOOP": "250 2.0.0 a\r\n250 2.0.0 b"], "out of step"),
        ("no status", "ehlo\nC: NOOP\nS: 250", ["NOOP": "250 ok"], "without an enhanced status code"),
        ("not greeted", "ehlo", ["": "554 no"], "not greeted"),
        ("the server stays", "ehlo\nC: NOOP\nS: 250\nclose", [:], "nothing"),
        ("the server closes", "ehlo\nC: NOOP\nS: 421\nclose", ["NOOP": "421 4.0.0 bye"], nil),
        ("the server closes too early", "ehlo\nC: NOOP\nS: 421\nC: NOOP\nS: 250", ["NOOP": "421 4.0.0 bye"], "closed"),
    ]

    @Test("a dialogue that is not as the row says is a fault", arguments: dialogues.indices)
    func dialogue(index: Int) throws {
        let dialogue = Self.dialogues[index]
        let sink = try Sink { dialogue.answers[$0] }
        defer { sink.stop() }
        let rows = read("needs plain\n== x\nRFC 3030 §2\n" + dialogue.steps + "\n").rows
        var player = try ConformancePlayer(
            #require(rows.first), .whole, id: "me", port: sink.port, patience: .seconds(1))
        let faults = player.play()
        if let fault = dialogue.fault {
            #expect(faults.count == 1)
            #expect(faults.first?.contains(fault == "nothing" ? "did not close" : fault) == true, "\(faults)")
        } else {
            #expect(faults.isEmpty, "\(faults)")
        }
    }

    @Test(
        "what was stored is looked for, and compared",
        arguments: [
            ("stored none", false), ("stored 1", true), ("stored\n| Subject: me\n| \n| text", true),
            ("stored\n| Subject: me\n| \n| other", false), ("stored\n|= Subject: me", false),
            ("mail *<me@client.test>*", true), ("mail *SIZE*", false), ("rcpt RCPT TO:<box@relay.test>", true),
            ("rcpt *NOTIFY*", false), ("head Subject: me", true), ("head Date: *", false), ("trace ", true),
            ("trace Received:*", false),
        ])
    func claims(text: String, holds: Bool) async throws {
        let sink = try Sink()
        defer { sink.stop() }
        let client = try Connection.greeted(port: sink.port)
        try client.transact(from: "me@client.test", to: ["box@relay.test"], message: "Subject: me\r\n\r\ntext\r\n")
        let row = try #require(read("needs plain\n== x\nRFC 3030 §2\nclose\n" + text + "\n").rows.first)
        let store = ConformanceStore(instance: "/nonexistent", sink: sink)
        let faults = try await store.faults(of: row.claims, id: "me")
        #expect(faults.isEmpty == holds, "\(faults)")
    }
}
