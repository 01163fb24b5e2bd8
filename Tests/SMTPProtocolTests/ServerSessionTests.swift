import MailModel
import Testing

@testable import SMTPProtocol

@Suite("Server session")
struct ServerSessionTests {
    /// Runs lines that begin with `C: ` and compares with the lines that begin with `S: `, in their order.
    static func dialogue(
        _ script: String, configure: (inout ServerConfiguration.Values) -> Void = { _ in },
        prepare: (inout ServerHost) -> Void = { _ in }, sourceLocation: SourceLocation = #_sourceLocation
    ) -> ServerHost {
        var host = ServerHost(configure)
        prepare(&host)
        host.greet()
        var expected = ""
        func check() {
            let replies = host.replies()
            #expect(replies == expected, sourceLocation: sourceLocation)
            expected = ""
        }
        for line in script.split(separator: "\n", omittingEmptySubsequences: false) where !line.isEmpty {
            if line.hasPrefix("S: ") {
                expected += line.dropFirst(3) + "\n"
            } else {
                check()
                host.receive(octets(line.dropFirst(3) + "\r\n"))
            }
        }
        check()
        return host
    }

    @Test("a mail goes through, word for word")
    func usual() {
        let host = Self.dialogue(
            """
            S: 220 mx.example ESMTP
            C: EHLO client.example
            S: 250-mx.example Hello client.example
            S: 250-SIZE 0
            S: 250-8BITMIME
            S: 250-PIPELINING
            S: 250-CHUNKING
            S: 250-ENHANCEDSTATUSCODES
            S: 250-DSN
            S: 250-LIMITS RCPTMAX=100
            S: 250-SMTPUTF8
            S: 250 HELP
            C: MAIL FROM:<a@example.org> SIZE=100
            S: 250 2.1.0 Sender syntax Ok
            C: RCPT TO:<nobody@example.net>
            S: 550 5.1.1 User unknown
            C: RCPT TO:<@relay.example:b@example.net> NOTIFY=NEVER
            S: 250 2.1.5 Ok; can accomodate 100 byte message for <b@example.net>
            C: DATA
            S: 354 Start mail input; end with <CRLF>.<CRLF>
            C: Subject: x
            C: 
            C: ..stuffed
            C: .
            S: 250 2.0.0 Message accepted; S1
            C: MAIL FROM:<>
            S: 250 2.1.0 Sender syntax Ok
            C: RCPT TO:<postmaster>
            S: 250 2.1.5 Recipient address syntax Ok; rcpt=<postmaster>
            C: RSET
            S: 250 2.0.0 Reset processed, now waiting for MAIL command
            C: NOOP
            S: 250 2.0.0 Ok
            C: QUIT
            S: 221 2.0.0 mx.example Out
            """)
        #expect(host.isClosed)
        #expect(host.stored.count == 1)
        #expect(text(host.stored[0].content) == "Subject: x\r\n\r\n.stuffed\r\n")
        #expect(host.stored[0].transaction.recipients.map(\.forwardPath.address) == ["b@example.net"])
        #expect(host.stored[0].transaction.recipients[0].notify == .never)
        #expect(host.stored[0].summary.dotLines == 1)
        #expect(host.session.hello == ServerSession.Hello(kind: .ehlo, argument: "client.example"))
    }

    @Test("what comes out of order is refused and changes nothing")
    func order() {
        _ = Self.dialogue(
            """
            S: 220 mx.example ESMTP
            C: MAIL FROM:<a@example.org>
            S: 503 5.5.1 Hello [192.0.2.9], Waiting for HELO/EHLO command
            C: RCPT TO:<a@example.org>
            S: 503 5.5.1 Hello [192.0.2.9], Waiting for HELO/EHLO command
            C: DATA
            S: 503 5.5.1 Hello [192.0.2.9], Waiting for HELO/EHLO command
            C: VRFY a
            S: 503 5.5.1 Hello [192.0.2.9], Waiting for HELO/EHLO command
            C: NOOP
            S: 250 2.0.0 Ok
            C: HELO client.example
            S: 250 mx.example Hello client.example
            C: RCPT TO:<a@example.org>
            S: 503 5.5.1 Hello [192.0.2.9], Waiting for MAIL command
            C: DATA
            S: 503 5.5.2 Bad sequence of commands, no transaction is open
            C: MAIL FROM:<a@example.org>
            S: 250 2.1.0 Sender syntax Ok
            C: MAIL FROM:<b@example.org>
            S: 503 5.5.1 Hello [192.0.2.9], Waiting for RCPT command
            C: RCPT TO:<nobody@example.org>
            S: 550 5.1.1 User unknown
            C: DATA
            S: 550 5.1.3 No valid recipients at RCPT addresses, or no RCPT addresses at all
            C: RCPT TO:<b@example.org>
            S: 503 5.5.1 Hello [192.0.2.9], Waiting for MAIL command
            C: LHLO client.example
            S: 550 5.5.2 Unknown command 'LHLO client.example'
            C: STARTTLS
            S: 502 5.5.1 Command not implemented
            C: AUTH LOGIN
            S: 502 5.5.1 Command not implemented
            C: TURN
            S: 502 5.5.1 Command not implemented
            """)
    }

    @Test("a refused sender refuses what is pipelined behind it")
    func refusedSender() {
        for (reply, rcpt) in [
            (Reply(550, EnhancedStatusCode(5, 7, 1), "No"), "550 5.7.1"),
            (Reply(451, EnhancedStatusCode(4, 7, 1), "Later"), "450 4.7.1"),
        ] {
            _ = Self.dialogue(
                """
                S: 220 mx.example ESMTP
                C: HELO c
                S: 250 mx.example Hello c
                C: MAIL FROM:<a@example.org>
                S: \(reply.summary)
                C: RCPT TO:<b@example.org>
                S: \(rcpt) Hello [192.0.2.9], access denied by the policy analysis functions by earlier rejection
                C: DATA
                S: 550 5.1.7 No valid sender, rejecting all recipients
                C: DATA
                S: 503 5.5.2 Bad sequence of commands, no transaction is open
                """,
                prepare: { host in
                    host.decide = { question in
                        if case .sender = question { return .reply(reply) }
                        return .accept
                    }
                })
        }
    }

    @Test("syntax errors point at the column")
    func carets() {
        _ = Self.dialogue(
            """
            S: 220 mx.example ESMTP
            C: HELO c
            S: 250 mx.example Hello c
            C: MAIL FROM:<a b@c.example>
            S: 501-5.1.7             ^
            S: 501-5.1.7 Path data: Invalid character in the local part
            S: 501 5.1.7 Hi [192.0.2.9], that was for input: MAIL FROM:<a b@c.example>
            C: MAIL <a@c.example>
            S: 501-5.5.2      ^
            S: 501 5.5.2 Where is 'FROM:<' of MAIL?
            C: MAIL FROM:<> FOO=1
            S: 555-5.5.4              ^
            S: 555 5.5.4 Unknown MAIL FROM:<> parameter: FOO=1
            C: MAIL FROM:<a@c.example>
            S: 250 2.1.0 Sender syntax Ok
            C: RCPT TO:<>
            S: 501-5.1.3          ^
            S: 501 5.1.3 Null address valid only as source: RCPT TO:<>
            C: RCPT TO:<a@b> FOO
            S: 555-5.5.4               ^
            S: 555 5.5.4 Unknown RCPT TO:<> parameter: FOO
            C: RCPT TO:<a@b> NOTIFY=X
            S: 501-5.5.4               ^
            S: 501 5.5.4 NOTIFY takes NEVER, or a list of SUCCESS, FAILURE, DELAY
            C: NOOP \u{1}
            S: 500-5.5.2      ^
            S: 500 5.5.2 Illegal input characters: Control chars on SMTP input
            """)
        _ = Self.dialogue(
            """
            S: 220 mx.example ESMTP
            C: HELO c
            S: 250 mx.example Hello c
            C: MAIL FROM:<a b@c.example>
            S: 501 Path data: Invalid character in the local part
            C: QUIT
            S: 221 mx.example Out
            """,
            configure: {
                $0.writesSingleLines = true
                $0.extensions.remove(.enhancedStatusCodes)
            })
    }
}
