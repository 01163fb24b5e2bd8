import MailModel
import Testing

@testable import SMTPProtocol

extension ClientSessionTests {
    @Test("what the server cannot take is not sent")
    func incapable() {
        let cases: [(String, Int, (inout ClientMessage) -> Void)] = [
            ("SIZE 19", 552, { _ in }), ("PIPELINING", 554, { $0.has8Bit = true }),
            ("8BITMIME", 553, { $0.needsSMTPUTF8 = true }),
            ("8BITMIME", 553, { $0.reversePath = .mailbox(Mailbox("\u{fc}@b")!) }),
        ]
        for (keyword, code, change) in cases {
            let host = Self.dialogue(Self.offering(keyword) + "> b@example.net c@example.net", message: change)
            #expect(host.results.last?.map(\.reply.code) == [code, code])
            #expect(host.results.last?.allSatisfy { $0.isLocal && $0.disposition.isPermanent } == true)
            #expect(host.isReady)
        }
    }

    @Test("SMTPUTF8 is asked for when an address needs it, and only those recipients fail without it")
    func internationalized() {
        _ = Self.dialogue(
            Self.offering("SMTPUTF8", "8BITMIME") + "> \u{fc}@b b@b\nC: MAIL FROM:<a@example.org> SMTPUTF8")
        _ = Self.dialogue(
            Self.offering("8BITMIME") + """
                > \u{fc}@b b@b
                C: MAIL FROM:<a@example.org>
                S: 250 Ok
                C: RCPT TO:<b@b>
                S: 250 Ok
                C: DATA
                S: 354 Go
                \(Self.data)S: 250 Ok
                = 553 noUser, 250 success
                """)
    }

    @Test("a parameter that would break the command line is left out")
    func injection() {
        _ = Self.dialogue(
            Self.offering("DSN", "PIPELINING") + "> b@b\nC: MAIL FROM:<a@example.org>\nC: RCPT TO:<b@b>\nC: DATA",
            message: { message in
                message.envelopeID = "a\r\nRCPT TO:<x@y>"
                message.recipients[0].originalRecipient = "rfc822;a\r\nDATA"
            })
    }

    @Test("421 and a lost connection leave the undecided for later")
    func lost() {
        let busy = Self.dialogue(
            Self.offering("PIPELINING") + """
                > a@x b@x c@x
                C: MAIL FROM:<a@example.org>
                C: RCPT TO:<a@x>
                C: RCPT TO:<b@x>
                C: RCPT TO:<c@x>
                C: DATA
                S: 250 Ok
                S: 550 No
                S: 421 4.3.2 Shutting down
                = 550 noUser, 421 temporary, 421 temporary
                """)
        #expect(
            busy.closed == .serviceNotAvailable(Reply(421, EnhancedStatusCode(4, 3, 2), "Shutting down")))
        var host = Self.dialogue(Self.plain + "> a@x\nC: MAIL FROM:<a@example.org>")
        #expect(host.session.phase == .mail)
        host.session.connectionLost()
        host.receive([])
        #expect(host.results.last?.map(\.disposition) == [.temporary])
        #expect(host.results.last?.map(\.isLocal) == [true])
        #expect(host.closed == .connectionLost)
        var idle = Self.dialogue(Self.plain)
        idle.receive(octets("421 Too long\r\n"))
        #expect(idle.closed == .serviceNotAvailable(Reply(421, nil, "Too long")))
        let early = Self.dialogue("S: 421 Busy")
        #expect(early.closed == .serviceNotAvailable(Reply(421, nil, "Busy")))
    }

    @Test("a server that does not speak SMTP, or speaks out of turn, ends the connection")
    func outOfStep() {
        #expect(Self.dialogue("S: SSH-2.0").closed == .brokenReply(.malformed("SSH-2.0")))
        var host = Self.dialogue(Self.plain)
        host.receive(octets("250 Surprise\r\n"))
        #expect(host.closed == .outOfStep)
        let data = Self.dialogue(
            Self.plain + """
                > a@x
                C: MAIL FROM:<a@example.org>
                S: 250 Ok
                C: RCPT TO:<a@x>
                S: 250 Ok
                C: DATA
                S: 250 Ok
                = 451 temporary
                """)
        #expect(data.closed == .outOfStep)
    }

    @Test("354 is an answer to DATA and to nothing else: no message is taken for delivered by it")
    func intermediate() {
        let second = Self.dialogue(
            Self.plain + """
                > a@x
                C: MAIL FROM:<a@example.org>
                S: 250 Ok
                C: RCPT TO:<a@x>
                S: 250 Ok
                C: DATA
                S: 354 Go
                \(Self.data)S: 354 Go on
                = 451 temporary
                """)
        #expect(second.closed == .outOfStep)
        let early = Self.dialogue(
            Self.plain + """
                > a@x
                C: MAIL FROM:<a@example.org>
                S: 250 Ok
                C: RCPT TO:<a@x>
                S: 354 Go
                = 451 temporary
                """)
        #expect(early.closed == .outOfStep)
    }

    @Test("LMTP has a reply for each recipient")
    func lmtp() {
        let host = Self.dialogue(
            """
            S: 220 lmtp
            C: LHLO client.example
            S: 250-lmtp
            S: 250 PIPELINING
            > a@x nobody@x c@x
            C: MAIL FROM:<a@example.org>
            C: RCPT TO:<a@x>
            C: RCPT TO:<nobody@x>
            C: RCPT TO:<c@x>
            C: DATA
            S: 250 Ok
            S: 250 Ok
            S: 550 No
            S: 250 Ok
            S: 354 Go
            \(Self.data)S: 250 Ok
            S: 452 4.2.2 Full
            = 250 success, 550 noUser, 452 temporary
            > nobody@x
            C: MAIL FROM:<a@example.org>
            C: RCPT TO:<nobody@x>
            C: DATA
            S: 250 Ok
            S: 550 No
            S: 503 No
            = 550 noUser
            """, host: ClientHost { $0.isLMTP = true })
        #expect(host.isReady)
    }

    @Test("552 to RCPT may mean too many recipients")
    func tooManyRecipients() {
        _ = Self.dialogue(
            Self.plain + """
                > a@x
                C: MAIL FROM:<a@example.org>
                S: 250 Ok
                C: RCPT TO:<a@x>
                S: 552 Too many
                = 552 temporary
                """)
        #expect(
            RecipientResult(Reply(552, EnhancedStatusCode(5, 2, 2), "Full"), .recipient).disposition == .unavailable)
    }

    @Test("an idle connection can be probed; each phase has the limit of RFC 5321")
    func phases() {
        var host = ClientHost()
        #expect(host.session.phase == .greeting)
        host = Self.dialogue(Self.plain, host: host)
        #expect(host.session.phase == .idle)
        host.session.probe(into: &host.sent)
        host.receive([])
        #expect(host.written() == "NOOP\n")
        host.receive(octets("250 Ok\r\n"))
        #expect(host.isReady)
        #expect(ClientSession.Phase.dataCommand.timeout == .seconds(120))
        #expect(ClientSession.Phase.dataBlock.timeout == .seconds(180))
        #expect(ClientSession.Phase.endOfMessage.timeout == .seconds(600))
    }

    @Test("capabilities")
    func capabilities() {
        let capabilities = ServerCapabilities(
            Reply(
                250, nil,
                [
                    "mx DSN", "size 1000", "AUTH LOGIN plain", "X-RCPTLIMIT 200", "LIMITS RCPTMAX=50 MAILMAX=3",
                    "starttls", "",
                ]))
        #expect(!capabilities.hasDSN)
        #expect(capabilities.maximumSize == 1000)
        #expect(capabilities.recipientLimit == 50)
        #expect(capabilities.authMechanisms == ["LOGIN", "PLAIN"])
        #expect(capabilities.hasSTARTTLS)
        #expect(ServerCapabilities(Reply(250, nil, ["mx", "SIZE 0"])).maximumSize == nil)
    }
}
