import MailModel
import Testing

@testable import SMTPProtocol

extension ClientSessionTests {
    static func host(
        _ use: ClientSession.TLSUse, proving handshake: ClientSession.Security? = .encrypted
    ) -> ClientHost {
        var host = ClientHost { $0.tls = use }
        host.handshake = handshake
        return host
    }

    static let upTo220 =
        offering("STARTTLS", "SIZE 5", "DSN") + "C: STARTTLS\nS: 220 2.0.0 Go\nC: <TLS>\nC: EHLO client.example\n"

    @Test(
        "TLS: EHLO again inside it, and nothing of the first one holds", arguments: [false, true],
        [ClientSession.TLSUse.ifOffered, .required])
    func startTLS(split: Bool, use: ClientSession.TLSUse) {
        let host = Self.dialogue(
            Self.upTo220 + """
                S: 250-mx.example
                S: 250 STARTTLS
                > b@example.net
                C: MAIL FROM:<a@example.org>
                S: 250 Ok
                C: RCPT TO:<b@example.net>
                S: 250 Ok
                C: DATA
                S: 354 Go
                \(Self.data)S: 250 Queued
                = 250 success
                > QUIT
                C: QUIT
                S: 221 Bye
                """, host: Self.host(use), split: split)
        #expect(host.session.security == .encrypted)
        #expect(host.closed == .quit)
    }

    @Test("what was offered in clear text is forgotten at once (RFC 3207 §4.2)")
    func forgotten() {
        let host = Self.dialogue(Self.upTo220, host: Self.host(.required))
        #expect(host.session.capabilities == ServerCapabilities())
        #expect(host.session.phase == .hello)
        let old = Self.dialogue(
            Self.upTo220 + "S: 502 What?\nC: HELO client.example\nS: 250 mx\n> b@b\nC: MAIL FROM:<a@example.org>",
            host: Self.host(.required))
        #expect(old.session.security == .encrypted)
    }

    @Test("TLS is not begun where it is not wanted, or not offered and not required")
    func withoutTLS() {
        for (use, keyword) in [(ClientSession.TLSUse.never, "STARTTLS"), (.ifOffered, "SIZE")] {
            let host = Self.dialogue(
                Self.offering(keyword, "PIPELINING") + "> b@b\nC: MAIL FROM:<a@example.org>"
                    + (keyword == "SIZE" ? " SIZE=20" : "") + "\nC: RCPT TO:<b@b>\nC: DATA", host: Self.host(use))
            #expect(host.session.security == .clearText)
            #expect(!host.asksForHandshake)
        }
    }

    @Test("STARTTLS refused: in clear text on the same session, with what was offered, unless TLS is required")
    func refusedTLS() {
        for reply in ["454 4.7.0 TLS not available", "502 5.5.1 No", "501 5.5.4 No parameters"] {
            let front = Self.offering("STARTTLS", "SIZE 50") + "C: STARTTLS\nS: \(reply)\n"
            let clear = Self.dialogue(
                front + "> b@b\nC: MAIL FROM:<a@example.org> SIZE=20", host: Self.host(.ifOffered))
            #expect(clear.session.security == .clearText)
            let required = Self.dialogue(front + "C: QUIT", host: Self.host(.required))
            guard case .tlsRefused(let refusal)? = required.closed else {
                Issue.record("\(required.closed as Any)")
                continue
            }
            #expect(refusal.summary == reply)
            #expect(!required.isReady)
        }
    }

    @Test(
        "TLS required and not offered: nothing but QUIT is said",
        arguments: [
            offering("SIZE", "AUTH PLAIN") + "C: QUIT", plain + "C: QUIT",
            "S: 220 mx\nC: EHLO client.example\nS: 502 What?\nC: HELO client.example\nS: 250 mx STARTTLS\nC: QUIT",
        ])
    func notOffered(script: String) {
        let host = Self.dialogue(script, host: Self.host(.required))
        #expect(host.closed == .tlsNotOffered)
        #expect(!host.isReady)
    }

    @Test("a server that never says EHLO is no reason for clear text either")
    func helloOnly() {
        var host = ClientHost {
            $0.tls = .required
            $0.needsESMTPGreeting = true
        }
        host = Self.dialogue("S: 220 old\nC: HELO client.example\nS: 250 old\nC: QUIT", host: host)
        #expect(host.closed == .tlsNotOffered)
    }

    @Test("clear text behind the reply to STARTTLS ends the connection, wherever reads split it")
    func clearTextInjection() {
        for use in [ClientSession.TLSUse.ifOffered, .required] {
            let front = Self.dialogue(Self.offering("STARTTLS") + "C: STARTTLS", host: Self.host(use, proving: nil))
            let answers = octets("220 2.0.0 Go\r\n250-mx\r\n250 AUTH PLAIN\r\n")
            for index in answers.indices {
                var host = front
                host.receive(Array(answers[..<index]))
                host.receive(Array(answers[index...]))
                #expect(host.closed == .clearTextBehindSTARTTLS)
                #expect(host.session.capabilities.authMechanisms == [])
                #expect(host.written() == "")
            }
        }
    }

    @Test("other answers to STARTTLS than yes and no end the connection")
    func strangeAnswers() {
        let front = Self.offering("STARTTLS") + "C: STARTTLS\n"
        #expect(Self.dialogue(front + "S: 354 Go", host: Self.host(.ifOffered)).closed == .outOfStep)
        let busy = Self.dialogue(front + "S: 421 4.3.2 Busy", host: Self.host(.ifOffered))
        #expect(busy.closed == .serviceNotAvailable(Reply(421, EnhancedStatusCode(4, 3, 2), "Busy")))
        var lost = Self.dialogue(front, host: Self.host(.required))
        #expect(lost.session.phase == .startTLS)
        lost.session.connectionLost()
        lost.receive([])
        #expect(lost.closed == .connectionLost)
    }

    @Test("a handshake that fails leaves no session")
    func failedHandshake() {
        var host = Self.dialogue(
            Self.offering("STARTTLS") + "C: STARTTLS\nS: 220 Go", host: Self.host(.ifOffered, proving: nil))
        #expect(host.asksForHandshake)
        #expect(host.session.phase == .handshake)
        #expect(!host.isReady)
        host.session.begin(ClientHost.mail("b@b"), into: &host.sent)
        host.session.quit(into: &host.sent)
        #expect(host.written() == "")
        host.session.connectionLost()
        host.receive([])
        #expect(host.closed == .connectionLost)
    }

    @Test("implicit TLS: the handshake first, then the greeting", arguments: [false, true])
    func implicit(split: Bool) {
        var host = Self.host(.implicit, proving: .verified)
        host.receive([])
        #expect(host.written() == "<TLS>\n")
        host = Self.dialogue(
            Self.offering("STARTTLS", "PIPELINING") + "> b@b\nC: MAIL FROM:<a@example.org>\nC: RCPT TO:<b@b>\nC: DATA",
            host: host, split: split)
        #expect(host.session.security == .verified)
        var early = Self.host(.implicit, proving: nil)
        early.receive(octets("220 mx\r\n"))
        #expect(early.closed == .clearTextBehindSTARTTLS)
    }

    @Test("REQUIRETLS goes with MAIL to a server that proved who it is and offers it")
    func requireTLS() {
        _ = Self.dialogue(
            Self.upTo220 + "S: 250-mx\nS: 250 REQUIRETLS\n> b@b\nC: MAIL FROM:<a@example.org> REQUIRETLS",
            host: Self.host(.required, proving: .verified), message: { $0.requiresTLS = true })
        _ = Self.dialogue(
            Self.upTo220 + "S: 250-mx\nS: 250 REQUIRETLS\n> b@b\nC: MAIL FROM:<a@example.org>",
            host: Self.host(.required, proving: .verified))
        // A report (§5).
        _ = Self.dialogue(
            Self.upTo220 + "S: 250-mx\nS: 250 SIZE\n> b@b\nC: MAIL FROM:<> SIZE=20",
            host: Self.host(.required, proving: .verified),
            message: {
                $0.requiresTLS = true
                $0.reversePath = .null
            })
    }

    @Test("REQUIRETLS: without TLS, proof or the server's offer nothing is sent (RFC 8689 §4.2.1)")
    func requireTLSFails() {
        let cases: [(String, ClientSession.TLSUse, ClientSession.Security, EnhancedStatusCode)] = [
            (Self.offering("REQUIRETLS"), .ifOffered, .encrypted, EnhancedStatusCode(5, 7, 10)),
            (Self.upTo220 + "S: 250-mx\nS: 250 REQUIRETLS\n", .ifOffered, .encrypted, EnhancedStatusCode(5, 7, 10)),
            (Self.upTo220 + "S: 250-mx\nS: 250 SIZE\n", .required, .verified, EnhancedStatusCode(5, 7, 30)),
            (
                Self.offering("REQUIRETLS", "STARTTLS")
                    + "C: STARTTLS\nS: 220 Go\nC: <TLS>\nC: EHLO client.example\nS: 250-mx\nS: 250 SIZE\n",
                .required, .verified, EnhancedStatusCode(5, 7, 30)
            ),
        ]
        for (script, use, proved, status) in cases {
            let host = Self.dialogue(
                script + "> b@b c@b", host: Self.host(use, proving: proved), message: { $0.requiresTLS = true })
            #expect(host.results.last?.map(\.reply.status) == [status, status])
            #expect(host.results.last?.allSatisfy { $0.isLocal && $0.disposition.isPermanent } == true)
            #expect(host.isReady)
        }
    }
}
