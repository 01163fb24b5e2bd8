import MailModel
import Testing

@testable import SMTPProtocol

@Suite("Server session: messages")
struct ServerMessageTests {
    static let envelope = "EHLO c\nMAIL FROM:<a@b.example>\nRCPT TO:<b@b.example>\n"

    /// Replies behind those to the envelope.
    static func tail(
        _ input: String, _ prepare: (inout ServerHost) -> Void = { _ in },
        _ change: (inout ServerConfiguration.Values) -> Void = { _ in }
    ) -> (host: ServerHost, replies: String) {
        let (host, replies) = ServerHost.run(envelope + input, prepare, change)
        let mark = "rcpt=<b@b.example>\n"
        return (host, replies.firstRange(of: mark).map { String(replies[$0.upperBound...]) } ?? replies)
    }

    @Test("chunks make up a message")
    func chunks() {
        let (host, replies) = Self.tail("BDAT 4\nab\nBDAT 0\nBDAT 5 LAST\ncde\nNOOP\n")
        #expect(
            replies == """
                250 2.0.0 Received 4 bytes
                250 2.0.0 Received 0 bytes
                250 2.0.0 S1 Roger, got 5 bytes in the last chunk, stored 9 bytes into spool
                250 2.0.0 Ok

                """)
        #expect(text(host.stored[0].content) == "ab\r\ncde\r\n")
        #expect(host.stored[0].summary.endsWithLineEnd)
    }

    @Test("a chunk may end anywhere, a dot in it is content")
    func chunkContent() {
        let (host, _) = Self.tail("BDAT 9\n.\n.\na\nBDAT 0 LAST\nBDAT 1\n.QUIT\n")
        #expect(text(host.stored[0].content) == ".\r\n.\r\na\r\n")
        #expect(host.stored[0].summary.dotLines == 2)
        #expect(host.isClosed)
        let (open, _) = Self.tail("BDAT 1 LAST\nxNOOP\n")
        #expect(!open.stored[0].summary.endsWithLineEnd)
        #expect(Self.tail("BDAT 0 LAST\n").host.stored[0].content.isEmpty)
    }

    @Test(
        "the octets of a refused chunk are never commands",
        arguments: [
            ("BDAT 6\na\u{0}QUITBDAT 6 LAST\nQUIT\nNOOP\n", "554 5.6.0", "452 4.3.0", 1),
            ("BDAT 5\nQUI\u{b}\rBDAT 6 LAST\nQUIT\nNOOP\n", nil, "554 5.6.11", 1),
            ("BDAT 6 FOO\nQUIT\nNOOP\n", nil, "501 5.5.2", 0),
            ("BDAT 6\n123456BDAT 6 FOO\nQUIT\nNOOP\n", "250 2.0.0", "501 5.5.2", 1),
        ] as [(String, String?, String, Int)])
    func refusedChunks(input: String, first: String?, second: String, discarded: Int) {
        let (host, replies) = Self.tail(input)
        let lines = replies.split(separator: "\n").map(String.init)
        #expect(!host.isClosed, "\(replies)")
        #expect(lines.last == "250 2.0.0 Ok")
        #expect(lines[lines.count - 2].hasPrefix(second), "\(replies)")
        if let first { #expect(lines.first?.hasPrefix(first) == true) }
        #expect(host.stored.isEmpty)
        #expect(host.discarded == discarded)
    }

    @Test("a chunk without a transaction is read and refused")
    func chunkOutOfOrder() {
        let (host, replies) = ServerHost.run("BDAT 6 LAST\nQUIT\nEHLO c\nBDAT 6\nQUIT\nNOOP\n")
        #expect(!host.isClosed)
        #expect(replies.contains("503 5.5.1 Hello [192.0.2.9], Waiting for HELO/EHLO command\n250-mx"))
        #expect(replies.hasSuffix("503 5.5.2 Bad sequence of commands, no transaction is open\n250 2.0.0 Ok\n"))
    }

    @Test("after a chunk whose size nobody knows nothing is read any more")
    func unreadableChunk() {
        let (host, replies) = Self.tail("BDAT 99999999999999999999 LAST\nNOOP\n")
        #expect(host.isClosed)
        #expect(replies == "501 5.5.2 Bad chunk size, closing\n")
    }

    @Test("DATA and BDAT do not mix")
    func mixing() {
        let (host, replies) = Self.tail("BDAT 3\na\nDATA\nBDAT 3 LAST\nb\nRSET\nDATA\n")
        #expect(
            replies == """
                250 2.0.0 Received 3 bytes
                503 5.5.1 DATA may not follow BDAT in one transaction
                452 4.3.0 BDAT block discarded due to earlier error
                250 2.0.0 Reset processed, now waiting for MAIL command
                503 5.5.2 Bad sequence of commands, no transaction is open

                """)
        #expect(host.discarded == 1)
    }

    @Test("RSET and EHLO between chunks drop the message", arguments: ["RSET", "EHLO d"])
    func resetBetweenChunks(command: String) {
        let (host, _) = Self.tail("BDAT 3\na\n\(command)\nMAIL FROM:<x@b.example>\nRCPT TO:<y@b.example>\nDATA\nx\n.\n")
        #expect(host.discarded == 1)
        #expect(host.stored.map { text($0.content) } == ["x\r\n"])
    }

    @Test("all recipients refused and the message pipelined: everything stays in step")
    func nobodyWantsIt() {
        let bdat = ServerHost.run(
            "EHLO c\nMAIL FROM:<a@b.example>\nRCPT TO:<nobody@b.example>\nBDAT 6 LAST\nQUIT\nNOOP\n")
        #expect(bdat.replies.contains("\n550 5.1.3 No valid recipients"))
        #expect(bdat.replies.hasSuffix("250 2.0.0 Ok\n"))
    }

    @Test("smuggling is refused as a whole", arguments: DataDecoderTests.smuggling.map(\.0))
    func smuggling(sequence: String) {
        let injected = sequence + "MAIL FROM:<evil@example.org>\r\nRCPT TO:<v@example.net>\r\nDATA\r\nspam"
        var host = ServerHost()
        host.greet()
        host.receive(octets(Self.envelope.replacing("\n", with: "\r\n") + "DATA\r\n"))
        host.output = []
        host.receive(octets("Subject: x\r\n" + injected + "\r\n.\r\nNOOP\r\n"))
        let lines = host.replies().split(separator: "\n")
        #expect(lines.count == 2)
        #expect(lines[0].hasPrefix("554 5.6."))
        #expect(lines[1] == "250 2.0.0 Ok")
        #expect(host.stored.isEmpty)
        #expect(host.discarded == 1)
        #expect(host.questions.count == 3)
    }

    @Test("bare line ends are converted where the parameter says so")
    func converting() {
        let (host, _) = Self.tail("DATA\n") { host in host.session = ServerHost({ $0.bareLineEnds = .convert }).session
        }
        var session = host
        session.receive(octets("a\nb\rc\r\n.\r\n"))
        #expect(session.stored.map { text($0.content) } == ["a\r\nb\r\nc\r\n"])
    }

    @Test("the host may refuse a message at its beginning, in its middle and at its end")
    func hostRefuses() {
        let full = Reply(452, EnhancedStatusCode(4, 3, 0), "No space")
        let atStart = Self.tail("DATA\nNOOP\n", { $0.begin = { _ in .reply(full) } })
        #expect(atStart.replies == "452 4.3.0 No space\n250 2.0.0 Ok\n")
        let chunkAtStart = Self.tail("BDAT 6 LAST\nQUIT\nNOOP\n", { $0.begin = { _ in .reply(full) } })
        #expect(chunkAtStart.replies == "452 4.3.0 No space\n250 2.0.0 Ok\n")
        let inside = Self.tail("DATA\nQUIT\n..\nQUIT\n.\nNOOP\n", { $0.failsContentWith = full })
        #expect(inside.replies.hasSuffix("\n452 4.3.0 No space\n250 2.0.0 Ok\n"))
        let chunkInside = Self.tail("BDAT 6\nQUIT\nBDAT 6 LAST\nQUIT\nNOOP\n", { $0.failsContentWith = full })
        #expect(
            chunkInside.replies
                == "452 4.3.0 No space\n452 4.3.0 BDAT block discarded due to earlier error\n250 2.0.0 Ok\n")
        let atEnd = Self.tail("DATA\nx\n.\nNOOP\n", { $0.store = { _ in [full] } })
        #expect(atEnd.replies.hasSuffix("\n452 4.3.0 No space\n250 2.0.0 Ok\n"))
        #expect(atEnd.host.stored.isEmpty)
    }

    @Test("LMTP answers for each accepted recipient")
    func lmtp() {
        func lmtp(_ values: inout ServerConfiguration.Values) { values.isLMTP = true }
        let envelope =
            "LHLO c\nMAIL FROM:<a@b.example>\nRCPT TO:<a@b.example>\nRCPT TO:<nobody@b.example>\nRCPT TO:<c@b.example>\n"
        let stored = ServerHost.run(envelope + "DATA\nx\n.\nNOOP\n", { _ in }, lmtp)
        #expect(
            stored.replies.hasSuffix("\n250 2.0.0 Message accepted; S1\n250 2.0.0 Message accepted; S1\n250 2.0.0 Ok\n")
        )
        let full = Reply(452, EnhancedStatusCode(4, 2, 2), "Mailbox full")
        let mixed = ServerHost.run(
            envelope + "BDAT 3 LAST\nx\nNOOP\n",
            { $0.store = { _ in [Reply(250, EnhancedStatusCode(2, 0, 0), "Ok"), full] } }, lmtp)
        #expect(mixed.replies.hasSuffix("250 2.0.0 Ok\n452 4.2.2 Mailbox full\n250 2.0.0 Ok\n"))
        let bad = ServerHost.run(envelope + "DATA\na\u{0}\n.\n", { _ in }, lmtp)
        #expect(bad.replies.split(separator: "\n").filter { $0.hasPrefix("554 5.6.0") }.count == 2)
        #expect(ServerHost.run("HELO c\nEHLO c\n", { _ in }, lmtp).replies.contains("Unknown command 'EHLO c'"))
    }

    @Test("the same replies and messages come out however the octets are split")
    func everySplit() {
        let input = octets(
            (Self.envelope + "RCPT TO:<nobody@b.example>\nDATA\nSubject: x\n\n..\n.\nMAIL FROM:<>\n"
                + "RCPT TO:<a@b.example>\nBDAT 8\n.\nabc\nBDAT 5 LAST\n\n.\nFOO\nVRFY x\nHELP DATA\nMAIL FROM:<a@b>\n"
                + "RCPT TO:<x@y>\nDATA\nQUIT\nx\u{0}\n.\nBDAT 6\nQUIT\nQUIT\n").replacing("\n", with: "\r\n"))
        let expected = ServerHost.run("", pieces: [input])
        #expect(expected.host.stored.count == 2)
        #expect(expected.host.isClosed)
        for pieces in splits(input) {
            let (host, replies) = ServerHost.run("", pieces: pieces)
            #expect(replies == expected.replies)
            #expect(host.stored == expected.host.stored)
        }
        let slow = ServerHost.run("", pieces: input.map { [$0] })
        #expect(slow.host.steps < input.count * 3)
    }
}
