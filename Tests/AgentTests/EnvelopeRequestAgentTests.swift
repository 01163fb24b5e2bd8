import AgentKit
import AgentProtocol
import Glibc
import MailModel
import SpoolFormat
import Synchronization
import Testing

@testable import SMTPAgent

private final class CountingAgent: TransportAgent {
    let addresses = Mutex<[String]>([])

    func deliver(_ job: DeliveryJob) {
        for recipient in job.recipients {
            addresses.withLock { $0.append(recipient.address) }
            job.report(recipient, RecipientResult(.ok, .delivered, status: "2.0.0", text: "ok"))
        }
    }
}

@Suite("Agents keep what SMTP extensions have asked for")
struct EnvelopeRequestAgentTests {
    private static let now = Int64(time(nil))

    private static func group(_ host: String, _ recipients: [(String, DeliverByTime?)]) -> ControlGroup {
        var group = ControlGroup.from("s@a.test", recipients.map { ("smtp", host, $0.0) })
        for (index, recipient) in recipients.enumerated() { group.recipients[index].deliverBy = recipient.1 }
        return group
    }

    @Test("no agent attempts what should have come back by now")
    func tooLate() throws {
        let spool = try AgentKitSpool()
        let control = try spool.add([
            Self.group(
                "h",
                [
                    ("late@h", DeliverByTime(Self.now - 1, .return)),
                    ("late-notify@h", DeliverByTime(Self.now - 1, .notify)),
                    ("early@h", DeliverByTime(Self.now + 1000, .return)), ("none@h", nil),
                ])
        ])
        let agent = CountingAgent()
        let messages = try spool.run(agent, input: "\(control.id)\th\n")
        #expect(agent.addresses.withLock { $0 } == ["late-notify@h", "early@h", "none@h"])
        let failed = messages.compactMap { message -> AgentReport? in
            if case .report(let report) = message, report.result == .failed { report } else { nil }
        }
        #expect(failed.map { $0.notary?.finalRecipient } == ["late@h"])
        #expect(failed.first?.notary?.status == "5.4.7")
        #expect(messages.last == .hungry)
    }

    @Test("a job of which all is too late is over without the agent")
    func allTooLate() throws {
        let spool = try AgentKitSpool()
        let control = try spool.add([Self.group("h", [("late@h", DeliverByTime(Self.now, .return))])])
        let agent = CountingAgent()
        let messages = try spool.run(agent, input: "\(control.id)\th\n")
        #expect(agent.addresses.withLock { $0 }.isEmpty)
        #expect(messages.count == 3)
    }

    struct Relay: CustomTestStringConvertible, Sendable {
        let testDescription: String
        var keywords = ["DSN"]
        var by: DeliverByTime?
        var notify = Notify.standard
        var isLMTP = false
        /// In the report: the sender is told, or the next host tells him.
        var isToBeTold = false
        var isPassedOn = false
    }

    static let relays = [
        Relay(testDescription: "without a time"),
        Relay(testDescription: "without a time, success asked for", notify: [.success], isPassedOn: true),
        Relay(testDescription: "N, no DELIVERBY", by: DeliverByTime(now + 1000, .notify), isToBeTold: true),
        Relay(
            testDescription: "N, no DELIVERBY, success asked for", by: DeliverByTime(now + 1000, .notify),
            notify: [.success], isToBeTold: true),
        Relay(
            testDescription: "N, no DELIVERBY, no report wanted", by: DeliverByTime(now + 1000, .notify), notify: .never
        ),
        Relay(testDescription: "N, the time has passed", by: DeliverByTime(now - 1, .notify)),
        Relay(testDescription: "N, DELIVERBY", keywords: ["DSN", "DELIVERBY"], by: DeliverByTime(now + 1000, .notify)),
        Relay(
            testDescription: "N traced, DELIVERBY", keywords: ["DSN", "DELIVERBY"],
            by: DeliverByTime(now + 1000, .notify, isTraced: true), isToBeTold: true),
        Relay(testDescription: "R, DELIVERBY", keywords: ["DELIVERBY"], by: DeliverByTime(now + 1000, .return)),
        Relay(
            testDescription: "R traced, DELIVERBY", keywords: ["DELIVERBY"],
            by: DeliverByTime(now + 1000, .return, isTraced: true), isToBeTold: true),
        Relay(
            testDescription: "R traced, no report wanted", keywords: ["DELIVERBY"],
            by: DeliverByTime(now + 1000, .return, isTraced: true), notify: .never),
        Relay(
            testDescription: "LMTP delivers, and relays nothing",
            by: DeliverByTime(now + 1000, .notify, isTraced: true),
            isLMTP: true),
    ]

    @Test("a relay is told of where RFC 2852 wants it", arguments: relays)
    func relayed(_ test: Relay) throws {
        var script = SMTPAgentPeer.Script()
        script.keywords = test.keywords
        script.isLMTP = test.isLMTP
        let harness = try SMTPAgentHarness(script)
        defer { harness.peer.stop() }
        var group = Self.group(harness.host, [("u@b.test", test.by)])
        group.recipients[0].notify = test.notify
        let control = try harness.spool.add([group])
        let report = try #require(try harness.deliver([control]).first)
        #expect(report.result == .ok)
        #expect(report.isToBeTold == test.isToBeTold)
        #expect((report.notary == nil) == test.isPassedOn)
    }

    @Test("the peer hears what is left of the time, the priority, and a wish for news of delays")
    func passedOn() throws {
        var script = SMTPAgentPeer.Script()
        script.keywords = ["DELIVERBY 10", "MT-PRIORITY MIXER"]
        let harness = try SMTPAgentHarness(script)
        defer { harness.peer.stop() }
        let control = try harness.spool.add([
            Self.group(harness.host, [("u@b.test", DeliverByTime(Int64(time(nil)) + 500, .return, isTraced: true))])
        ]) { $0.priority = MessagePriority(4) }
        #expect(try harness.deliver([control]).map(\.result) == [.ok])
        let mail = try #require(harness.peer.messages.first?.mail)
        let match = try #require(mail.firstMatch(of: /BY=([0-9]+);RT MT-PRIORITY=4$/))
        #expect((440...500).contains(Int(match.1) ?? 0))
    }

    @Test("recipients with different times go in different transactions")
    func differentTimes() throws {
        var script = SMTPAgentPeer.Script()
        script.keywords = ["DELIVERBY"]
        let harness = try SMTPAgentHarness(script)
        defer { harness.peer.stop() }
        let by = DeliverByTime(Int64(time(nil)) + 500, .notify)
        let control = try harness.spool.add([
            Self.group(harness.host, [("a@b.test", by), ("b@b.test", by), ("c@b.test", nil)])
        ])
        #expect(try harness.deliver([control]).map(\.result) == [.ok, .ok, .ok])
        #expect(harness.peer.messages.map { $0.mail.contains("BY=") } == [true, false])
        #expect(harness.peer.messages.map(\.recipients.count) == [2, 1])
    }

    @Test("what must come back in time is not relayed to a peer that does not promise it, and fails")
    func notRelayed() throws {
        for (keywords, status) in [(["DSN"], "5.3.3"), (["DELIVERBY 5000"], "5.4.7")] {
            var script = SMTPAgentPeer.Script()
            script.keywords = keywords
            let harness = try SMTPAgentHarness(script)
            defer { harness.peer.stop() }
            let control = try harness.spool.add([
                Self.group(harness.host, [("u@b.test", DeliverByTime(Int64(time(nil)) + 500, .return))])
            ])
            let report = try #require(try harness.deliver([control]).first)
            #expect(report.result == .failed)
            #expect(report.notary?.status == status)
            #expect(harness.peer.messages.isEmpty)
        }
    }
}
