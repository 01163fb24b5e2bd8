import AgentProtocol
import SpoolFormat
import Testing

@testable import SMTPAgent

@Suite("What each reply means for a recipient")
struct SMTPAgentReplyTests {
    /// Result words and statuses of the recipients, in order.
    static func outcomes(_ reports: [AgentReport]) -> [String] {
        reports.map { "\($0.result.word) \($0.notary?.status ?? "-")" }
    }

    @Test("one reply at one stage, each time", arguments: SMTPAgentReplyRow.all)
    func reply(row: SMTPAgentReplyRow) throws {
        var script = SMTPAgentPeer.Script()
        script.always[row.stage] = .say(row.reply)
        if row.stage == .helo { script.keywords = nil }
        let harness = try SMTPAgentHarness(script)
        defer { harness.peer.stop() }
        let control = try harness.spool.add([harness.group(["u@b.test"])])
        let reports = try harness.deliver([control])
        #expect(Self.outcomes(reports) == [row.expected])
        // Nothing that was not taken counts as taken, and nothing is sent twice within one job.
        #expect(harness.peer.messages.count <= 1)
        if row.expected.hasPrefix("ok") { #expect(harness.peer.messages.count == 1) }
    }

    @Test("how hosts behave, and what becomes of three recipients", arguments: SMTPAgentBehaviourRow.all)
    func behaviour(row: SMTPAgentBehaviourRow) throws {
        var script = SMTPAgentPeer.Script()
        script.isLMTP = row.isLMTP
        row.script(&script)
        var harness = try SMTPAgentHarness(script)
        defer { harness.peer.stop() }
        harness.options.timeouts.command = row.timeout
        harness.options.timeouts.data = row.timeout
        harness.options.timeouts.dot = row.timeout
        let control = try harness.spool.add([harness.group(row.recipients)])
        let reports = try harness.deliver([control])
        #expect(Self.outcomes(reports) == row.expected)
        #expect(reports.map(\.notary?.finalRecipient) == row.recipients)
        if let messages = row.messages { #expect(harness.peer.messages.count == messages) }
        #expect(harness.peer.connections == row.connections)
        #expect(reports.allSatisfy { $0.line.utf8.count < 4096 && !$0.line.utf8.contains { $0 == 0 || $0 == 0x1b } })
    }

    @Test(
        "a greeting of the best host that is no welcome leads to the next",
        arguments: [
            "421 4.3.2 closing", "450 later", "554 5.7.1 no", "550 no", "354 what", "hello", "599 odd",
        ])
    func nextHost(greeting: String) throws {
        var harness = try SMTPAgentHarness()
        defer { harness.peer.stop() }
        var script = SMTPAgentPeer.Script()
        script.greeting = greeting
        let best = try SMTPAgentPeer(script, address: 0x7f00_0002, port: harness.peer.port)
        defer { best.stop() }
        harness.names.exchangers = ["b.test": ["mx1.test", "mx2.test"]]
        harness.names.addresses = ["mx1.test": "127.0.0.2", "mx2.test": "127.0.0.1"]
        let control = try harness.spool.add([.from("s@a.test", [("smtp", "b.test", "u@b.test")])])
        #expect(Self.outcomes(try harness.deliver([control], host: "b.test")) == ["ok 2.0.0"])
        #expect(best.connections == 1)
        #expect(harness.peer.messages.count == 1)
    }

    @Test("all hosts refuse: the best one's words are told, and nothing is given up")
    func noHost() throws {
        var script = SMTPAgentPeer.Script()
        script.greeting = "554 5.7.1 second"
        var harness = try SMTPAgentHarness(script)
        defer { harness.peer.stop() }
        script.greeting = "554 5.7.1 first"
        let best = try SMTPAgentPeer(script, address: 0x7f00_0002, port: harness.peer.port)
        defer { best.stop() }
        harness.names.exchangers = ["b.test": ["mx1.test", "mx2.test"]]
        harness.names.addresses = ["mx1.test": "127.0.0.2", "mx2.test": "127.0.0.1"]
        let control = try harness.spool.add([.from("s@a.test", [("smtp", "b.test", "u@b.test")])])
        let reports = try harness.deliver([control], host: "b.test")
        #expect(Self.outcomes(reports) == ["deferall 4.7.1"])
        #expect(reports.first?.message.contains("554 5.7.1 first") == true)
        #expect(harness.peer.connections == 1)
    }

    @Test("the table is as large as it is said to be, and names no case twice")
    func size() {
        #expect(SMTPAgentReplyRow.all.count + SMTPAgentBehaviourRow.all.count >= 250)
        #expect(Set(SMTPAgentBehaviourRow.all.map(\.name)).count == SMTPAgentBehaviourRow.all.count)
        #expect(Set(SMTPAgentReplyRow.all.map(\.testDescription)).count == SMTPAgentReplyRow.all.count)
    }
}
