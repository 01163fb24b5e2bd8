import Testing

@testable import Submission

@Suite struct SubmittedHeaderTests {
    static func plan(takes: Bool = false, name: String = "") -> SubmittedHeader.Plan {
        var plan = SubmittedHeader.Plan(author: "me@d.test", date: "DATE", messageID: "<ID>")
        plan.domain = "d.test"
        plan.fullName = name
        plan.takesRecipients = takes
        return plan
    }

    static func header(_ text: String, takes: Bool = false, name: String = "") -> SubmittedHeader {
        let octets = Array(text.replacing("\n", with: "\r\n").utf8)
        return SubmittedHeader(octets, plan(takes: takes, name: name))
    }

    private func text(_ header: SubmittedHeader) -> String {
        String(decoding: header.octets, as: UTF8.self).replacing("\r\n", with: "\n")
    }

    @Test(
        "what is missing is added, and nothing else changes",
        arguments: [
            (
                "Subject: s\n\nbody\n", "Subject: s\nFrom: me@d.test\nDate: DATE\nMessage-ID: <ID>\n", "body\n"
            ),
            ("From: a@b\nDate: x\nMessage-Id: <y>\n\n", "From: a@b\nDate: x\nMessage-Id: <y>\n", ""),
            ("hello\nworld\n", "From: me@d.test\nDate: DATE\nMessage-ID: <ID>\n", "hello\nworld\n"),
            ("\nFrom: body\n", "From: me@d.test\nDate: DATE\nMessage-ID: <ID>\n", "From: body\n"),
            ("", "From: me@d.test\nDate: DATE\nMessage-ID: <ID>\n", ""),
            (
                "From me Fri Nov 27 04:00:00 2026\nFrom: a@b\nDate: x\nMessage-ID: <y>\n\nb\n",
                "From: a@b\nDate: x\nMessage-ID: <y>\n", "b\n"
            ),
            (
                "FROM: root (Cron Daemon)\nTo: root\nDate: x\nMessage-ID: <y>\n\n",
                "FROM: root@d.test (Cron Daemon)\nTo: root@d.test\nDate: x\nMessage-ID: <y>\n", ""
            ),
            (
                "From: a@b\nDate: x\nMessage-ID: <y>\nBcc: secret@c,\n\tother@c\nTo: d@e\n\n",
                "From: a@b\nDate: x\nMessage-ID: <y>\nTo: d@e\n", ""
            ),
        ])
    func completed(input: String, expected: String, body: String) {
        let header = Self.header(input)
        #expect(text(header) == expected)
        let octets = Array(input.replacing("\n", with: "\r\n").utf8)
        #expect(String(decoding: octets[header.bodyStart...], as: UTF8.self).replacing("\r\n", with: "\n") == body)
        #expect(header.recipients.isEmpty)
    }

    @Test("a message that is sent again gets Resent- fields of its own, in front")
    func resent() {
        let header = Self.header("Resent-To: x@y\nFrom: a@b\nTo: c@d\n\n", takes: true)
        #expect(
            text(header)
                == "Resent-From: me@d.test\nResent-Date: DATE\nResent-Message-ID: <ID>\n"
                + "Resent-To: x@y\nFrom: a@b\nTo: c@d\n")
        #expect(header.recipients == ["x@y"])
    }

    @Test(
        "-t takes To, Cc and Bcc, or those of Resent- alone",
        arguments: [
            ("To: a, b@c\nCc: D <d@e>\nBcc: f@g\n\n", ["a", "b@c", "d@e", "f@g"], [String]()),
            ("To: a b\nCc: c\n\n", ["c"], ["a b"]), ("Subject: x\n\nTo: body@x\n", [], []),
            ("To: a@b\nTo: c@d\n\n", ["a@b", "c@d"], []), ("Resent-From: r@s\nTo: a@b\n\n", ["a@b"], []),
            ("Resent-Bcc: z@z\nTo: a@b\n\n", ["z@z"], []), ("To: undisclosed:;\nBcc: a@b\n\n", ["a@b"], []),
        ])
    func recipients(input: String, expected: [String], malformed: [String]) {
        let header = Self.header(input, takes: true)
        #expect(header.recipients == expected)
        #expect(header.malformed == malformed)
        #expect(!text(header).lowercased().contains("bcc"))
    }

    @Test(
        "a line that is no field is told: a Bcc behind it is body",
        arguments: [
            ("To: a@b\nno field\nBcc: c@d\n\nx\n", 2, "no field"), ("To: a@b\n\nBcc: c@d\n", nil, ""),
            ("To: a@b\nBcc: c@d", nil, ""), ("To: a@b\nBcc: c@d\n", nil, ""), ("", nil, ""), ("\n", nil, ""),
            ("From me Fri Nov 27\nTo: a@b\n c\nhéllo: x\nBcc: c@d\n\n", 4, "héllo: x"), ("body\n", 1, "body"),
            (" To: a@b\n\n", 1, " To: a@b"),
        ])
    func stray(input: String, number: Int?, line: String) {
        let stray = Self.header(input, takes: true).strayLine
        #expect(stray == number.map { SubmittedHeader.StrayLine(number: $0, text: line) })
    }

    @Test(
        "an address that is not ASCII needs SMTPUTF8, a name does not",
        arguments: [
            ("To: grüße@b.test\n\n", true), ("To: \"Grüße\" <a@b.test>\n\n", false), ("Subject: ü\n\n", false),
            ("From: a@exämple.test\n\n", true),
        ])
    func international(input: String, expected: Bool) {
        #expect(Self.header(input).needsSMTPUTF8 == expected)
    }

    @Test(
        "a name is quoted or encoded where it must be, and cannot end its field",
        arguments: [
            ("Anna Smith", "Anna Smith"), ("Smith, Anna", "\"Smith, Anna\""), ("O'Hara", "O'Hara"),
            ("a\"b\\c", "\"a\\\"b\\\\c\""), ("x\r\nBcc: y@z", "\"xBcc: y@z\""),
            ("Anna Überall", "=?UTF-8?B?QW5uYSDDnGJlcmFsbA==?="), ("a <b@c>", "\"a <b@c>\""),
        ])
    func names(name: String, expected: String) {
        #expect(DisplayName.encoded(name) == expected)
        #expect(text(Self.header("To: a@b\n\n", name: name)).contains("From: \(expected) <me@d.test>\n"))
    }

    @Test("a long name becomes encoded words of at most 75 characters, cut at the limit")
    func longName() {
        let encoded = DisplayName.encoded(String(repeating: "ü", count: 500))
        #expect(encoded.split(separator: " ").allSatisfy { $0.utf8.count <= 75 })
        #expect(encoded.utf8.count < 400)
        #expect(DisplayName.encoded(String(repeating: "a", count: 500)).utf8.count == DisplayName.maximumLength)
    }
}
