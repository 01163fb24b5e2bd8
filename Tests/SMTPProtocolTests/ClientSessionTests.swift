import MailModel
import Testing

@testable import SMTPProtocol

@Suite("Client session")
struct ClientSessionTests {
    /// Runs a script: `C: ` lines must be what the client wrote, `S: ` lines are given to it, `> ` begins a message to these
    /// recipients, `= ` compares the last results, `> QUIT` ends.
    static func dialogue(
        _ script: String, host: ClientHost = ClientHost(), message: ((inout ClientMessage) -> Void)? = nil,
        split: Bool = false, sourceLocation: SourceLocation = #_sourceLocation
    ) -> ClientHost {
        var host = host
        var given = ""
        var expected = ""
        func flush() {
            let input = octets(given)
            given = ""
            if split { for octet in input { host.receive([octet]) } } else { host.receive(input) }
        }
        func check() {
            flush()
            let written = host.written()
            #expect(written == expected, sourceLocation: sourceLocation)
            expected = ""
        }
        for line in script.split(separator: "\n") {
            if line.hasPrefix("S: ") {
                if !expected.isEmpty { check() }
                given += line.dropFirst(3) + "\r\n"
            } else if line.hasPrefix("C: ") {
                if !given.isEmpty { flush() }
                expected += line.dropFirst(3) + "\n"
            } else if line == "> QUIT" {
                check()
                host.quit()
            } else if line.hasPrefix("> ") {
                check()
                var mail = ClientHost.mail()
                mail.recipients = line.dropFirst(2).split(separator: " ").map {
                    ClientMessage.Recipient(.mailbox(Mailbox($0)!))
                }
                message?(&mail)
                #expect(host.isReady, sourceLocation: sourceLocation)
                host.begin(mail, content: ClientHost.message)
            } else if line.hasPrefix("= ") {
                check()
                let results = (host.results.popLast() ?? []).map { "\($0.reply.code) \($0.disposition)" }
                #expect(results.joined(separator: ", ") == line.dropFirst(2), sourceLocation: sourceLocation)
            }
        }
        check()
        return host
    }

    static let plain = """
        S: 220 mx.example ESMTP
        C: EHLO client.example
        S: 250 mx.example Hello

        """
    static func offering(_ keywords: String...) -> String {
        "S: 220 mx.example ESMTP\nC: EHLO client.example\nS: 250-mx.example Hello\n"
            + keywords.map { "S: 250-\($0)\n" }.joined() + "S: 250 HELP\n"
    }
    static let data = "C: Subject: x\nC: \nC: ..dot\nC: .\n"

    @Test("step by step without PIPELINING", arguments: [false, true])
    func lockStep(split: Bool) {
        let host = Self.dialogue(
            Self.plain + """
                > b@example.net nobody@example.net
                C: MAIL FROM:<a@example.org>
                S: 250 2.1.0 Ok
                C: RCPT TO:<b@example.net>
                S: 250 2.1.5 Ok
                C: RCPT TO:<nobody@example.net>
                S: 550 5.1.1 No such user
                C: DATA
                S: 354 Go
                \(Self.data)S: 250 2.0.0 Queued
                = 250 success, 550 noUser
                > b@example.net
                C: MAIL FROM:<a@example.org>
                S: 451 4.3.0 Later
                = 451 temporary
                > nobody@example.net
                C: MAIL FROM:<a@example.org>
                S: 250 Ok
                C: RCPT TO:<nobody@example.net>
                S: 550 5.1.1 No such user
                = 550 noUser
                > b@example.net
                C: RSET
                S: 250 Ok
                C: MAIL FROM:<a@example.org>
                S: 250 Ok
                C: RCPT TO:<b@example.net>
                S: 250 Ok
                C: DATA
                S: 554 5.7.1 No
                = 554 noUser
                > QUIT
                C: QUIT
                S: 221 Bye
                """, split: split)
        #expect(host.closed == .quit)
    }

    @Test("PIPELINING: the envelope and DATA in one burst, the next transaction resets what was left open")
    func pipelined() {
        _ = Self.dialogue(
            Self.offering("PIPELINING", "SIZE 1000") + """
                > nobody@example.net b@example.net
                C: MAIL FROM:<a@example.org> SIZE=20
                C: RCPT TO:<nobody@example.net>
                C: RCPT TO:<b@example.net>
                C: DATA
                S: 250 Ok
                S: 550 5.1.1 No
                S: 250 Ok
                S: 354 Go
                \(Self.data)S: 250 Queued
                = 550 noUser, 250 success
                > nobody@example.net
                C: MAIL FROM:<a@example.org> SIZE=20
                C: RCPT TO:<nobody@example.net>
                C: DATA
                S: 250 Ok
                S: 550 5.1.1 No
                S: 354 Go nevertheless
                C: .
                S: 554 No recipients
                = 550 noUser
                > nobody@example.net
                C: MAIL FROM:<a@example.org> SIZE=20
                C: RCPT TO:<nobody@example.net>
                C: DATA
                S: 250 Ok
                S: 550 5.1.1 No
                S: 503 No recipients
                = 550 noUser
                > b@example.net
                C: RSET
                C: MAIL FROM:<a@example.org> SIZE=20
                C: RCPT TO:<b@example.net>
                C: DATA
                S: 250 Reset
                S: 550 5.7.1 Not you
                S: 503 No
                S: 503 No
                = 550 noUser
                """)
    }

    @Test("CHUNKING and PIPELINING: one burst for a small message, and in step when nobody wants it")
    func burst() {
        let host = Self.dialogue(
            Self.offering("PIPELINING", "CHUNKING", "8BITMIME", "DSN") + """
                > b@example.net
                C: MAIL FROM:<a@example.org> BODY=8BITMIME RET=HDRS ENVID=q
                C: RCPT TO:<b@example.net> NOTIFY=SUCCESS,DELAY ORCPT=rfc822;b
                C: BDAT 20 LAST
                C: Subject: x
                C: 
                C: .dot
                S: 250 Ok
                S: 250 Ok
                S: 250 Queued
                = 250 success
                > b@example.net
                C: MAIL FROM:<a@example.org> BODY=8BITMIME RET=HDRS ENVID=q
                C: RCPT TO:<b@example.net> NOTIFY=SUCCESS,DELAY ORCPT=rfc822;b
                C: BDAT 20 LAST
                C: Subject: x
                C: 
                C: .dot
                S: 250 Ok
                S: 450 4.2.0 Later
                S: 503 No recipients
                = 450 temporary
                > b@example.net
                C: RSET
                C: MAIL FROM:<a@example.org> BODY=8BITMIME RET=HDRS ENVID=q
                C: RCPT TO:<b@example.net> NOTIFY=SUCCESS,DELAY ORCPT=rfc822;b
                C: BDAT 20 LAST
                C: Subject: x
                C: 
                C: .dot
                S: 250 Ok
                S: 550 No
                S: 503 No
                S: 503 No
                = 550 noUser
                """,
            message: { message in
                message.has8Bit = true
                message.ret = .headers
                message.envelopeID = "q"
                message.recipients[0].notify = [.success, .delay]
                message.recipients[0].originalRecipient = "rfc822;b"
            })
        #expect(host.framings == [.chunk(octets: 20), .chunk(octets: 20), .chunk(octets: 20)])
    }

    @Test("a large message waits until somebody wants it")
    func largeChunk() {
        _ = Self.dialogue(
            Self.offering("PIPELINING", "CHUNKING") + """
                > b@example.net c@example.net
                C: MAIL FROM:<a@example.org>
                C: RCPT TO:<b@example.net>
                C: RCPT TO:<c@example.net>
                S: 250 Ok
                S: 550 No
                S: 550 No
                = 550 noUser, 550 noUser
                > b@example.net c@example.net
                C: RSET
                C: MAIL FROM:<a@example.org>
                C: RCPT TO:<b@example.net>
                C: RCPT TO:<c@example.net>
                S: 250 Ok
                S: 250 Ok
                S: 550 No
                S: 250 Ok
                C: BDAT 20 LAST
                C: Subject: x
                C: 
                C: .dot
                S: 250 Ok
                = 550 noUser, 250 success
                """, host: ClientHost { $0.burstLimit = 10 })
        _ = Self.dialogue(
            Self.offering("PIPELINING", "CHUNKING") + """
                > b@example.net
                C: MAIL FROM:<a@example.org>
                C: RCPT TO:<b@example.net>
                C: DATA
                """, message: { $0.isWireFormat = false })
    }

    @Test("commands sent ahead stay within the window")
    func window() {
        _ = Self.dialogue(
            Self.offering("PIPELINING") + """
                > a@x b@x c@x
                C: MAIL FROM:<a@example.org>
                C: RCPT TO:<a@x>
                C: RCPT TO:<b@x>
                S: 250 Ok
                S: 250 Ok
                C: RCPT TO:<c@x>
                C: DATA
                S: 250 Ok
                S: 452 4.5.3 Too many
                S: 354 Go
                \(Self.data)S: 250 Ok
                = 250 success, 250 success, 452 temporary
                """, host: ClientHost { $0.maximumOutstandingCommands = 2 })
    }

    @Test("HELO follows when EHLO is not known")
    func fallback() {
        let host = Self.dialogue(
            """
            S: 220 mx.example
            C: EHLO client.example
            S: 502 What?
            C: HELO client.example
            S: 250 mx.example
            > b@example.net
            C: MAIL FROM:<a@example.org>
            """)
        #expect(!host.session.capabilities.isESMTP)
        let strict = Self.dialogue(
            "S: 220 x\nC: EHLO client.example\nS: 502 What?\nC: QUIT", host: ClientHost { $0.fallsBackToHello = false })
        #expect(strict.closed == .refused(Reply(502, nil, "What?")))
        let greeting = Self.dialogue("S: 554 5.7.1 Go away\nC: QUIT")
        #expect(greeting.closed == .refused(Reply(554, EnhancedStatusCode(5, 7, 1), "Go away")))
    }
}
