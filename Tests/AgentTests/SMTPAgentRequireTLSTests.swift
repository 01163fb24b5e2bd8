import AgentProtocol
import Configuration
import MailModel
import SpoolFormat
import Testing

@testable import SMTPAgent

@Suite("REQUIRETLS on its way through the SMTP agent (RFC 8689 §4.2.1)")
struct SMTPAgentRequireTLSTests {
    static func offering(_ script: inout SMTPAgentPeer.Script) { script.keywordsInTLS = ["REQUIRETLS", "PIPELINING"] }

    @Test(
        "goes with MAIL to a server that has proved who it is, whatever the level",
        arguments: ["none", "may", "encrypt", "verify", SMTPAgentTLSTests.fingerprint])
    func granted(level: String) throws {
        let harness = try SMTPAgentTLSTests.harness(level, .good, Self.offering)
        #expect(try SMTPAgentTLSTests.deliver(harness, requiresTLS: true).result == .ok)
        #expect(harness.peer.messages.map(\.mail) == ["MAIL FROM:<s@a.test> REQUIRETLS"])
        #expect(harness.peer.clearCommands == SMTPAgentTLSTests.bare)
    }

    @Test("other messages do not ask for it")
    func others() throws {
        let harness = try SMTPAgentTLSTests.harness("verify", .good, Self.offering)
        #expect(try SMTPAgentTLSTests.deliver(harness).result == .ok)
        #expect(harness.peer.messages.map(\.mail) == ["MAIL FROM:<s@a.test>"])
    }

    @Test("a server without REQUIRETLS: returned with 5.7.30, and no MAIL is said")
    func notOffered() throws {
        let harness = try SMTPAgentTLSTests.harness("may")
        let report = try SMTPAgentTLSTests.deliver(harness, requiresTLS: true)
        #expect(report.result == .failed)
        #expect(report.notary?.status == "5.7.30")
        #expect(harness.peer.commands == SMTPAgentTLSTests.bare + ["EHLO self.test", "QUIT"])
    }

    @Test(
        "a server without TLS, or without proof: returned with 5.7.10",
        arguments: ["offer", "reply", "proof", "handshake"])
    func noTLS(missing: String) throws {
        let harness = try SMTPAgentTLSTests.harness("may", missing == "proof" ? .selfSigned : .good) {
            switch missing {
            case "offer": $0.keywords = ["REQUIRETLS"]
            case "reply": $0.startTLSReply = "502 5.5.1 no"
            case "handshake": $0.handshake = .garbage
            default: Self.offering(&$0)
            }
        }
        let report = try SMTPAgentTLSTests.deliver(harness, requiresTLS: true)
        #expect(report.result == .failed)
        #expect(report.notary?.status == "5.7.10")
        #expect(!harness.peer.commands.contains { $0.hasPrefix("MAIL") })
        #expect(harness.peer.connections == 1)
    }

    @Test(
        "a server that says later, or cannot be reached, makes it wait, and nothing else",
        arguments: ["454", "dead", "closed"])
    func later(what: String) throws {
        let harness = try SMTPAgentTLSTests.harness("may", .good) {
            if what == "454" { $0.startTLSReply = "454 4.7.0 later" }
            if what == "closed" { $0.handshake = .closed }
        }
        if what == "dead" { harness.peer.stop() }
        defer { if what != "dead" { harness.peer.stop() } }
        let control = try harness.spool.add([harness.group(["u@b.test"])]) { $0.requiresTLS = true }
        #expect(try harness.deliver([control]).map(\.result) == [.deferred])
        #expect(!harness.peer.commands.contains { $0.hasPrefix("MAIL") })
    }

    @Test("every host is asked: the second one may do what the first does not; one that is down leaves hope")
    func hosts() throws {
        for (first, expected) in [("plain", DeliveryResult.ok), ("plain-last", .failed), ("dead-last", .deferred)] {
            var harness = try SMTPAgentTLSTests.harness("may match=hostname", .good) {
                if first == "plain" { Self.offering(&$0) }
            }
            let other = first == "dead-last" ? nil : try SMTPAgentPeer(address: 0x7f00_0002, port: harness.peer.port)
            defer { other?.stop() }
            harness.names.exchangers = ["c.test": ["mx0.test", "mx1.test"]]
            harness.names.addresses = ["mx0.test": "127.0.0.2", "mx1.test": "127.0.0.1"]
            let report = try SMTPAgentTLSTests.deliver(harness, host: "c.test", requiresTLS: true)
            #expect(report.result == expected, "\(first): \(report.message)")
            #expect(other?.messages.isEmpty ?? true)
            #expect(harness.peer.messages.count == (first == "plain" ? 1 : 0))
        }
    }

    @Test(
        "the MX host's name alone proves nothing where the DNS may be forged (RFC 8689 §4.2.1, step 2)",
        arguments: [true, false])
    func secureNames(isSecure: Bool) throws {
        var harness = try SMTPAgentTLSTests.harness("may", .good, Self.offering)
        harness.names.exchangers = ["c.test": ["mx1.test"]]
        harness.names.addresses = ["mx1.test": "127.0.0.1"]
        harness.names.isSecure = isSecure
        let report = try SMTPAgentTLSTests.deliver(harness, host: "c.test", requiresTLS: true)
        #expect(report.result == (isSecure ? .ok : .failed))
        #expect(harness.peer.messages.count == (isSecure ? 1 : 0))
    }

    @Test("its sessions are its own: a host that the others go to may not be the one that it needs")
    func pool() throws {
        var harness = try SMTPAgentTLSTests.harness("may match=hostname", .good, Self.offering)
        let other = try SMTPAgentPeer(address: 0x7f00_0002, port: harness.peer.port)
        defer {
            harness.peer.stop()
            other.stop()
        }
        harness.names.exchangers = ["c.test": ["mx0.test", "mx1.test"]]
        harness.names.addresses = ["mx0.test": "127.0.0.2", "mx1.test": "127.0.0.1"]
        let controls = try [false, true, false, true].map { requiresTLS in
            try harness.spool.add([.from("s@a.test", [("smtp", "c.test", "u@b.test")])]) {
                $0.requiresTLS = requiresTLS
            }
        }
        #expect(try harness.deliver(controls, host: "c.test").map(\.result) == [.ok, .ok, .ok, .ok])
        #expect(harness.peer.messages.map { $0.mail.hasSuffix(" REQUIRETLS") } == [true, true])
        #expect(other.messages.count == 2)
    }

    @Test("a report about it goes to a server that has proved who it is, with REQUIRETLS where that is offered (§5)")
    func report() throws {
        for (isOffered, certificate) in [(true, TLSFixtures.Certificate.good), (false, .good), (true, .selfSigned)] {
            let harness = try SMTPAgentTLSTests.harness("may", certificate) { if isOffered { Self.offering(&$0) } }
            defer { harness.peer.stop() }
            var group = harness.group(["u@b.test"])
            group.sender = Quad(channel: "error", host: "-", user: "-", privilege: 0)
            let control = try harness.spool.add([group]) { $0.requiresTLS = true }
            let isGood = certificate == .good
            #expect(try harness.deliver([control]).map(\.result) == [isGood ? .ok : .failed])
            let mails = harness.peer.messages.map(\.mail)
            #expect(mails.count == (isGood ? 1 : 0))
            #expect(mails.allSatisfy { $0.hasPrefix("MAIL FROM:<>") && $0.hasSuffix(" REQUIRETLS") == isOffered })
        }
    }

    @Test("LMTP to a program of this machine needs no TLS")
    func unixSocket() throws {
        let harness = try SMTPAgentHarness()
        defer { harness.peer.stop() }
        let tls = try ClientTLS(SMTPTLSConfiguration.parse("demand-tls-mode", file: "t"), file: "t", log: nil)
        let hop = try #require(NextHop("UNIX:/run/lmtp"))
        #expect(tls.policy(for: hop, defaultPort: 25, isIdentityRequired: false).level == .none)
    }
}
