import AgentProtocol
import MailModel
import SpoolFormat
import Testing

@testable import SMTPAgent

@Suite("Connections of the SMTP agent")
struct SMTPAgentConnectionTests {
    @Test("messages to the same hop share a connection; -1 gives each its own", arguments: [true, false])
    func reuse(single: Bool) throws {
        var harness = try SMTPAgentHarness()
        defer { harness.peer.stop() }
        harness.options.sendsOneMessagePerConnection = single
        let controls = try (0..<5).map { _ in try harness.spool.add([harness.group(["u@b.test"])]) }
        #expect(try harness.deliver(controls).map(\.result) == Array(repeating: .ok, count: 5))
        #expect(harness.peer.messages.count == 5)
        #expect(harness.peer.connections == (single ? 5 : 1))
        // The agent does not wait for the answer to QUIT.
        #expect(harness.peer.eventually { $0.commands.count { $0 == "QUIT" } == (single ? 5 : 1) })
    }

    @Test(
        "a connection carries no more messages than the job's clause allows",
        arguments: [(1, 6), (2, 3), (4, 2), (6, 1)])
    func messagesPerConnection(limit: Int, connections: Int) throws {
        let harness = try SMTPAgentHarness()
        defer { harness.peer.stop() }
        let controls = try (0..<6).map { _ in try harness.spool.add([harness.group(["u@b.test"])]) }
        let input = controls.map { "\($0.id)\t\(harness.host)\tmaxmsgs=\(limit)\n" }.joined()
        #expect(try harness.run(input).map(\.result) == Array(repeating: .ok, count: 6))
        #expect(harness.peer.connections == connections)
        #expect(harness.peer.messages.count == 6)
    }

    @Test("many jobs at once use at most as many connections, and each message arrives once")
    func parallel() throws {
        let harness = try SMTPAgentHarness()
        defer { harness.peer.stop() }
        let controls = try (0..<200).map {
            try harness.spool.add([harness.group(["u\($0)@b.test"])], content: "Subject: \($0)\r\n\r\nx\r\n")
        }
        let reports = try harness.deliver(controls, jobs: 8)
        #expect(reports.count == 200)
        #expect(reports.allSatisfy { $0.result == .ok })
        #expect(Set(harness.peer.messages.map(\.content)).count == 200)
        #expect(harness.peer.messages.count == 200)
        #expect(harness.peer.connections <= 8)
    }

    @Test("a server that drips its reply octet by octet holds a job no longer than a job may take")
    func dripping() throws {
        var script = SMTPAgentPeer.Script()
        script.drips = true
        var harness = try SMTPAgentHarness(script)
        defer { harness.peer.stop() }
        harness.options.timeouts.job = .milliseconds(300)
        let control = try harness.spool.add([harness.group(["u@b.test"])])
        let start = ContinuousClock.now
        let reports = try harness.deliver([control])
        #expect(reports.map(\.result) == [.deferredAll])
        #expect(reports.first?.message.contains("reply timed out") == true)
        // The line would be too long after 80 s.
        #expect(ContinuousClock.now - start < .seconds(20))
    }

    @Test("an idle connection that the peer has closed is replaced")
    func closedByPeer() throws {
        var script = SMTPAgentPeer.Script()
        script.messagesPerConnection = 2
        let harness = try SMTPAgentHarness(script)
        defer { harness.peer.stop() }
        let controls = try (0..<6).map { _ in try harness.spool.add([harness.group(["u@b.test"])]) }
        #expect(try harness.deliver(controls).map(\.result) == Array(repeating: .ok, count: 6))
        #expect(harness.peer.messages.count == 6)
        #expect(harness.peer.connections == 3)
    }

    @Test("a kept connection that dies before its reply to MAIL is replaced, once")
    func diesAtMail() throws {
        var script = SMTPAgentPeer.Script()
        script.dropsSecondMail = [1]
        let harness = try SMTPAgentHarness(script)
        defer { harness.peer.stop() }
        let controls = try (0..<3).map { _ in try harness.spool.add([harness.group(["u@b.test"])]) }
        #expect(try harness.deliver(controls).map(\.result) == [.ok, .ok, .ok])
        #expect(harness.peer.connections == 2)
        #expect(harness.peer.messages.map(\.connection) == [1, 2, 2])
    }

    @Test("a connection that ends behind the content defers: whether the message was taken is unknown")
    func diesBehindContent() throws {
        var script = SMTPAgentPeer.Script()
        script.dropsBehindContent = true
        let harness = try SMTPAgentHarness(script)
        defer { harness.peer.stop() }
        let control = try harness.spool.add([harness.group(["u@b.test"])])
        let reports = try harness.deliver([control])
        #expect(reports.map(\.result) == [.deferred])
        #expect(reports.first?.notary?.status == "4.4.2")
        #expect(harness.peer.messages.count == 1)
        #expect(
            reports.first?.message
                == "[127.0.0.1]: 451 4.4.2 connection closed by the remote host while "
                + "waiting for the reply to the end of the message")
    }

    @Test("the next host is tried when the first cannot be reached or refuses", arguments: ["dead", "refusing"])
    func fallback(first: String) throws {
        var harness = try SMTPAgentHarness()
        defer { harness.peer.stop() }
        // 127.0.0.2 is loopback too: the same port at another address.
        var script = SMTPAgentPeer.Script()
        script.greeting = "554 5.3.2 not me"
        let other = first == "dead" ? nil : try SMTPAgentPeer(script, address: 0x7f00_0002, port: harness.peer.port)
        defer { other?.stop() }
        harness.names.exchangers = ["b.test": ["mx1.test", "mx2.test"]]
        harness.names.addresses = ["mx1.test": "127.0.0.2", "mx2.test": "127.0.0.1"]
        let control = try harness.spool.add([.from("s@a.test", [("smtp", "b.test", "u@b.test")])])
        let reports = try harness.deliver([control], host: "b.test")
        #expect(reports.map(\.result) == [.ok])
        #expect(reports.first?.notary?.remoteHost == "mx2.test (127.0.0.1)")
        #expect(harness.peer.messages.count == 1)
    }

    @Test("a hop that cannot be reached defers the whole thread")
    func unreachable() throws {
        let harness = try SMTPAgentHarness()
        harness.peer.stop()
        let control = try harness.spool.add([harness.group(["u@b.test", "v@b.test"])])
        let reports = try harness.deliver([control])
        #expect(reports.map(\.result) == [.deferredAll, .deferredAll])
        #expect(reports.map(\.notary?.action) == [.delayed, .delayed])
        #expect(reports.first?.notary?.status == "4.4.1")
        #expect(reports.first?.message == "[127.0.0.1]:\(harness.peer.port): connect: Connection refused")
    }

    @Test("a host that says nothing is given up after the timeout, and left alone for as long")
    func silent() throws {
        var script = SMTPAgentPeer.Script()
        script.isSilent = true
        var harness = try SMTPAgentHarness(script)
        defer { harness.peer.stop() }
        harness.options.timeouts.command = .milliseconds(300)
        let controls = try (0..<20).map { _ in try harness.spool.add([harness.group(["u@b.test"])]) }
        let start = ContinuousClock.now
        let reports = try harness.deliver(controls)
        #expect(reports.allSatisfy { $0.result == .deferredAll })
        #expect(reports.count == 20)
        #expect(reports.first?.notary?.status == "4.4.2")
        #expect(reports.last?.message.hasSuffix("(a moment ago)") == true)
        #expect(ContinuousClock.now - start < .seconds(5))
    }

    @Test("a host that refuses the connection is alive: temporary, with its reply")
    func refused() throws {
        var script = SMTPAgentPeer.Script()
        script.greeting = "421 4.7.0 too many connections"
        let harness = try SMTPAgentHarness(script)
        defer { harness.peer.stop() }
        let control = try harness.spool.add([harness.group(["u@b.test"])])
        let reports = try harness.deliver([control])
        #expect(reports.map(\.result) == [.deferredAll])
        #expect(reports.first?.notary?.status == "4.7.0")
        #expect(reports.first?.message.contains("421 4.7.0 too many connections") == true)
    }

    @Test(
        "what the DNS says decides between now, later and never",
        arguments: [
            ("missing.test", DeliveryResult.failed, "5.1.2"), ("null.test", .failed, "5.1.10"),
            ("broken.test", .deferredAll, "4.4.3"), ("[10.0.0.300]", .failed, "5.1.2"), ("no host", .failed, "5.1.2"),
        ])
    func names(host: String, result: DeliveryResult, status: String) throws {
        var harness = try SMTPAgentHarness()
        defer { harness.peer.stop() }
        harness.names.exchangers = ["null.test": []]
        harness.names.failing = ["broken.test"]
        let quadHost = host.contains(" ") ? "no_host:x" : host
        let control = try harness.spool.add([.from("s@a.test", [("smtp", quadHost, "u@b.test")])])
        let reports = try harness.deliver([control], host: quadHost)
        #expect(reports.map(\.result) == [result])
        #expect(reports.first?.notary?.status == status)
        #expect(harness.peer.connections == 0)
    }

    @Test("-F takes all mail to one place")
    func punt() throws {
        var harness = try SMTPAgentHarness()
        defer { harness.peer.stop() }
        harness.options.punt = NextHop(harness.host)
        let control = try harness.spool.add([.from("s@a.test", [("smtp", "far.test", "u@far.test")])])
        #expect(try harness.deliver([control], host: "far.test").map(\.result) == [.ok])
    }

    @Test("LMTP never goes to port 25")
    func lmtpPort() throws {
        var harness = try SMTPAgentHarness()
        defer { harness.peer.stop() }
        harness.options.isLMTP = true
        let control = try harness.spool.add([.from("s@a.test", [("smtp", "[127.0.0.1]", "u@b.test")])])
        let reports = try harness.deliver([control], host: "[127.0.0.1]")
        #expect(reports.map(\.result) == [.deferred])
        #expect(reports.first?.notary?.status == "4.3.5")
    }
}
