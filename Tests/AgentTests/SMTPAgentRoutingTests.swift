import AgentProtocol
import Glibc
import MailModel
import SpoolFormat
import Synchronization
import Testing

@testable import SMTPAgent

@Suite("Where the SMTP agent goes, and for how long")
struct SMTPAgentRoutingTests {
    /// A clock that stands until it is moved.
    final class Clock: Sendable {
        private let time = Mutex<Int64>(1_000_000_000_000)
        var now: Int64 { time.withLock { $0 } }
        func advance(seconds: Int64) { time.withLock { $0 += seconds * 1_000_000_000 } }
    }

    private static func endpoint(_ number: UInt32) -> Endpoint {
        Endpoint(name: "mx\(number).test", place: .address(.v4(0x0a00_0000 + number), port: 25))
    }

    @Test("a place that failed is tried last for a while, longer each time, and first again when it has done well")
    func health() {
        let clock = Clock()
        let health = PlaceHealth(now: { clock.now })
        let all = (1...3).map { Self.endpoint(UInt32($0)) }
        #expect(health.ordered(all) == all)
        health.failed(all[0].place)
        #expect(health.ordered(all) == [all[1], all[2], all[0]])
        health.failed(all[1].place)
        #expect(health.ordered(all) == [all[2], all[0], all[1]])
        clock.advance(seconds: 61)
        #expect(health.ordered(all) == all)
        health.failed(all[0].place)
        clock.advance(seconds: 61)
        #expect(health.ordered(all) == [all[1], all[2], all[0]])
        clock.advance(seconds: 60)
        #expect(health.ordered(all) == all)
        for _ in 0..<100 { health.failed(all[0].place) }
        clock.advance(seconds: 1799)
        #expect(health.ordered(all).last == all[0])
        clock.advance(seconds: 2)
        #expect(health.ordered(all) == all)
        health.failed(all[0].place)
        health.succeeded(all[0].place)
        #expect(health.ordered(all) == all)
        for endpoint in all { health.failed(endpoint.place) }
        #expect(health.ordered(all) == all)
    }

    @Test("what is remembered of places is bounded, and the oldest goes first")
    func bounds() {
        let clock = Clock()
        let health = PlaceHealth(maximumEntries: 3, now: { clock.now })
        for number in 1...4 {
            health.failed(Self.endpoint(UInt32(number)).place)
            clock.advance(seconds: 1)
        }
        let all = (1...4).map { Self.endpoint(UInt32($0)) }
        #expect(health.ordered(all) == all)
        #expect(health.ordered([all[3], all[0]]) == [all[0], all[3]])
    }

    @Test("the second message goes to the second host at once when the first has just failed")
    func secondHostFirst() throws {
        var harness = try SMTPAgentHarness()
        defer { harness.peer.stop() }
        harness.options.sendsOneMessagePerConnection = true
        var script = SMTPAgentPeer.Script()
        script.greeting = "554 5.3.2 not me"
        let best = try SMTPAgentPeer(script, address: 0x7f00_0002, port: harness.peer.port)
        defer { best.stop() }
        harness.names.exchangers = ["b.test": ["mx1.test", "mx2.test"]]
        harness.names.addresses = ["mx1.test": "127.0.0.2", "mx2.test": "127.0.0.1"]
        let controls = try (0..<5).map { _ in
            try harness.spool.add([.from("s@a.test", [("smtp", "b.test", "u@b.test")])])
        }
        #expect(try harness.deliver(controls, host: "b.test").map(\.result) == Array(repeating: .ok, count: 5))
        #expect(best.connections == 1)
        #expect(harness.peer.connections == 5)
    }

    @Test("a host that throws away what was sent ahead is spoken to step by step from then on")
    func lyingPipelining() throws {
        var script = SMTPAgentPeer.Script()
        script.discardsPipelined = true
        var harness = try SMTPAgentHarness(script)
        defer { harness.peer.stop() }
        harness.options.timeouts.command = .milliseconds(700)
        let controls = try (0..<3).map { _ in try harness.spool.add([harness.group(["u@b.test"])]) }
        #expect(try harness.deliver(controls).map(\.result) == [.deferred, .ok, .ok])
        #expect(harness.peer.messages.count == 2)
    }

    @Test(
        "an idle session is closed at its time, at the latest after three minutes; no NOOP is ever said",
        arguments: [(60, 59, 2), (600, 179, 2)])
    func idle(idle: Int, kept: Int64, more: Int64) throws {
        let clock = Clock()
        var harness = try SMTPAgentHarness()
        defer { harness.peer.stop() }
        harness.clock = { clock.now }
        harness.options.timeouts.idle = .seconds(idle)
        let agent = try harness.agent()
        let first = try harness.spool.add([harness.group(["u@b.test"])])
        let second = try harness.spool.add([harness.group(["u@b.test"])])
        func deliver(_ control: ControlFile) throws {
            _ = try harness.spool.run(Borrowed(agent), input: "\(control.id)\t\(harness.host)\n")
        }
        try deliver(first)
        clock.advance(seconds: kept)
        agent.tick()
        try deliver(second)
        #expect(harness.peer.connections == 1)
        clock.advance(seconds: kept)
        agent.tick()
        #expect(!harness.peer.commands.contains("QUIT"))
        clock.advance(seconds: more)
        agent.tick()
        #expect(harness.peer.eventually { $0.commands.last == "QUIT" })
        #expect(!harness.peer.commands.contains("NOOP"))
    }

    /// An agent that outlives its runner's input.
    private struct Borrowed: TransportAgentBox {
        let agent: SMTPTransportAgent<SMTPAgentNames>
        init(_ agent: SMTPTransportAgent<SMTPAgentNames>) { self.agent = agent }
    }

    @Test("-D speaks to the host and sends nothing", arguments: [true, false])
    func connectionTest(isThere: Bool) throws {
        var harness = try SMTPAgentHarness()
        if !isThere { harness.peer.stop() }
        defer { if isThere { harness.peer.stop() } }
        harness.options.onlyConnects = true
        let control = try harness.spool.add([harness.group(["u@b.test", "v@b.test"])])
        let reports = try harness.deliver([control])
        #expect(reports.map(\.result) == [.deferred, .deferred])
        #expect(reports.first?.message.contains("connection test alone") == isThere)
        #expect(!harness.peer.commands.contains { $0.hasPrefix("MAIL") })
    }

    @Test("-e sends only to hosts that take mail for the recipient's own domain")
    func exchangers() throws {
        var harness = try SMTPAgentHarness()
        defer { harness.peer.stop() }
        harness.options.checksExchangers = true
        harness.names.exchangers = ["b.test": ["mx.test"], "c.test": ["other.test"]]
        harness.names.addresses = ["mx.test": "127.0.0.1", "other.test": "127.0.0.9", "d.test": "127.0.0.1"]
        harness.names.failing = ["e.test"]
        let control = try harness.spool.add([
            .from(
                "s@a.test",
                ["u@b.test", "u@c.test", "u@d.test", "u@e.test", "u@none.test", "postmaster"].map {
                    ("smtp", "b.test", $0)
                })
        ])
        let reports = try harness.deliver([control], host: "b.test")
        let outcomes = Dictionary(
            uniqueKeysWithValues: zip(
                reports.compactMap(\.notary?.finalRecipient), SMTPAgentReplyTests.outcomes(reports)))
        #expect(
            outcomes == [
                "u@b.test": "ok 2.0.0", "u@c.test": "deferred 4.4.4", "u@d.test": "ok 2.0.0",
                "u@e.test": "deferred 4.4.3",
                "u@none.test": "deferred 4.4.4", "postmaster": "ok 2.0.0",
            ])
        #expect(harness.peer.messages.map(\.recipients.count) == [3])
    }

    @Test("-F leads everything to a Unix-domain socket, by LMTP or SMTP", arguments: [true, false])
    func unixSocket(isLMTP: Bool) throws {
        var script = SMTPAgentPeer.Script()
        script.isLMTP = isLMTP
        var harness = try SMTPAgentHarness(script, unixName: "lmtp")
        defer { harness.peer.stop() }
        let path = "\(harness.spool.root)/queue/lmtp"
        harness.options.punt = NextHop("UNIX:\(path)")
        let control = try harness.spool.add([.from("s@a.test", [("smtp", "far.test", "u@far.test")])])
        let reports = try harness.deliver([control], host: "far.test")
        #expect(reports.map(\.result) == [.ok])
        #expect(reports.first?.notary?.action == (isLMTP ? .delivered : .relayed))
        #expect(reports.first?.notary?.remoteHost == "UNIX:\(path)")
        #expect(harness.peer.commands.first == (isLMTP ? "LHLO self.test" : "EHLO self.test"))
    }

    @Test(
        "-L is where connections come from, and -r from which ports",
        arguments: [("[127.0.0.3]", "127.0.0.3:"), ("iface:lo", "127.0.0.1:"), ("local.test", "127.0.0.4:")])
    func localEnd(text: String, expected: String) throws {
        var harness = try SMTPAgentHarness()
        defer { harness.peer.stop() }
        harness.names.addresses["local.test"] = "127.0.0.4"
        harness.options.localIdentity = LocalIdentity(text)?.resolved(by: harness.names)
        harness.options.sendBufferSize = 8192
        // Ports below 1024 are root's.
        harness.options.usesPrivilegedPort = geteuid() == 0
        let control = try harness.spool.add([harness.group(["u@b.test"])])
        #expect(try harness.deliver([control]).map(\.result) == [.ok])
        let client = try #require(harness.peer.clients.first)
        #expect(client.hasPrefix(expected), "\(client)")
        let port = try #require(Int(client.split(separator: ":").last ?? ""))
        #expect((512..<1024).contains(port) == (geteuid() == 0))
    }

    @Test("an interface that is not there makes mail wait")
    func noInterface() throws {
        var harness = try SMTPAgentHarness()
        defer { harness.peer.stop() }
        harness.options.localIdentity = .interface("none0")
        let control = try harness.spool.add([harness.group(["u@b.test"])])
        let reports = try harness.deliver([control])
        #expect(reports.map(\.result) == [.deferredAll])
        #expect(reports.first?.message.contains("interface none0") == true)
    }

    @Test("-E says EHLO only to who says ESMTP", arguments: [("220 mx ESMTP", "EHLO"), ("220 mx hello", "HELO")])
    func banner(greeting: String, verb: String) throws {
        var script = SMTPAgentPeer.Script()
        script.greeting = greeting
        var harness = try SMTPAgentHarness(script)
        defer { harness.peer.stop() }
        harness.options.needsESMTPBanner = true
        let control = try harness.spool.add([harness.group(["u@b.test"])])
        #expect(try harness.deliver([control]).map(\.result) == [.ok])
        #expect(harness.peer.commands.first == "\(verb) self.test")
    }

    @Test("-77 says HELO and sends 7 bits")
    func noESMTP() throws {
        var harness = try SMTPAgentHarness()
        defer { harness.peer.stop() }
        harness.options.usesHelloOnly = true
        harness.options.conversion.forcesSevenBit = true
        let control = try harness.spool.add([harness.group(["u@b.test"])], content: SMTPAgentConversionTests.eightBit)
        #expect(try harness.deliver([control]).map(\.result) == [.ok])
        #expect(harness.peer.commands.first == "HELO self.test")
        #expect(harness.peer.messages.map(\.content) == [SMTPAgentConversionTests.quotedPrintable])
    }

    @Test(
        "DSN parameters go to who knows them; others are no reason to forget that the sender asked",
        arguments: [true, false])
    func notify(hasDSN: Bool) throws {
        var script = SMTPAgentPeer.Script()
        script.keywords = hasDSN ? ["DSN"] : ["SIZE"]
        let harness = try SMTPAgentHarness(script)
        defer { harness.peer.stop() }
        var group = harness.group(["u@b.test", "v@b.test", "w@b.test"])
        group.recipients[0].notify = [.success]
        group.recipients[1].notify = .never
        group.recipients[0].originalRecipient = "rfc822;o+2Bx@a.test"
        let control = try harness.spool.add([group]) {
            $0.envelopeID = "a+2Bb"
            $0.notaryReturn = .full
        }
        let reports = try harness.deliver([control])
        let message = try #require(harness.peer.messages.first)
        #expect(message.mail.contains("RET=FULL ENVID=a+2Bb") == hasDSN)
        #expect(
            message.recipients.first
                == (hasDSN ? "RCPT TO:<u@b.test> NOTIFY=SUCCESS ORCPT=rfc822;o+2Bx@a.test" : "RCPT TO:<u@b.test>"))
        #expect(message.recipients[1] == (hasDSN ? "RCPT TO:<v@b.test> NOTIFY=NEVER" : "RCPT TO:<v@b.test>"))
        // RFC 3461 §5.2.2: the relayed report is ours to make where the next host knows nothing of DSN.
        #expect(reports.map { $0.notary == nil } == [hasDSN, false, false])
        if !hasDSN { #expect(reports.first?.notary?.action == .relayed) }
    }
}
