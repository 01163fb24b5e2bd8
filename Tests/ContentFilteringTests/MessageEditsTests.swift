import ContentFiltering
import MailModel
import SpoolFormat
import Testing

@Suite("Changes that content filters ask for")
struct MessageEditsTests {
    private static let content = Array(
        "Received: by us\r\nX-Spam: no\r\nSubject: a\r\n b\r\nx-spam : twice\r\nTo: c\r\n\r\nX-Spam: body\r\n".utf8)

    private func edited(_ lines: [String], _ content: [UInt8] = content) throws -> String {
        var edits = MessageEdits()
        for line in lines { #expect(edits.add(try #require(try MessageEdit(line: Array(line.utf8)[...])))) }
        let end = try #require(MessageEdits.headerEnd(of: content[...], isWhole: true))
        return String(decoding: edits.header(of: content[...], end: end) + content[end...], as: UTF8.self)
    }

    @Test("fields come in on top and at the end, and go by name and number")
    func fields() throws {
        #expect(
            try edited(["+header A: 1", "-header X-SPAM/2", "+header B: x\ry", "+header-last C: 3"])
                == "A: 1\r\nB: x\r\n\ty\r\nReceived: by us\r\nX-Spam: no\r\nSubject: a\r\n b\r\nTo: c\r\nC: 3\r\n\r\nX-Spam: body\r\n"
        )
        #expect(
            try edited(["-header x-spam", "-header subject", "-header nothing", "-header To/2"])
                == "Received: by us\r\nTo: c\r\n\r\nX-Spam: body\r\n")
        #expect(try edited([]) == String(decoding: Self.content, as: UTF8.self))
    }

    @Test(
        "a header that ends without an empty line ends where its last field does",
        arguments: [
            ("Subject: a\r\nno field\r\n", "Subject: a\r\nA: 1\r\nno field\r\n"), ("body\r\n", "A: 1\r\nbody\r\n"),
            (" continues nothing\r\n", "A: 1\r\n continues nothing\r\n"), ("Subject: a\r\n", "Subject: a\r\nA: 1\r\n"),
            ("\r\nbody\r\n", "A: 1\r\n\r\nbody\r\n"), ("", "A: 1\r\n"),
        ])
    func odd(content: String, expected: String) throws {
        #expect(try edited(["+header-last A: 1"], Array(content.utf8)) == expected)
    }

    @Test("a header whose end is not there yet has none")
    func incomplete() {
        #expect(MessageEdits.headerEnd(of: Array("A: b\r\nC: d\r\n".utf8)[...], isWhole: false) == nil)
        #expect(MessageEdits.headerEnd(of: Array("A: b\r\n\r\n".utf8)[...], isWhole: false) == 6)
    }

    @Test(
        "what begins like a change and is none is refused with the reason",
        arguments: [
            ("+header no colon", "'Name: value' is needed"), ("+header : x", "'' is no name of a header field"),
            ("+header .a: x", "'.a' is no name of a header field"),
            ("+header a b: x", "'a b' is no name of a header field"),
            ("-header X/0", "behind '/' the field's number is needed, from 1"),
            ("-header X/y", "behind '/' the field's number is needed, from 1"),
            ("rewrite-to a@b.test", "'a@b.test' is no <address>"),
            ("rewrite-to <a b@c.test>", "'<a b@c.test>' is no <address>"),
            ("tag a b", "a tag has 1 to 64 of A-Z a-z 0-9 . _ = + -"),
            ("tag ", "a tag has 1 to 64 of A-Z a-z 0-9 . _ = + -"),
            ("+header X: " + String(repeating: "x", count: 1000), "a line of X is longer than 998 octets; CR folds it"),
        ])
    func problems(line: String, problem: String) throws {
        let error = #expect(throws: MessageEdit.Problem.self) { try MessageEdit(line: Array(line.utf8)[...]) }
        #expect(error?.description == problem)
    }

    @Test("other lines are no changes", arguments: ["", "0", "-1 550", "+1", "header A: b", "rewrite", "tagged x"])
    func others(line: String) throws { #expect(try MessageEdit(line: Array(line.utf8)[...]) == nil) }

    @Test("a value cannot end the header or smuggle a line in")
    func hostile() throws {
        #expect(
            try edited(["+header A: x\r\r \r\ty\r\u{0}Bcc: z"], Array("\r\n".utf8)) == "A: x\r\n\ty\r\n\tBcc: z\r\n\r\n"
        )
    }

    @Test("tags and recipients go to the envelope")
    func envelope() throws {
        var envelope = MessageEnvelope()
        envelope.recipients = ["a@b.test", "c@d.test"].map { EnvelopeRecipient(address: $0, notify: .never) }
        var edits = MessageEdits()
        for line in ["tag score=3", "rewrite-to <c@d.test>", "rewrite-to <e@f.test>"] {
            #expect(edits.add(try #require(try MessageEdit(line: Array(line.utf8)[...]))))
        }
        edits.apply(to: &envelope)
        #expect(envelope.comments == ["filter tag score=3"])
        #expect(envelope.recipients.map(\.address) == ["c@d.test", "e@f.test"])
        #expect(envelope.recipients.map(\.notify) == [.never, .standard], "who stays keeps what he asked for")
        #expect(edits.summary == "to=c@d.test,to=e@f.test,score=3")
    }
}
