import Configuration
import Glibc
import MailModel
import Policy
import Telemetry
import Testing
import TransportSecurity

@testable import SMTPServer

/// TLS of a worker's sessions, with OpenSSL at both ends.
@Suite(.serialized) struct WorkerSecurityTests {
    static let tls = ["use-tls", "tls-cert-file \(TestCertificate.path)"]

    func submit(_ dialogue: Dialogue, size: Int = 0) throws -> String {
        try dialogue.send("MAIL FROM:<a@b.example>\r\nRCPT TO:<x@e.test>\r\nDATA\r\n")
        try dialogue.expect("250 2.1.0 ")
        try dialogue.expect("250 2.1.5 ")
        try dialogue.expect("354 ")
        let line = String(repeating: "x", count: 98) + "\r\n"
        try dialogue.send("Subject: t\r\n\r\n" + String(repeating: line, count: size / 100) + "x\r\n.\r\n")
        let reply = try dialogue.expectReply("250")
        return String(reply.split(separator: " ").last ?? "")
    }

    @Test("STARTTLS: the session begins anew behind the handshake, the mail is marked, the log tells of it")
    func startTLS() throws {
        let fixture = try WorkerFixture(parameters: Self.tls + ["rcvd-tls-mode"])
        let dialogue = try fixture.greeted()
        try dialogue.send("STARTTLS\r\n")
        try dialogue.expect("220 2.0.0 Ready to start TLS")
        try dialogue.startTLS()
        #expect(dialogue.tlsInfo?.protocolName == "TLSv1.3")
        try dialogue.send("MAIL FROM:<a@b.example>\r\n")
        try dialogue.expect("503 5.5.1 ")
        try dialogue.send("EHLO client.example\r\n")
        try dialogue.expectReply("250")
        let id = try submit(dialogue)
        let message = try fixture.message(id)
        #expect(message.contains("with ESMTPS id \(id)"))
        #expect(message.contains("TLS-CIPHER: \"TLSv1.3 TLS_"))
        try dialogue.send("QUIT\r\n")
        try dialogue.expect("221 ")
        try dialogue.expectEnd()
        let log = try fixture.log()
        #expect(log.contains(" tls session="))
        #expect(log.contains("protocol=TLSv1.3"))
        let metrics = fixture.worker.intake.metrics.metrics.text
        #expect(metrics.contains("zmailer_smtp_tls_handshakes_total{outcome=\"full\"} 1\n"), "\(metrics)")
    }

    @Test("a megabyte comes through, and so does a reply to a burst of commands")
    func large() throws {
        let fixture = try WorkerFixture(parameters: Self.tls)
        let dialogue = try fixture.greeted()
        try dialogue.send("STARTTLS\r\n")
        try dialogue.expect("220 ")
        try dialogue.startTLS()
        try dialogue.send("EHLO client.example\r\n" + String(repeating: "NOOP\r\n", count: 1000))
        try dialogue.expectReply("250")
        for _ in 0..<1000 { try dialogue.expect("250 2.0.0 Ok") }
        let id = try submit(dialogue, size: 1_000_000)
        #expect(try fixture.message(id).utf8.count > 1_000_000)
    }

    @Test("TLS before the greeting, where the listener has it")
    func implicit() throws {
        let fixture = try WorkerFixture(
            parameters: ["tls-cert-file \(TestCertificate.path)", "BindSmtpS any"],
            role: ListenerRole(service: .smtps, port: 465))
        let dialogue = try fixture.connect()
        try dialogue.startTLS()
        try dialogue.expect("220 ")
        try dialogue.send("EHLO c\r\n")
        try dialogue.expectReply("250")
        _ = try submit(dialogue)
    }

    @Test("what is behind STARTTLS in one segment is no command, neither in clear text nor in TLS")
    func injection() throws {
        let fixture = try WorkerFixture(parameters: Self.tls)
        let dialogue = try fixture.greeted()
        try dialogue.send("STARTTLS\r\nMAIL FROM:<evil@b.example>\r\n")
        try dialogue.expect("501 5.5.4 ")
        try dialogue.expectEnd()
        #expect(!fixture.policy.questions.contains { $0.verb == .mail })
    }

    @Test(
        "what is no handshake ends the session, and nobody else's",
        arguments: ["MAIL FROM:<evil@b.example>\r\n", "\u{16}\u{3}\u{1}", String(repeating: "x", count: 100_000)])
    func garbage(text: String) throws {
        let fixture = try WorkerFixture(parameters: Self.tls, timeouts: Self.short)
        let other = try fixture.greeted()
        let dialogue = try fixture.greeted()
        try dialogue.send("STARTTLS\r\n")
        try dialogue.expect("220 ")
        try dialogue.send(text)
        dialogue.shutdownSending()
        while try dialogue.receiveRaw() != nil {}
        #expect(!fixture.policy.questions.contains { $0.verb == .mail })
        try eventually("it is told") { try fixture.log().contains("tls-failed") }
        let metrics = fixture.worker.intake.metrics.metrics.text
        #expect(metrics.contains("zmailer_smtp_tls_handshakes_total{outcome=\"failed\"} 1\n"), "\(metrics)")
        try other.send("NOOP\r\n")
        try other.expect("250 2.0.0 Ok")
    }

    static let short: Timeouts = {
        var timeouts = Timeouts()
        timeouts.command = 5
        return timeouts
    }()

    @Test("new certificates hold for new sessions, and those that are there go on")
    func reload() throws {
        let fixture = try WorkerFixture(parameters: Self.tls)
        let settings = fixture.worker.settings
        let plan = TLSPlan(settings)
        let contexts = try TLSContexts(plan, try plan.read(), threads: 1)
        let before = try #require(contexts.context(of: 0))
        try contexts.replace(try plan.read())
        #expect(contexts.context(of: 0) !== before)
        #expect(throws: (any Error).self) { try TLSBundle(octets: [1, 2, 3]) }
        let bundle = try plan.read()
        #expect(try TLSBundle(octets: bundle.encoded()).materials == bundle.materials)
    }

    @Test("a client that begins with TLS on a port that is not 25 gets it, with outlook-tls-bug; others are greeted")
    func outlook() throws {
        let fixture = try WorkerFixture(parameters: Self.tls + ["outlook-tls-bug"])
        let hasty = try fixture.connect()
        try hasty.startTLS()
        try hasty.expect("220 ")
        let patient = try fixture.connect()
        try patient.expect("220 ")
        try patient.send("EHLO c\r\n")
        try patient.expectReply("250")
    }

    @Test("REQUIRETLS and the other wishes of a message are in its envelope")
    func envelope() throws {
        let fixture = try WorkerFixture(
            parameters: Self.tls + ["deliverby 10", "mt-priority", "future-release 600"],
            policy: { question in
                var answer = PolicyAnswer(number: question.number, verdict: .accept, reason: "script")
                answer.trust = .granted
                return answer
            })
        let dialogue = try fixture.greeted()
        try dialogue.send("STARTTLS\r\n")
        try dialogue.expect("220 ")
        try dialogue.startTLS()
        try dialogue.send("EHLO c\r\n")
        try dialogue.expectReply("250")
        try dialogue.send(
            "MAIL FROM:<a@b.example> REQUIRETLS BY=100;RT MT-PRIORITY=4 HOLDFOR=60 AUTH=a+40b\r\nRCPT TO:<x@e.test>\r\n"
                + "DATA\r\n")
        try dialogue.expect("250 2.1.0 ")
        try dialogue.expect("250 2.1.5 ")
        try dialogue.expect("354 ")
        try dialogue.send("x\r\n.\r\n")
        let id = String(try dialogue.expectReply("250").split(separator: " ").last ?? "")
        let lines = try fixture.message(id).split(separator: "\n").map { $0.filter { $0 != "\r" } }
        #expect(lines.contains("requiretls"))
        #expect(lines.contains("mtpriority 4"))
        #expect(lines.contains { $0.hasPrefix("deliverby ") && $0.hasSuffix(" R T") })
        #expect(lines.contains { $0.hasPrefix("holduntil ") && $0.hasSuffix(" for=60") })
        #expect(lines.contains("smtpauth a+40b"))
    }
}
