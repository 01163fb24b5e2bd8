import MailModel
import Testing

@testable import Submission

@Suite struct AbsenceReplyTests {
    private func reply(_ text: String, to original: String, recipient: String = "carl@else.test") throws -> String {
        let reply = AbsenceReply(
            text: Array(text.utf8), author: "Alice <alice@d.test>", recipient: try #require(Mailbox(recipient)),
            date: "DATE", messageID: "<ID>")
        let header = HeaderSection(Array((original + "\r\n\r\n").utf8))
        return String(decoding: reply.composed(answering: header), as: UTF8.self).replacing("\r\n", with: "\n")
    }

    @Test("the reply says what it is, and which message it answers")
    func whole() throws {
        let text = try reply(
            "Subject: Away: $SUBJECT\n\nDear $NAME,\nyour $SUBJECT, $FROM, costs $5.\n",
            to: "From: Carl C <carl@else.test>\r\nSubject: Lunch\r\nMessage-ID: <1@x>\r\nReferences: <0@x>\r\n\t<00@x>")
        #expect(
            text == """
                From: Alice <alice@d.test>
                Subject: Away: Lunch
                To: <carl@else.test>
                Date: DATE
                Message-ID: <ID>
                In-Reply-To: <1@x>
                References: <0@x>
                 <00@x>
                 <1@x>
                Auto-Submitted: auto-replied (vacation)
                X-Auto-Response-Suppress: All

                Dear Carl C,
                your Lunch, carl@else.test, costs $5.

                """)
    }

    @Test("without a subject of its own it has that of the message, and without fields it is all body")
    func plain() throws {
        let text = try reply("I am away\nuntil May.\n", to: "Subject: Lunch")
        #expect(text.contains("\nSubject: Auto: Lunch\n"))
        #expect(text.hasSuffix("\n\nI am away\nuntil May.\n"))
        #expect(!text.contains("In-Reply-To") && !text.contains("References"))
    }

    @Test(
        "a text whose beginning only looks like fields is all body",
        arguments: [
            "Note: I am away until May.\n\nAlice\n", "Subject: away\nI am away.\n", "Subject: away\n",
            "Subject: away\nPS: in May\n\nx\n", "Away: yes", "I am away\n\nSubject: x\n",
        ])
    func body(text: String) throws {
        let reply = try reply(text, to: "Subject: Lunch")
        #expect(reply.contains("\nSubject: Auto: Lunch\n") && reply.hasPrefix("From: Alice <alice@d.test>\n"))
        #expect(reply.hasSuffix("\n\n\(text)") || reply.hasSuffix("\n\n\(text)\n"), "\(reply)")
    }

    @Test(
        "an empty line ends a header, also one without fields",
        arguments: [
            ("\nNote: x\n", "Auto: Lunch", "Note: x\n"), ("Subject: a\n\nNote: x\n", "a", "Note: x\n"),
            ("X-Mine: b\nContent-Language: de\nPrecedence: bulk\nSubject: a\n\n", "a", ""),
        ])
    func header(text: String, subject: String, body: String) throws {
        let reply = try reply(text, to: "Subject: Lunch")
        #expect(reply.contains("\nSubject: \(subject)\n") && reply.hasSuffix("\n\n\(body)"), "\(reply)")
    }

    @Test(
        "what is not ASCII becomes encoded words in fields",
        arguments: [
            ("Subject: Grüße\n\nx\n", "Subject: Lunch", "Subject: =?UTF-8?B?R3LDvMOfZQ==?="),
            ("Subject: Re: $SUBJECT\n\nx\n", "Subject: Grüße", "Subject: Re: =?UTF-8?B?R3LDvMOfZQ==?="),
            ("x\n", "Subject: Grüße", "Subject: Auto: =?UTF-8?B?R3LDvMOfZQ==?="),
            ("From: Jörg <j@d.test>\n\nx\n", "Subject: a", "From: =?UTF-8?Q?J=C3=B6rg?= <j@d.test>"),
            (
                "Reply-To: \"Jörg\" <j@d.test>, Anna <a@d.test>\n\nx\n", "Subject: a",
                "Reply-To: =?UTF-8?Q?J=C3=B6rg?= <j@d.test>, Anna <a@d.test>"
            ),
        ])
    func eightBitFields(text: String, original: String, expected: String) throws {
        let reply = try reply(text, to: original)
        #expect(reply.contains("\(expected)\n"), "\(reply)")
        let head = reply.split(separator: "\n\n", maxSplits: 1).first ?? ""
        #expect(head.utf8.allSatisfy { $0 < 0x80 })
    }

    @Test("fields of another charset than UTF-8 keep their characters")
    func latinFields() throws {
        let reply = AbsenceReply(
            text: Array("Subject: Gr".utf8) + [0xfc] + Array("n\n\nx\n".utf8), author: "a@b",
            recipient: try #require(Mailbox("c@d.test")), date: "D", messageID: "<I>")
        let text = String(decoding: reply.composed(answering: HeaderSection([])), as: UTF8.self)
        #expect(text.contains("Subject: =?ISO-8859-1?Q?Gr=FCn?=\r\n"), "\(text)")
    }

    @Test("fields that would make it another thing are left out")
    func fields() throws {
        let text = try reply(
            "From: Me <me@d.test>\nTo: everybody@x\nBcc: b@x\nAuto-Submitted: no\nReply-To: r@d.test\nSubject: s\nSubject: t\n\nx\n",
            to: "Subject: Lunch")
        #expect(text.hasPrefix("From: Me <me@d.test>\nReply-To: r@d.test\nSubject: s\nTo: <carl@else.test>\n"))
        #expect(!text.contains("everybody") && !text.contains("Bcc") && !text.contains("Auto-Submitted: no"))
    }

    @Test("encoded words stay in fields, and are read in the body")
    func encoded() throws {
        let text = try reply(
            "Subject: $SUBJECT\n\n$SUBJECT $NAME\n", to: "Subject: =?utf-8?q?Gr=C3=BC?=\r\nFrom: =?utf-8?b?w7w=?= <c@d>"
        )
        #expect(text.contains("\nSubject: =?utf-8?q?Gr=C3=BC?=\n"))
        #expect(text.hasSuffix("\n\nGrü ü\n"))
        #expect(text.contains("\nContent-Type: text/plain; charset=UTF-8\n"))
    }

    @Test("with a content type of its own the text stays as it is")
    func contentType() throws {
        let text = try reply(
            "Subject: a\nContent-Type: text/plain; charset=ISO-8859-1\n\n$SUBJECT\n",
            to: "Subject: =?utf-8?q?Gr=C3=BC?=")
        #expect(text.hasSuffix("\n\n=?utf-8?q?Gr=C3=BC?=\n"))
        #expect(!text.contains("charset=UTF-8"))
    }

    @Test("octets of another charset than UTF-8 are kept")
    func latin() throws {
        let reply = AbsenceReply(
            text: Array("Gr".utf8) + [0xfc, 0x0a], author: "a@b", recipient: try #require(Mailbox("c@d.test")),
            date: "D", messageID: "<I>")
        let octets = reply.composed(answering: HeaderSection([]))
        #expect(octets.suffix(5) == [0x47, 0x72, 0xfc, 0x0d, 0x0a])
        #expect(String(decoding: octets, as: UTF8.self).contains("charset=ISO-8859-1"))
    }

    @Test(
        "a stranger's subject cannot become a field or a flood",
        arguments: [
            "Subject: a\r\n\u{1b}[2J\u{202e}b", "Subject: " + String(repeating: "word ", count: 10_000),
            "Subject: " + String(repeating: "x", count: 100_000),
            "Subject: =?" + String(repeating: "x", count: 5000) + "?=",
            "Subject: a\r\n b\r\n c", "Subject: $FROM $SUBJECT $NAME", "From: \"a\r\n\tBcc: x@y\" <c@d>\r\nSubject: s",
        ])
    func hostile(original: String) throws {
        let text = try reply("Subject: $SUBJECT by $NAME\n\n$SUBJECT $SUBJECT\n", to: original)
        #expect(text.utf8.count < 2000)
        #expect(text.unicodeScalars.allSatisfy { $0 == "\n" || ($0.value >= 0x20 && $0.value != 0x202e) })
        let head = text.prefix { _ in true }.split(separator: "\n\n", maxSplits: 1).first ?? ""
        #expect(!head.split(separator: "\n").contains { $0.hasPrefix("Bcc:") })
        #expect(text.split(separator: "\n").allSatisfy { $0.utf8.count <= 998 })
    }

    @Test(
        "identifiers are what they should be, or nothing",
        arguments: [
            ("<a@b>", ["<a@b>"]), ("<a@b> <c@d>", ["<a@b>", "<c@d>"]), ("a@b", []), ("<a b@c>", []), ("<>", []),
            ("<ab>", []), ("text <a@b> text", ["<a@b>"]), ("<a@b", []), ("<a@b\u{7f}>", []),
        ])
    func identifiers(text: String, expected: [String]) {
        #expect(AbsenceReply.identifiers(text) == expected)
    }
}
