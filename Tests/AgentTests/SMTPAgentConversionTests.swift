import AgentProtocol
import MailModel
import SpoolFormat
import Testing

@testable import SMTPAgent

@Suite("8-bit content on its way to hosts of all kinds")
struct SMTPAgentConversionTests {
    static let eightBit =
        "Subject: Gr\u{fc}\u{df}e\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n"
        + "Content-Transfer-Encoding: 8bit\r\n\r\n.\u{e9}\r\n"
    static let quotedPrintable =
        "Subject: =?UTF-8?B?R3LDvMOfZQ==?=\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n"
        + "Content-Transfer-Encoding: quoted-printable\r\n\r\n.=C3=A9\r\n"
    static let signed =
        "MIME-Version: 1.0\r\nContent-Type: multipart/signed; boundary=b\r\n\r\n--b\r\n\r\n\u{e9}\r\n--b--\r\n"

    private static func harness(_ keywords: [String]) throws -> SMTPAgentHarness {
        var script = SMTPAgentPeer.Script()
        script.keywords = keywords
        return try SMTPAgentHarness(script)
    }

    @Test(
        "a host without 8BITMIME gets 7 bits, another one what was sent, octet for octet",
        arguments: [
            (["PIPELINING", "SIZE"], quotedPrintable), (["PIPELINING", "CHUNKING", "SIZE"], quotedPrintable),
            ([], quotedPrintable),
            (["8BITMIME", "SIZE"], eightBit), (["PIPELINING", "CHUNKING", "8BITMIME"], eightBit),
        ])
    func convert(keywords: [String], content: String) throws {
        let harness = try Self.harness(keywords)
        defer { harness.peer.stop() }
        let control = try harness.spool.add([harness.group(["u@b.test", "v@b.test"])], content: Self.eightBit) {
            $0.bodyType = "8BITMIME"
        }
        #expect(try harness.deliver([control]).map(\.result) == [.ok, .ok])
        let message = try #require(harness.peer.messages.first)
        #expect(message.content == content)
        #expect(message.mail.contains("BODY=8BITMIME") == keywords.contains("8BITMIME"))
        if keywords.contains("SIZE") { #expect(message.mail.contains(" SIZE=\(content.utf8.count)")) }
    }

    @Test(
        "--eight-bit return gives it back with 5.6.3, and send sends it",
        arguments: [ContentConversion.EightBit.return, .send])
    func choice(how: ContentConversion.EightBit) throws {
        var harness = try Self.harness(["SIZE"])
        defer { harness.peer.stop() }
        harness.options.conversion.eightBit = how
        let control = try harness.spool.add([harness.group(["u@b.test"])], content: Self.eightBit)
        let reports = try harness.deliver([control])
        #expect(SMTPAgentReplyTests.outcomes(reports) == [how == .send ? "ok 2.0.0" : "error 5.6.3"])
        #expect(harness.peer.messages.map(\.content) == (how == .send ? [Self.eightBit] : []))
    }

    @Test("what is signed is not converted, but returned")
    func sealed() throws {
        let harness = try Self.harness(["SIZE"])
        defer { harness.peer.stop() }
        let control = try harness.spool.add([harness.group(["u@b.test"])], content: Self.signed)
        let reports = try harness.deliver([control])
        #expect(SMTPAgentReplyTests.outcomes(reports) == ["error 5.6.3"])
        #expect(reports.first?.message.contains("signed") == true)
    }

    @Test("7-bit content is left alone, whatever was announced")
    func sevenBit() throws {
        let harness = try Self.harness(["SIZE"])
        defer { harness.peer.stop() }
        let content = "Content-Transfer-Encoding: 8bit\r\n\r\nx\r\n"
        let control = try harness.spool.add([harness.group(["u@b.test"])], content: content) {
            $0.bodyType = "8BITMIME"
        }
        #expect(try harness.deliver([control]).map(\.result) == [.ok])
        #expect(harness.peer.messages.map(\.content) == [content])
    }

    @Test("-7 converts for every host; -H leaves header fields; -8 decodes")
    func options() throws {
        var seven = try Self.harness(["8BITMIME"])
        defer { seven.peer.stop() }
        seven.options.conversion.forcesSevenBit = true
        let control = try seven.spool.add([seven.group(["u@b.test"])], content: Self.eightBit)
        #expect(try seven.deliver([control]).map(\.result) == [.ok])
        #expect(seven.peer.messages.map(\.content) == [Self.quotedPrintable])
        #expect(seven.peer.messages.first?.mail.contains("BODY") == false)
        var header = try Self.harness([])
        defer { header.peer.stop() }
        header.options.conversion.keepsHeaders = true
        let other = try header.spool.add([header.group(["u@b.test"])], content: Self.eightBit)
        #expect(try header.deliver([other]).map(\.result) == [.ok])
        #expect(header.peer.messages.first?.content.hasPrefix("Subject: Gr\u{fc}\u{df}e\r\n") == true)
        #expect(header.peer.messages.first?.content.hasSuffix("\r\n.=C3=A9\r\n") == true)
        var eight = try Self.harness(["8BITMIME"])
        defer { eight.peer.stop() }
        eight.options.conversion.isEightBitClean = true
        let coded = try eight.spool.add([eight.group(["u@b.test"])], content: Self.quotedPrintable)
        #expect(try eight.deliver([coded]).map(\.result) == [.ok])
        #expect(eight.peer.messages.first?.content.hasSuffix("Transfer-Encoding: 8bit\r\n\r\n.\u{e9}\r\n") == true)
        #expect(eight.peer.messages.first?.mail.contains("BODY=8BITMIME") == true)
    }

    @Test("a message of megabytes is converted as it goes")
    func large() throws {
        let harness = try Self.harness(["SIZE", "CHUNKING", "PIPELINING"])
        defer { harness.peer.stop() }
        let line = "\u{e9}" + String(repeating: "x", count: 60) + "\r\n"
        let head = "MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n"
        let content = head + "\r\n" + String(repeating: line, count: 20_000)
        let control = try harness.spool.add([harness.group(["u@b.test"])], content: content)
        #expect(try harness.deliver([control]).map(\.result) == [.ok])
        let expected =
            head + "Content-Transfer-Encoding: quoted-printable\r\n\r\n"
            + String(repeating: line.replacing("\u{e9}", with: "=C3=A9"), count: 20_000)
        #expect(harness.peer.messages.first?.content == expected)
        #expect(harness.peer.messages.first?.mail.contains("SIZE=\(expected.utf8.count)") == true)
    }

    @Test("8-bit octets of a header too long to be looked into are returned, and sent to hosts that take them")
    func longHeader() throws {
        let content = "Subject: \u{e9}\r\n" + String(repeating: "X: x\r\n", count: 100_000) + "\r\nBody\r\n"
        for (keywords, outcome) in [(["SIZE"], "error 5.6.3"), (["8BITMIME"], "ok 2.0.0")] {
            let harness = try Self.harness(keywords)
            defer { harness.peer.stop() }
            let control = try harness.spool.add([harness.group(["u@b.test"])], content: content)
            #expect(SMTPAgentReplyTests.outcomes(try harness.deliver([control])) == [outcome])
            #expect(harness.peer.messages.map(\.content) == (outcome == "ok 2.0.0" ? [content] : []))
        }
    }

    @Test("a header that the router replaced is converted, too")
    func replacedHeader() throws {
        let harness = try Self.harness([])
        defer { harness.peer.stop() }
        var group = harness.group(["u@b.test"])
        group.header = Array("Subject: \u{e9}\r\n".utf8)
        let control = try harness.spool.add([group], content: "Subject: x\r\n\r\nBody\r\n")
        #expect(try harness.deliver([control]).map(\.result) == [.ok])
        #expect(harness.peer.messages.map(\.content) == ["Subject: =?UTF-8?Q?=C3=A9?=\r\n\r\nBody\r\n"])
    }

    @Test(
        "SMTPUTF8: only what needs it is kept from hosts that do not offer it (5.6.7)",
        arguments: [
            ("Subject: x\r\n\r\nx\r\n", ["u@b.test"], "s@a.test", ["ok 2.0.0"]),
            ("Subject: x\r\n\r\n\u{e9}\r\n", ["u@b.test"], "s@a.test", ["ok 2.0.0"]),
            ("Subject: \u{e9}\r\n\r\nx\r\n", ["u@b.test", "v@b.test"], "s@a.test", ["error 5.6.7", "error 5.6.7"]),
            ("Subject: x\r\n\r\nx\r\n", ["\u{e9}@b.test", "v@b.test"], "s@a.test", ["error 5.6.7", "ok 2.0.0"]),
            ("Subject: x\r\n\r\nx\r\n", ["u@b.test"], "\u{e9}@a.test", ["error 5.6.7"]),
        ])
    func internationalized(content: String, recipients: [String], sender: String, expected: [String]) throws {
        for keywords in [["8BITMIME"], ["SIZE"]] {
            let harness = try Self.harness(keywords)
            defer { harness.peer.stop() }
            let control = try harness.spool.add([harness.group(recipients, from: sender)], content: content) {
                $0.isInternationalized = true
            }
            #expect(SMTPAgentReplyTests.outcomes(try harness.deliver([control])) == expected)
            #expect(!harness.peer.commands.contains { $0.contains("SMTPUTF8") })
            #expect(
                harness.peer.messages.allSatisfy { message in
                    message.content.utf8.allSatisfy { $0 < 0x80 } || keywords == ["8BITMIME"]
                })
        }
        let able = try Self.harness(["8BITMIME", "SMTPUTF8"])
        defer { able.peer.stop() }
        let control = try able.spool.add([able.group(recipients, from: sender)], content: content) {
            $0.isInternationalized = true
        }
        #expect(try able.deliver([control]).allSatisfy { $0.result == .ok })
        #expect(able.peer.messages.first?.content == content)
        #expect(able.peer.messages.first?.mail.hasSuffix(" SMTPUTF8") == true)
    }
}
