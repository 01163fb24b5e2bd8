import AgentProtocol
import MailModel
import SpoolFormat
import Testing

@testable import Scheduling

@Suite("The sender is told of a delay (reporttimes)")
struct DelayReportTests {
    static let rules = ThreadRules(interval: 600, expiry: 3 * 86400, reportTimes: [3600, 86400])

    private func notices(_ bench: Bench) -> [(offset: Int, time: Int64, text: String)] {
        bench.records.filter(\.record.isDelayNotice).map {
            ($0.record.offset, $0.record.time - Bench.start, $0.record.message)
        }
    }

    /// Passes the time; every job is deferred.
    private func pass(_ bench: Bench, _ seconds: Int64, result: DeliveryResult = .deferred) {
        let end = bench.core.now + seconds
        serve(bench, result)
        while let next = bench.core.nextEvent, next <= end {
            bench.core.advance(to: max(next, bench.core.now))
            bench.run()
            serve(bench, result)
        }
        bench.core.advance(to: end)
        bench.run()
    }

    private func serve(_ bench: Bench, _ result: DeliveryResult) {
        while bench.core.agents.values.contains(where: { $0.isStarting || !$0.jobs.isEmpty }) {
            for agent in bench.core.agents.values {
                if agent.isStarting { bench.hungry(agent.number) }
                for job in agent.jobs {
                    for recipient in job.recipients where recipient.state == .awaiting {
                        bench.report(
                            agent.number, job.message.id, result, offset: Int(recipient.offset), text: "451 later",
                            isHungry: false)
                    }
                    bench.hungry(agent.number)
                }
                if agent.isRetiring { bench.die(agent.number) }
            }
        }
    }

    @Test(
        "at each time, in its second, once, with the last problem",
        arguments: [.deferred, .deferredAll] as [DeliveryResult])
    func times(result: DeliveryResult) {
        let bench = Bench(Self.rules)
        let id = bench.load("a")
        bench.run()
        pass(bench, 2 * 86400, result: result)
        #expect(notices(bench).map(\.time) == [3600, 86400])
        #expect(
            notices(bench).map(\.text) == [
                "delayed; no successful delivery in 1h, problem was: 451 later",
                "delayed; no successful delivery in 1d, problem was: 451 later",
            ])
        #expect(bench.reports == [id, id])
        let record = bench.records.first { $0.record.isDelayNotice }
        #expect(record?.record.notary.action == .delayed && record?.record.notary.status == "4.4.7")
        #expect(record?.record.isReported == false && record?.tag == nil)
        #expect(bench.core.knows(id))
    }

    @Test("also what was never tried")
    func untried() {
        let bench = Bench(ThreadRules(isQueueOnly: true, reportTimes: [3600]))
        bench.load("a")
        bench.pass(3599)
        #expect(bench.reports.isEmpty)
        bench.pass(1)
        #expect(notices(bench).map(\.text) == ["delayed; no successful delivery in 1h"])
    }

    struct Case: CustomTestStringConvertible, Sendable {
        let testDescription: String
        var notify: Notify = .standard
        var hasErrorAddress = true
        var isErrorMessage = false
        let isTold: Bool
    }

    static let cases = [
        Case(testDescription: "nothing said", isTold: true),
        Case(testDescription: "DELAY", notify: .delay, isTold: true),
        Case(testDescription: "FAILURE", notify: .failure, isTold: false),
        Case(testDescription: "SUCCESS,FAILURE", notify: [.success, .failure], isTold: false),
        Case(testDescription: "NEVER", notify: .never, isTold: false),
        Case(testDescription: "nobody to tell", hasErrorAddress: false, isTold: false),
        Case(testDescription: "an error message", isErrorMessage: true, isTold: false),
    ]

    @Test("who is told", arguments: cases)
    func wanted(_ test: Case) {
        let bench = Bench(Self.rules)
        var recipient = Bench.recipient("a", notify: test.notify)
        recipient.hasErrorAddress = test.hasErrorAddress
        bench.load([recipient], isErrorMessage: test.isErrorMessage)
        bench.run()
        pass(bench, 7200)
        #expect(bench.reports.count == (test.isTold ? 1 : 0))
        #expect(notices(bench).count == (test.isTold ? 1 : 0))
    }

    @Test("one report tells of all recipients of a message that are late, and of none that is done")
    func together() {
        let bench = Bench(Self.rules)
        let id = bench.load(
            [
                Bench.recipient("a", 100), Bench.recipient("a", 200), Bench.recipient("b", 300),
                Bench.recipient("c", 400, notify: .failure),
            ])
        bench.run()
        bench.hungry(1, 3)
        bench.report(1, id, .deferred, offset: 100, isHungry: false)
        bench.report(1, id, .ok, offset: 200)
        bench.report(1, id, .deferred, offset: 300)
        bench.report(1, id, .deferred, offset: 400)
        pass(bench, 3600)
        #expect(notices(bench).map(\.offset).sorted() == [100, 300])
        #expect(bench.reports == [id])
    }

    @Test("a restart tells no one twice, and tells what came due meanwhile once")
    func restart() {
        for (toldAfter, age, expected) in [(3600, 4000, 0), (3600, 90000, 1), (0, 90000, 1), (86400, 90000, 0)] {
            let bench = Bench(Self.rules)
            var recipient = Bench.recipient("a")
            if toldAfter > 0 { recipient.toldAt = Bench.start - Int64(age) + Int64(toldAfter) }
            bench.load([recipient], age: Int64(age))
            bench.core.advance(to: bench.core.now)
            bench.run()
            bench.pass(0)
            #expect(notices(bench).count == expected, "\(toldAfter) \(age)")
            #expect(bench.reports.count == expected)
        }
    }

    @Test("new times hold for mail that is queued")
    func reload() {
        let bench = Bench()
        bench.load("a")
        bench.run()
        pass(bench, 7200)
        #expect(bench.reports.isEmpty)
        bench.core.configure(reportInterval: 900) { _, _ in Self.rules }
        bench.run()
        pass(bench, 1)
        #expect(notices(bench).map(\.text) == ["delayed; no successful delivery in 2h, problem was: 451 later"])
        pass(bench, 10000)
        #expect(bench.reports.count == 1)
    }

    @Test("a deliver-by notice and these stand beside each other")
    func deliverBy() {
        let bench = Bench(Self.rules)
        var recipient = Bench.recipient("a")
        recipient.deadline = .notify
        bench.load([recipient], deliverBy: Bench.start + 7200)
        bench.run()
        pass(bench, 86400)
        #expect(notices(bench).map(\.time) == [3600, 7200, 86400])
        #expect(notices(bench)[1].text.hasPrefix("not delivered by"))
    }

    @Test("a message that is held is not late before its release")
    func held() {
        let bench = Bench(Self.rules)
        bench.load([Bench.recipient("a")], heldUntil: Bench.start + 10000)
        bench.pass(13599)
        #expect(bench.reports.isEmpty)
        bench.pass(1)
        #expect(bench.reports.count == 1)
    }

    @Test("no agent gets the job before the notice is in the file")
    func recordFirst() {
        let bench = Bench(ThreadRules(maximumRingJobs: 1, reportTimes: [3600]))
        bench.hasFastDisk = false
        let blocker = bench.load("b")
        bench.run()
        bench.hungry(1)
        let id = bench.load("a")
        bench.pass(3600)
        #expect(bench.reports.contains(id))
        bench.report(1, blocker, .ok)
        #expect(bench.fed.count == 1)
        for record in bench.records { bench.core.recorded(record.id, vertex: record.vertex) }
        bench.run()
        #expect(bench.fed.last?.id == id)
    }
}
