import MailModel
import Testing

@testable import SMTPProtocol

extension ServerSessionTests {
    @Test("disabled extensions are neither offered nor known")
    func disabled() {
        _ = Self.dialogue(
            """
            S: 220 mx.example ESMTP
            C: EHLO c
            S: 250-mx.example Hello c
            S: 250-SIZE 1000
            S: 250-X-RCPTLIMIT 200
            S: 250-LIMITS RCPTMAX=200
            S: 250 HELP
            C: MAIL FROM:<a@b.example> BODY=8BITMIME
            S: 250 Sender syntax Ok
            C: RCPT TO:<a@b.example> NOTIFY=NEVER
            S: 555-                      ^
            S: 555 Unknown RCPT TO:<> parameter: NOTIFY=NEVER
            C: BDAT 6
            C: QUIT
            S: 550 Unknown command 'BDAT 6'
            C: QUIT
            S: 221 mx.example Out
            """,
            configure: {
                $0.extensions = [.ehlo]
                $0.maximumMessageSize = 1000
                $0.maximumRecipients = 200
            })
        _ = Self.dialogue(
            """
            S: 220 mx.example ESMTP
            C: EHLO c
            S: 550 5.5.2 Unknown command 'EHLO c'
            """, configure: { $0.extensions.remove(.ehlo) })
    }

    @Test("the size that is announced is checked at MAIL, the real one at the end")
    func sizes() {
        let host = Self.dialogue(
            """
            S: 220 mx.example ESMTP
            C: HELO c
            S: 250 mx.example Hello c
            C: MAIL FROM:<a@b.example> SIZE=21
            S: 552 5.3.4 Message of 21 octets exceeds the maximum of 20 octets
            C: MAIL FROM:<a@b.example> SIZE=20
            S: 250 2.1.0 Sender syntax Ok
            C: RCPT TO:<a@b.example>
            S: 250 2.1.5 Ok; can accomodate 20 byte message for <a@b.example>
            C: DATA
            S: 354 Start mail input; end with <CRLF>.<CRLF>
            C: 0123456789
            C: 01234567
            C: QUIT
            C: .
            S: 552 5.3.4 Message exceeds the maximum of 20 octets
            C: NOOP
            S: 250 2.0.0 Ok
            """, configure: { $0.maximumMessageSize = 20 })
        #expect(host.stored.isEmpty)
        #expect(host.discarded == 1)
    }

    @Test("too many recipients, and too many for a report")
    func recipientLimits() {
        let mail = "EHLO c\nMAIL FROM:<a@b.example>\n" + String(repeating: "RCPT TO:<b@b.example>\n", count: 101)
        let (host, replies) = ServerHost.run(mail)
        #expect(replies.hasSuffix("rcpt=<b@b.example>\n452 4.5.3 Too many recipients in one go!\n"))
        #expect(host.questions.count == 102)
        let report = "EHLO c\nMAIL FROM:<>\n" + String(repeating: "RCPT TO:<b@b.example>\n", count: 4)
        #expect(
            ServerHost.run(report).replies.hasSuffix(
                "552 5.7.1 SPAM trap -- too many recipients for an empty source address!\n"))
    }

    @Test("100,000 unknown commands end at the tenth")
    func unknownCommands() {
        let (host, replies) = ServerHost.run(String(repeating: "GET / HTTP/1.1\n", count: 100_000))
        #expect(host.isClosed)
        let lines = replies.split(separator: "\n")
        #expect(lines.count == 11)
        #expect(lines[1] == "550 5.5.2 Unknown command 'GET / HTTP/1.1'")
        #expect(lines[10] == "550 5.5.2 Hi [192.0.2.9], One too many unknown command 'GET / HTTP/1.1'")
        #expect(ServerHost.run(String(repeating: "NOOP \u{0}\n", count: 100)).host.isClosed)
    }

    @Test("a transaction pipelined before any greeting is not a mail client's")
    func tooEager() {
        let (host, replies) = ServerHost.run("MAIL FROM:<a@b>\nRCPT TO:<c@d>\nDATA\n")
        #expect(host.isClosed)
        #expect(
            replies.hasSuffix(
                "550 5.7.1 HELLO [192.0.2.9], YOU ARE SENDING PIPELINED INPUT, BUT DIDN'T GREET PROPERLY WITH EHLO\n"))
        let polite = ServerHost.run("EHLO c\nMAIL FROM:<a@b.example>\nRCPT TO:<c@d.example>\nDATA\nx\n.\nQUIT\n")
        #expect(polite.host.stored.count == 1)
    }

    @Test("a refused peer is told so after every command but QUIT and HELP")
    func refusedPeer() {
        var host = ServerHost()
        host.session.greet(.refuse(Reply(550, EnhancedStatusCode(5, 7, 1), ["Hello", "GO AWAY!"])), into: &host.output)
        host.receive(octets("EHLO c\r\nQUIT\r\n"))
        #expect(
            host.replies()
                == "550-5.7.1 Hello\n550 5.7.1 GO AWAY!\n550-5.7.1 Hello\n550 5.7.1 GO AWAY!\n221 2.0.0 mx.example Out\n"
        )
        #expect(host.isClosed)
    }

    @Test("HELO may be refused, and may set the style")
    func helloDecisions() {
        _ = Self.dialogue(
            """
            S: 220 mx.example ESMTP
            C: HELO bad
            S: 501 5.7.1 Sorry [192.0.2.9], access denied.
            C: MAIL FROM:<a@b.example>
            S: 503 5.5.1 Hello [192.0.2.9], Waiting for HELO/EHLO command
            C: HELO strict
            S: 250 mx.example Hello strict
            C: MAIL FROM: <a@b.example>
            S: 501-5.5.2           ^
            S: 501 5.5.2 Exactly one space between words, none after the colon
            C: RSET now
            S: 501 5.5.4 Extra junk after 'RSET' verb; RSET processed anyway
            """,
            prepare: { host in
                host.decide = { question in
                    guard case .hello(let hello) = question else { return .accept }
                    return hello.argument == "bad"
                        ? .reply(Reply(501, EnhancedStatusCode(5, 7, 1), "Sorry [192.0.2.9], access denied."))
                        : .acceptStyle([.strict])
                }
            })
        var host = ServerHost(
            { $0.checksHelloSyntax = true }, peer: ServerSession.Peer(literal: "[192.0.2.9]", name: "real.example"))
        host.greet()
        host.receive(octets("HELO not a name\r\nHELO fake.example\r\nEHLO REAL.example\r\n"))
        #expect(
            host.replies().hasPrefix(
                """
                220 mx.example ESMTP
                501-5.7.1 Invalid `HELO not a name' parameter!
                501 5.7.1 Sorry [192.0.2.9], Err: not a domain name or an address literal
                250 mx.example expected "HELO real.example"
                250-mx.example Hello REAL.example

                """))
    }

    @Test("a gullible server believes what HELO says, -h or not")
    func gullible() {
        var host = ServerHost(
            {
                $0.checksHelloSyntax = true
                $0.isSkeptical = false
            }, peer: ServerSession.Peer(literal: "[192.0.2.9]", name: "real.example"))
        host.greet()
        host.receive(octets("HELO not a name\r\nHELO fake.example\r\n"))
        #expect(
            host.replies() == """
                220 mx.example ESMTP
                250 mx.example Hello not a name
                250 mx.example Hello fake.example

                """)
    }

    @Test("VRFY and EXPN are asked for where they are enabled")
    func queries() {
        _ = Self.dialogue(
            """
            S: 220 mx.example ESMTP
            C: HELO c
            S: 250 mx.example Hello c
            C: VRFY alice
            S: 252 2.5.2 Cannot VRFY user, but will accept message and attempt delivery
            C: EXPN staff
            S: 502 5.4.0 Command not implemented
            """)
        let host = Self.dialogue(
            """
            S: 220 mx.example ESMTP
            C: HELO c
            S: 250 mx.example Hello c
            C: MAIL FROM:<a@b.example>
            S: 250 2.1.0 Sender syntax Ok
            C: VRFY alice
            S: 252 2.5.2 Cannot VRFY user, but will accept message and attempt delivery
            C: EXPN staff
            S: 250-2.1.5 <a@b.example>
            S: 250 2.1.5 <c@b.example>
            C: RCPT TO:<a@b.example>
            S: 250 2.1.5 Recipient address syntax Ok; rcpt=<a@b.example>
            """,
            configure: {
                $0.enablesVRFY = true
                $0.enablesEXPN = true
            },
            prepare: { host in
                host.decide = { question in
                    guard case .expand = question else { return .accept }
                    return .reply(Reply(250, EnhancedStatusCode(2, 1, 5), ["<a@b.example>", "<c@b.example>"]))
                }
            })
        #expect(host.questions.contains(.verify("alice")))
    }

    @Test("questions of a pipelined burst can be out together; replies keep the order of the commands")
    func openQuestions() {
        let input =
            "EHLO c\nMAIL FROM:<a@b.example>\nRCPT TO:<a@b.example>\nRCPT TO:<nobody@b.example>\nRCPT TO:<\n"
            + "RCPT TO:<c@b.example>\nDATA\nx\n.\n"
        let one = ServerHost.run(input)
        let many = ServerHost.run(input, { _ in }, { $0.maximumOpenQuestions = 32 })
        #expect(one.replies == many.replies)
        #expect(one.host.questions == many.host.questions)
        #expect(many.host.stored[0].transaction.recipients.count == 2)
        var host = ServerHost { $0.maximumOpenQuestions = 3 }
        var asked = 0
        host.greet()
        host.receive(octets("EHLO c\r\nMAIL FROM:<a@b.example>\r\n"))
        let burst = octets(String(repeating: "RCPT TO:<a@b.example>\r\n", count: 5))
        let used = drain(burst) { rest in
            let step = host.session.receive(rest, into: &host.output)
            if case .ask = step.action { asked += 1 }
            return (step.consumed, step.action != .awaitAnswer)
        }
        #expect(asked == 3)
        #expect(used == burst.count / 5 * 3)
    }

    @Test("SMTPUTF8 belongs to the transaction")
    func internationalized() {
        _ = Self.dialogue(
            """
            S: 220 mx.example ESMTP
            C: HELO c
            S: 250 mx.example Hello c
            C: MAIL FROM:<\u{fc}@b.example>
            S: 550-5.6.7           ^
            S: 550 5.6.7 Path data: Address with non-ASCII characters needs SMTPUTF8
            C: MAIL FROM:<\u{fc}@b.example> SMTPUTF8
            S: 250 2.1.0 Sender syntax Ok
            C: RCPT TO:<\u{e9}@b.example>
            S: 250 2.1.5 Recipient address syntax Ok; rcpt=<??@b.example>
            C: RSET
            S: 250 2.0.0 Reset processed, now waiting for MAIL command
            C: MAIL FROM:<a@b.example>
            S: 250 2.1.0 Sender syntax Ok
            C: RCPT TO:<\u{e9}@b.example>
            S: 553-5.6.7          ^
            S: 553 5.6.7 Path data: Address with non-ASCII characters needs SMTPUTF8
            """)
    }

    @Test("the host can end a session at any point")
    func termination() {
        let (host, replies) = ServerHost.run("HELO c\nMAIL FROM:<a@b.example>\nRCPT TO:<goodbye@b.example>\nNOOP\n")
        #expect(host.isClosed)
        #expect(replies.hasSuffix("421 4.3.2 Shutting down\n"))
        var other = ServerHost()
        other.greet()
        other.session.terminate(Reply(421, EnhancedStatusCode(4, 4, 2), "Timeout"), into: &other.output)
        other.receive(octets("NOOP\r\n"))
        #expect(other.isClosed)
        #expect(other.replies().hasSuffix("421 4.4.2 Timeout\n"))
    }

    @Test("a transcript holds both sides and no credentials")
    func transcript() {
        var host = ServerHost()
        host.session.transcript = []
        host.greet()
        host.receive(octets("AUTH PLAIN AHNlY3JldA==\r\nHELO c\r\nQUIT\r\n"))
        #expect(
            host.session.transcript == [
                .sent("220 mx.example ESMTP"), .received("AUTH ..."), .sent("502 5.5.1 Command not implemented"),
                .received("HELO c"), .sent("250 mx.example Hello c"), .received("QUIT"),
                .sent("221 2.0.0 mx.example Out"),
            ])
    }

    @Test("a transcript has each line once, in the order of the dialogue")
    func wholeTranscript() {
        let input = octets(
            "EHLO c\r\nMAIL FROM:<a@b.example>\r\nRCPT TO:<b@b.example>\r\nRCPT TO:<nobody@b.example>\r\nVRFY x\r\nHELP\r\n"
                + "DATA\r\nx\r\n.\r\nFOO\r\nBDAT 3\r\nabcQUIT\r\n")
        for piece in [input.count, 7] {
            var host = ServerHost { $0.enablesVRFY = true }
            host.session.transcript = []
            host.greet()
            for start in stride(from: 0, to: input.count, by: piece) {
                host.receive(Array(input[start..<min(start + piece, input.count)]))
            }
            let transcript = host.session.transcript ?? []
            let sent = transcript.compactMap { entry in if case .sent(let line) = entry { line } else { nil } }
            #expect(sent.joined(separator: "\n") + "\n" == host.replies())
            let received = transcript.indices.filter { if case .received = transcript[$0] { true } else { false } }
            #expect(received.count == 10)
            #expect(received.allSatisfy { if case .sent = transcript[$0 + 1] { true } else { false } })
        }
    }

    @Test("HELO is not required where the configuration says so")
    func withoutHello() {
        _ = Self.dialogue(
            """
            S: 220 mx.example ESMTP
            C: RCPT TO:<a@b.example>
            S: 503 5.5.1 Hello [192.0.2.9], Waiting for MAIL command
            C: MAIL FROM:<a@b.example>
            S: 250 2.1.0 Sender syntax Ok
            """, configure: { $0.requiresHello = false })
    }

    @Test("a client that talks back in replies is not answered, and not for ever")
    func talkingBack() {
        let (host, replies) = ServerHost.run(String(repeating: "550 5.5.2 Unknown command\n", count: 20))
        #expect(host.isClosed)
        #expect(replies.split(separator: "\n").count == 2)
    }

    @Test("a size that no message can have is refused even without a limit")
    func sizeCeiling() {
        #expect(
            ServerHost.run("EHLO c\nMAIL FROM:<a@b.example> SIZE=1000000001\n").replies.hasSuffix(
                "552 5.3.4 Message of 1000000001 octets exceeds the maximum of 1000000000 octets\n"))
    }

    @Test("HELP names the verbs, the local lines and how to use one")
    func help() {
        let replies = ServerHost.run("HELP\nHELP rset\n", { _ in }, { $0.help = ["Yoyodyne Inc."] }).replies
        #expect(replies.contains("214-2.0.0 Yoyodyne Inc.\n"))
        #expect(replies.contains("214-2.0.0 For local information contact: postmaster@mx.example\n"))
        #expect(replies.hasSuffix("214-2.0.0 RSET\n214 2.0.0 Ends the transaction; now waiting for a greeting.\n"))
    }

    @Test("a session is small")
    func size() {
        #expect(MemoryLayout<ServerSession>.size <= 512)
    }

    @Test("refusals are recorded with command and reply, those that follow from an earlier one marked, at most 100")
    func refusalRecord() throws {
        var host = ServerHost()
        host.session.refusalRecord = []
        host.greet()
        host.decide = {
            guard case .sender = $0 else { return .accept }
            return .reply(Reply(553, EnhancedStatusCode(5, 7, 1), ["One", "Two"]))
        }
        host.receive(octets("EHLO a.example\r\nMAIL FROM:<a@b.example>\r\nRCPT TO:<c@d.example>\r\nDATA\r\nFOO\r\n"))
        let record = try #require(host.session.refusalRecord)
        #expect(
            record.map(\.command) == [
                "MAIL FROM:<a@b.example>", "RCPT TO:<c@d.example>", "DATA", "FOO",
            ])
        #expect(record.map(\.isByEarlierRejection) == [false, true, true, false])
        #expect(record.first?.reply == "553 5.7.1 Two")
        host.session.refusalRecord = []
        for _ in 0..<200 { host.receive(octets("RCPT TO:<c@d.example>\r\n")) }
        #expect(host.session.refusalRecord?.count == ServerSession.maximumRecordedRefusals - 4)
    }
}
