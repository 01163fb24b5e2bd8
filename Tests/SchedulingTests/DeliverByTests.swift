import AgentProtocol
import MailModel
import SpoolFormat
import Testing

@testable import Scheduling

@Suite("Deliver by (RFC 2852)")
struct DeliverByTests {
    static let start = Bench.start
    static let date = CalendarDate(unixTime: start + 600).rfc5322

    private func recipient(
        _ deadline: LoadedRecipient.Deadline, _ host: String = "a", _ offset: Int = 100, notify: Notify = .standard
    ) -> LoadedRecipient {
        var recipient = Bench.recipient(host, offset, notify: notify)
        recipient.deadline = deadline
        return recipient
    }

    @Test("what is to come back comes back in its second, with the last problem, and is not tried again")
    func returned() {
        let bench = Bench(ThreadRules(interval: 60))
        let id = bench.load([recipient(.return)], deliverBy: Self.start + 600)
        bench.run()
        bench.hungry(1)
        bench.report(1, id, .deferred, text: "451 not now")
        while bench.time < 600, let next = bench.core.nextEvent {
            bench.core.advance(to: max(next, bench.core.now))
            bench.run()
            if bench.state(id)?.state == .active { bench.report(1, id, .deferred, text: "451 not now") }
        }
        #expect(bench.time == 600)
        let last = bench.results.last
        #expect(last?.outcome == .expired && last?.status == "5.4.7" && last?.delay == 600)
        #expect(last?.text == "not delivered by \(Self.date), as its sender has asked; problem was: 451 not now")
        #expect(bench.finishes.map(\.ending) == [.reportAndRemove])
        #expect(bench.records.last?.record.notary.action == .failed)
        #expect(bench.core.messageCount == 0 && bench.core.threadCount == 0)
        let jobs = bench.fed.count
        bench.pass(10000)
        #expect(bench.fed.count == jobs)
    }

    @Test("no attempt is needed for that, unlike for an expiry")
    func neverTried() {
        let bench = Bench()
        bench.load([recipient(.return)], deliverBy: Self.start + 600)
        bench.pass(600)
        #expect(bench.results.map(\.status) == ["5.4.7"])
        #expect(bench.core.messageCount == 0)
    }

    @Test("what came back while nobody was here fails without another attempt")
    func afterOutage() {
        let bench = Bench()
        bench.load([recipient(.return)], age: 1000, deliverBy: Self.start - 1)
        bench.run()
        bench.hungry(1)
        #expect(bench.fed.isEmpty)
        #expect(bench.results.map(\.outcome) == [.expired])
    }

    @Test(
        "what an agent has in hand is decided by its result", arguments: [DeliveryResult.ok, .deferred, .deferredAll])
    func atWork(_ result: DeliveryResult) {
        let bench = Bench(ThreadRules(interval: 60))
        let id = bench.load([recipient(.return)], deliverBy: Self.start + 600)
        bench.run()
        bench.hungry(1)
        bench.pass(700)
        #expect(bench.results.isEmpty)
        bench.report(1, id, result)
        #expect(bench.results.last?.outcome == (result == .ok ? .delivered : .expired))
        #expect(bench.core.messageCount == 0)
        #expect(bench.finishes.count == 1)
    }

    @Test("an agent's death behind the time is no reason for another attempt")
    func deathBehind() {
        let bench = Bench()
        bench.load([recipient(.return)], deliverBy: Self.start + 600)
        bench.run()
        bench.hungry(1)
        bench.pass(700)
        bench.die(1)
        #expect(bench.results.map(\.outcome) == [.expired])
        #expect(bench.core.messageCount == 0)
    }

    @Test("an agent that finds nothing behind the time ends it too")
    func resyncBehind() {
        let bench = Bench()
        let id = bench.load([recipient(.return)], deliverBy: Self.start + 600)
        bench.run()
        bench.hungry(1)
        bench.pass(700)
        bench.core.received(.resync(id), from: 1)
        bench.run()
        #expect(bench.results.map(\.outcome) == [.expired])
        #expect(bench.core.messageCount == 0)
    }

    @Test("the sender is told once, at once, and delivery goes on")
    func notified() {
        let bench = Bench(ThreadRules(interval: 60))
        let id = bench.load([recipient(.notify), recipient(.notify, "b", 200)], deliverBy: Self.start + 600)
        bench.run()
        bench.hungry(1)
        bench.report(1, id, .deferred, text: "451 not now")
        bench.pass(600)
        let notices = bench.records.filter { $0.record.isDelayNotice }
        #expect(notices.map(\.record.offset) == [100, 200])
        #expect(notices.allSatisfy { !$0.record.isReported && $0.tag == nil && $0.record.notary.status == "4.4.7" })
        #expect(notices[0].record.message.hasSuffix("as its sender has asked; problem was: 451 not now"))
        #expect(bench.reports == [id])
        bench.core.reported(id, count: 2)
        bench.run()
        #expect(bench.results.allSatisfy { $0.outcome == .deferred })
        // It is tried on, and told of no more.
        bench.pass(3600)
        #expect(bench.reports == [id])
        #expect(bench.records.filter { $0.record.isDelayNotice }.count == 2)
        #expect(bench.fed.count > 1)
        #expect(bench.core.knows(id))
    }

    struct Silent: CustomTestStringConvertible, Sendable {
        let testDescription: String
        var notify = Notify.standard
        var hasErrorAddress = true
        var isErrorMessage = false
    }

    static let silent = [
        Silent(testDescription: "NOTIFY=FAILURE", notify: .failure), Silent(testDescription: "NEVER", notify: .never),
        Silent(testDescription: "nobody to tell", hasErrorAddress: false),
        Silent(testDescription: "a report", isErrorMessage: true),
    ]

    @Test("who does not want to hear of delays does not", arguments: silent)
    func notTold(_ test: Silent) {
        let bench = Bench()
        var recipient = recipient(.notify, notify: test.notify)
        recipient.hasErrorAddress = test.hasErrorAddress
        let id = bench.load([recipient], isErrorMessage: test.isErrorMessage, deliverBy: Self.start + 600)
        bench.run()
        bench.pass(700)
        #expect(bench.records.isEmpty && bench.reports.isEmpty)
        #expect(bench.core.knows(id))
        let told = bench.events.compactMap { if case .late(_, _, _, let isTold) = $0 { isTold } else { nil } }
        #expect(told == [false])
    }

    @Test("what was told before a restart is not told again; what was only recorded is")
    func restart() throws {
        for isReported in [true, false] {
            var file = ControlFile(
                id: SpoolID(rawValue: UInt64(Self.start - 1000) * 1000 << 22), headerStart: 0, bodyOffset: 0,
                messageSize: 1, logID: "",
                groups: [
                    ControlGroup(
                        sender: Quad(channel: "smtp", host: "-", user: "s@x", privilege: 0), errorsTo: "s@x",
                        recipients: [
                            ControlRecipient(quad: Quad(channel: "smtp", host: "a", user: "u@a", privilege: 0))
                        ])
                ])
            file.groups[0].recipients[0].deliverBy = DeliverByTime(Self.start - 500, .notify)
            let head = file.encodeHead()
            let offset = file.groups[0].recipients[0].offset
            func record(_ status: String, _ agent: String, _ time: Int64, isReported: Bool) -> [UInt8] {
                ResultRecord(
                    offset: offset, headerOffset: -1, notaryOffset: -1, time: time,
                    notary: Notary(finalRecipient: "u@a", action: .delayed, status: status, agent: agent),
                    message: "m \(status)", isReported: isReported
                ).encoded()
            }
            // A server may say 4.4.7 too: that is an attempt.
            let loaded = LoadedMessage(
                try ControlFile.parse(
                    head + record("4.2.0", "smtp[1]", Self.start - 900, isReported: true)
                        + record("4.4.7", "smtp[1]", Self.start - 800, isReported: true)
                        + record("4.4.7", Notary.scheduler, Self.start - 500, isReported: isReported)))
            #expect(loaded.deliverBy == Self.start - 500)
            #expect(loaded.recipients[0].attempts == 2)
            #expect(loaded.recipients[0].lastAttempt == Self.start - 800)
            #expect(loaded.recipients[0].problem == "m 4.4.7")
            #expect(loaded.recipients[0].deadline == .none)
            #expect(loaded.recipients[0].hasUntoldDelay == !isReported)
            let bench = Bench()
            bench.core.load(loaded)
            bench.run()
            #expect(bench.records.isEmpty)
            #expect(bench.reports == (isReported ? [] : [file.id]))
        }
    }

    @Test("a time that came while nobody was here is told of at once")
    func notifiedAfterOutage() {
        let bench = Bench()
        let id = bench.load([recipient(.notify)], age: 1000, deliverBy: Self.start - 500)
        bench.run()
        #expect(bench.reports == [id])
        #expect(bench.records.filter { $0.record.isDelayNotice }.count == 1)
    }

    @Test("of one message each recipient has what was asked for it")
    func mixed() {
        let bench = Bench()
        let id = bench.load(
            [
                recipient(.return), recipient(.none, "a", 200), recipient(.return, "b", 300),
                recipient(.notify, "c", 400),
            ],
            deliverBy: Self.start + 600)
        bench.pass(600)
        #expect(bench.results.map(\.recipient) == ["u100@a", "u300@b"])
        #expect(bench.core.describe(id)?.recipients.map(\.state) == [.failed, .waiting, .failed, .waiting])
        #expect(bench.core.threadDescriptions.map(\.host) == ["a", "c"])
    }

    @Test("before its time comes nothing happens, and what is delivered in time leaves nothing behind")
    func inTime() {
        let bench = Bench()
        let id = bench.load([recipient(.return)], deliverBy: Self.start + 600)
        #expect(bench.core.describe(id)?.deliverBy == Self.start + 600)
        bench.run()
        bench.hungry(1)
        bench.report(1, id, .ok)
        #expect(bench.core.messageCount == 0)
        bench.pass(1000)
        #expect(bench.results.map(\.outcome) == [.delivered])
    }

    @Test("what is held beyond its deliver-by-time comes back then")
    func heldTooLong() {
        let bench = Bench()
        bench.load([recipient(.return)], heldUntil: Self.start + 1000, deliverBy: Self.start + 600)
        bench.pass(600)
        #expect(bench.results.map(\.outcome) == [.expired])
        #expect(bench.core.heldCount == 0 && bench.core.threadCount == 0)
        bench.pass(1000)
        #expect(bench.fed.isEmpty)
    }

    @Test("the site's own retention is not extended by it")
    func retention() {
        let bench = Bench(ThreadRules(interval: 600, expiry: 3600))
        let id = bench.load([recipient(.return)], deliverBy: Self.start + 86400)
        bench.run()
        bench.hungry(1)
        bench.report(1, id, .deferred)
        while bench.core.knows(id), let next = bench.core.nextEvent {
            bench.core.advance(to: max(next, bench.core.now))
            bench.run()
            if bench.state(id)?.state == .active { bench.report(1, id, .deferred) }
        }
        #expect(bench.results.last?.delay == 3600)
    }

    struct Told: CustomTestStringConvertible, Sendable {
        let testDescription: String
        let notify: Notify
        let isToBeTold: Bool
        let isReported: Bool
    }

    static let told = [
        Told(testDescription: "a relay to be told", notify: .standard, isToBeTold: true, isReported: true),
        Told(testDescription: "any other", notify: .standard, isToBeTold: false, isReported: false),
        Told(testDescription: "NEVER", notify: .never, isToBeTold: true, isReported: false),
        Told(testDescription: "FAILURE", notify: .failure, isToBeTold: true, isReported: true),
    ]

    @Test("a relay that the agent finds worth telling is reported", arguments: told)
    func relayed(_ test: Told) {
        let bench = Bench()
        let id = bench.load([recipient(.none, notify: test.notify)])
        bench.run()
        bench.hungry(1)
        bench.report(1, id, .ok, action: .relayed, isToBeTold: test.isToBeTold)
        #expect(bench.finishes.map(\.ending) == [test.isReported ? .reportAndRemove : .remove])
        #expect(bench.records.map(\.record.isReported) == (test.isReported ? [false] : []))
    }
}
