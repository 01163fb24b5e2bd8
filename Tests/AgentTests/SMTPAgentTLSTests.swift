import AgentProtocol
import Configuration
import MailModel
import SpoolFormat
import Testing
import TransportSecurity

@testable import SMTPAgent

@Suite("TLS of the SMTP agent")
struct SMTPAgentTLSTests {
    /// A peer with TLS and an agent with one line of smtp-tls.conf for it; the peer's authority is trusted.
    static func harness(
        _ level: String, _ certificate: TLSFixtures.Certificate = .good, trusting authority: String? = nil,
        _ change: (inout SMTPAgentPeer.Script) throws -> Void = { _ in }
    ) throws -> SMTPAgentHarness {
        var script = SMTPAgentPeer.Script()
        script.keywords = ["STARTTLS", "SIZE 10"]
        script.tls = try TLSFixtures.server(certificate)
        try change(&script)
        var harness = try SMTPAgentHarness(script)
        let file = try TLSFixtures.File(authority ?? TLSFixtures.authority)
        harness.tls = try SMTPTLSConfiguration.parse(
            "tls-CAfile \(file.path)\ndestination * \(level)\n", file: "smtp-tls.conf")
        harness.files = [file]
        return harness
    }

    /// Delivers one message; the peer is stopped.
    static func deliver(
        _ harness: SMTPAgentHarness, host: String? = nil, requiresTLS: Bool = false
    ) throws -> AgentReport {
        defer { harness.peer.stop() }
        let control = try harness.spool.add(
            [.from("s@a.test", [("smtp", host ?? harness.host, "u@b.test")])]
        ) { $0.requiresTLS = requiresTLS }
        let reports = try harness.deliver([control], host: host)
        #expect(reports.count == 1)
        return try #require(reports.first)
    }

    static let fingerprint = "fingerprint fingerprint=sha256:\(TLSFixtures.goodFingerprint)"
    /// Levels that need TLS.
    static let strict = ["encrypt", "verify", fingerprint]
    static let bare = ["EHLO self.test", "STARTTLS"]

    @Test("TLS where it is offered: nothing but EHLO and STARTTLS goes in clear text", arguments: ["may"] + strict)
    func offered(level: String) throws {
        let harness = try Self.harness(level)
        #expect(try Self.deliver(harness).result == .ok)
        #expect(harness.peer.clearCommands == Self.bare)
        #expect(harness.peer.commands.prefix(4).last?.hasPrefix("MAIL FROM:<s@a.test> SIZE=") == true)
        #expect(harness.peer.messages.map(\.isInTLS) == [true])
        #expect(harness.peer.connections == 1)
    }

    @Test("level none does not say STARTTLS")
    func none() throws {
        let harness = try Self.harness("none") { $0.keywords = ["STARTTLS"] }
        #expect(try Self.deliver(harness).result == .ok)
        #expect(harness.peer.messages.map(\.isInTLS) == [false])
        #expect(!harness.peer.commands.contains("STARTTLS"))
    }

    @Test("TLS not offered: clear text at level may; the others wait, and no MAIL is said", arguments: ["may"] + strict)
    func notOffered(level: String) throws {
        let harness = try Self.harness(level) { $0.keywords = ["PIPELINING"] }
        let report = try Self.deliver(harness)
        if level == "may" {
            #expect(report.result == .ok)
            #expect(harness.peer.messages.map(\.isInTLS) == [false])
            return
        }
        #expect(report.result == .deferredAll)
        #expect(report.notary?.status == "4.7.4")
        #expect(report.message.hasSuffix("TLS is required and was not offered"))
        #expect(harness.peer.eventually { $0.commands.last == "QUIT" })
        #expect(harness.peer.commands == ["EHLO self.test", "QUIT"])
    }

    @Test(
        "STARTTLS refused: the same session goes on at level may; the others wait, and no MAIL is said",
        arguments: ["may"] + strict, ["454 4.7.0 not now", "502 5.5.1 what?"])
    func refused(level: String, reply: String) throws {
        let harness = try Self.harness(level) {
            $0.startTLSReply = reply
            $0.keywords = ["STARTTLS"]
        }
        let report = try Self.deliver(harness)
        #expect(harness.peer.connections == 1)
        if level == "may" {
            #expect(report.result == .ok)
            #expect(harness.peer.messages.map(\.isInTLS) == [false])
            return
        }
        #expect(report.result == .deferredAll)
        #expect(report.notary?.status == (reply.first == "4" ? "4.7.0" : "4.5.1"))
        #expect(report.message.hasSuffix("TLS is required and was refused: \(reply)"))
        #expect(harness.peer.eventually { $0.commands.last == "QUIT" })
        #expect(harness.peer.commands == Self.bare + ["QUIT"])
    }

    @Test(
        "a broken handshake: a second connection in clear text at level may; the others wait, and no MAIL is said",
        arguments: ["may"] + strict, [SMTPAgentPeer.Handshake.closed, .garbage, .silence, .doneAndClosed])
    func brokenHandshake(level: String, handshake: SMTPAgentPeer.Handshake) throws {
        var harness = try Self.harness(level) {
            $0.handshake = handshake
            $0.keywords = ["STARTTLS"]
        }
        harness.options.timeouts.command = .milliseconds(500)
        let report = try Self.deliver(harness)
        if level == "may" {
            #expect(report.result == .ok)
            #expect(harness.peer.messages.map(\.connection) == [2])
            #expect(harness.peer.messages.map(\.isInTLS) == [false])
            #expect(Array(harness.peer.clearCommands.prefix(3)) == Self.bare + ["EHLO self.test"])
            return
        }
        #expect(report.result == .deferredAll)
        #expect(report.notary?.status == "4.7.5")
        #expect(harness.peer.connections == 1)
        #expect(Array(harness.peer.commands.prefix(2)) == Self.bare)
        #expect(!harness.peer.commands.contains { $0.hasPrefix("MAIL") })
    }

    @Test("no version of TLS in common is a broken handshake", arguments: ["may", "encrypt"])
    func versions(level: String) throws {
        let harness = try Self.harness("\(level) protocols=TLSv1.2") {
            $0.tls = try TLSFixtures.server(.good) { $0.minimumProtocol = .tls13 }
            $0.keywords = ["STARTTLS"]
        }
        let report = try Self.deliver(harness)
        #expect(report.result == (level == "may" ? .ok : .deferredAll))
        #expect(harness.peer.messages.map(\.isInTLS) == (level == "may" ? [false] : []))
        #expect(harness.peer.resumed.isEmpty)
    }

    @Test(
        "any certificate will do at the levels may and encrypt", arguments: ["may", "encrypt"],
        TLSFixtures.Certificate.allCases)
    func anyCertificate(level: String, certificate: TLSFixtures.Certificate) throws {
        let harness = try Self.harness(level, certificate)
        #expect(try Self.deliver(harness).result == .ok)
        #expect(harness.peer.messages.map(\.isInTLS) == [true])
        #expect(harness.peer.clearCommands == Self.bare)
    }

    @Test(
        "level verify: wrong name, expired, self-signed and untrusted wait; nothing is said inside TLS",
        arguments: [TLSFixtures.Certificate.wrongName, .expired, .selfSigned, .good])
    func untrusted(certificate: TLSFixtures.Certificate) throws {
        // The good one is the one of an authority that is not trusted.
        let authority = certificate == .good ? TLSFixtures.selfSigned : nil
        let harness = try Self.harness("verify", certificate, trusting: authority)
        let report = try Self.deliver(harness)
        #expect(report.result == .deferredAll)
        #expect(report.notary?.status == "4.7.5")
        #expect(report.message.contains("TLS: certificate verify failed"))
        #expect(harness.peer.commands == Self.bare)
    }

    @Test("level fingerprint looks at nothing else")
    func fingerprints() throws {
        let pinned = try Self.harness(Self.fingerprint, trusting: TLSFixtures.selfSigned)
        #expect(try Self.deliver(pinned).result == .ok)
        let other = try Self.harness(Self.fingerprint, .selfSigned)
        let report = try Self.deliver(other)
        #expect(report.notary?.status == "4.7.5")
        #expect(other.peer.commands == Self.bare)
    }

    @Test("clear text behind the reply to STARTTLS ends the attempt at every level", arguments: ["may"] + strict)
    func injection(level: String) throws {
        let harness = try Self.harness(level) { $0.injection = "250-mx\r\n250 AUTH PLAIN\r\n" }
        let report = try Self.deliver(harness)
        #expect(report.result == .deferredAll)
        #expect(report.notary?.status == "4.7.5")
        #expect(report.message.contains("clear text behind the reply to STARTTLS"))
        #expect(harness.peer.commands == Self.bare)
        #expect(harness.peer.connections == 1)
    }

    @Test(
        "what names count: the next hop's, and the host's where nobody can have forged it or match= says so",
        arguments: [
            // MX of c.test is mx1.test, for which the certificate is.
            ("c.test", "verify", false, false), ("c.test", "verify", true, true),
            ("c.test", "verify match=hostname", false, true), ("c.test", "verify match=b.test", false, true),
            ("c.test", "verify match=nexthop", true, false), ("c.test", "verify match=.test", false, true),
            ("c.test", "verify match=.b.test", false, false),
            // b.test is in the certificate; its MX host is not.
            ("b.test", "verify", false, true), ("b.test", "verify match=hostname", false, false),
            // Names below the next hop: *.wild.test.
            ("wild.test", "verify", false, true), ("wild.test", "verify match=nexthop", false, false),
            // No MX records: the name is the next hop.
            ("[mx1.test]", "verify", false, true), ("[b.test]", "verify match=hostname", false, true),
            ("[other.test]", "verify", false, false), ("[127.0.0.1]", "verify", false, true),
            ("[127.0.0.1]", "verify match=mx1.test", false, true), ("[127.0.0.1]", "verify match=x.test", false, false),
        ])
    func names(host: String, level: String, isSecure: Bool, isGood: Bool) throws {
        var harness = try Self.harness(level)
        harness.names.exchangers = ["c.test": ["mx1.test"], "b.test": ["mx9.test"], "wild.test": ["mx9.test"]]
        for name in ["mx1.test", "mx9.test", "b.test", "c.test", "wild.test", "other.test"] {
            harness.names.addresses[name] = "127.0.0.1"
        }
        harness.names.isSecure = isSecure
        let report = try Self.deliver(harness, host: host)
        #expect(report.result == (isGood ? .ok : .deferredAll), "\(report.message)")
        #expect(harness.peer.messages.map(\.isInTLS) == (isGood ? [true] : []))
        #expect(harness.peer.clearCommands == Self.bare)
    }

    @Test("the next host is tried where the first does not do TLS as it is wanted")
    func nextHost() throws {
        var harness = try Self.harness("verify match=hostname")
        var script = SMTPAgentPeer.Script()
        script.keywords = ["STARTTLS"]
        script.tls = try TLSFixtures.server(.wrongName)
        let other = try SMTPAgentPeer(script, address: 0x7f00_0002, port: harness.peer.port)
        defer { other.stop() }
        harness.names.exchangers = ["c.test": ["mx0.test", "mx1.test"]]
        harness.names.addresses = ["mx0.test": "127.0.0.2", "mx1.test": "127.0.0.1"]
        #expect(try Self.deliver(harness, host: "c.test").result == .ok)
        #expect(other.commands == Self.bare)
        #expect(harness.peer.messages.map(\.isInTLS) == [true])
    }

    @Test("wrapper: TLS before the greeting")
    func wrapper() throws {
        let harness = try Self.harness("verify wrapper") { $0.isWrapped = true }
        #expect(try Self.deliver(harness).result == .ok)
        #expect(harness.peer.clearCommands == [])
        #expect(harness.peer.messages.map(\.isInTLS) == [true])
        let plain = try Self.harness("encrypt wrapper")
        let report = try Self.deliver(plain)
        #expect(report.notary?.status == "4.7.5")
        #expect(!plain.peer.commands.contains { $0.hasPrefix("MAIL") })
    }

    @Test("a handshake that drips holds a job no longer than a job may take")
    func deadline() throws {
        var harness = try Self.harness("encrypt wrapper") { $0.drips = true }
        harness.options.timeouts.job = .milliseconds(300)
        let start = ContinuousClock.now
        #expect(try Self.deliver(harness).result == .deferredAll)
        #expect(ContinuousClock.now - start < .seconds(20))
    }

    @Test("a place where TLS hangs is not waited for again and again")
    func remembered() throws {
        var harness = try Self.harness("may") {
            $0.handshake = .silence
            $0.keywords = ["STARTTLS"]
        }
        defer { harness.peer.stop() }
        harness.options.timeouts.command = .milliseconds(1500)
        harness.options.sendsOneMessagePerConnection = true
        let controls = try (0..<5).map { _ in try harness.spool.add([harness.group(["u@b.test"])]) }
        #expect(try harness.deliver(controls).map(\.result) == Array(repeating: .ok, count: 5))
        // One attempt with TLS, or a second one on a slow machine.
        #expect(harness.peer.commands.count { $0 == "STARTTLS" } < 5)
    }
}
