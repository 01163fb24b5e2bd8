import AgentProtocol
import MailModel
import SpoolFormat
import Testing

@testable import Scheduling

@Suite("What is deferred is tried again")
struct RetryTests {
    @Test("the schedule follows the multipliers, then draws among them")
    func schedule() {
        let rules = ThreadRules(interval: 60, retries: [1, 2, 5], skew: 5)
        var random = SplitMix64(seed: 7)
        var index = 0
        var time = Bench.start
        var waits: [Int64] = []
        for _ in 0..<50 {
            let next = rules.nextAttempt(after: time, index: &index, random: &random)
            waits.append(next - time)
            time = next
        }
        for (wait, multiple) in zip(waits, [1, 2, 5] as [Int64]) { #expect(abs(wait - multiple * 60) <= 13) }
        #expect(waits.allSatisfy { $0 > 0 && $0 <= 5 * 60 + 13 })
        #expect(Set(waits.dropFirst(3).map { ($0 + 30) / 60 }) == [1, 2, 5])
    }

    @Test("a next attempt is always later", arguments: [1, 2, 7, 60, 3600], [1, 2, 5, 1000])
    func alwaysLater(interval: Int64, skew: Int64) {
        let rules = ThreadRules(interval: interval, retries: [1, 3], skew: skew)
        var random = SplitMix64(seed: UInt64(interval * skew))
        for start in Bench.start..<(Bench.start + 200) {
            var index = Int(start % 3)
            #expect(rules.nextAttempt(after: start, index: &index, random: &random) > start)
        }
    }

    @Test("a deferred recipient waits alone; others of its host go on")
    func alone() {
        let bench = Bench()
        let ids = [bench.load("a"), bench.load("a")]
        bench.run()
        bench.hungry(1)
        bench.report(1, ids[0], .deferred, text: "451 greylisted")
        #expect(bench.fed.last?.id == ids[1])
        bench.report(1, ids[1], .ok)
        #expect(bench.state(ids[0])?.state == .deferred)
        #expect(bench.state(ids[0])?.last == "451 greylisted")
        guard let next = bench.state(ids[0])?.nextAttempt else { return #expect(Bool(false), "no next attempt") }
        bench.pass(next - bench.core.now - 1)
        #expect(bench.fed.count == 2)
        bench.pass(1)
        #expect(bench.fed.count == 3)
        bench.report(1, ids[0], .ok)
        #expect(bench.core.messageCount == 0)
    }

    @Test("one greylisted recipient of a message is tried again without the others")
    func sameMessage() {
        let bench = Bench()
        let id = bench.load([Bench.recipient("a", 100), Bench.recipient("a", 200)])
        bench.run()
        bench.hungry(1)
        bench.report(1, id, .ok, offset: 100, isHungry: false)
        bench.report(1, id, .deferred, offset: 200)
        #expect(bench.core.describe(id)?.recipients.map(\.state) == [.delivered, .deferred])
        bench.pass(200)
        #expect(bench.fed.count == 2)
        // The one that is done takes no second report.
        bench.report(1, id, .ok, offset: 100, isHungry: false)
        #expect(bench.events.count == 1)
        bench.report(1, id, .ok, offset: 200)
        #expect(bench.finishes.count == 1)
    }

    @Test("a job is not handed out before its last results are in the file")
    func recordsFirst() {
        let bench = Bench(ThreadRules(interval: 1, retries: [1], skew: 1))
        bench.hasFastDisk = false
        let id = bench.load([Bench.recipient("a", 100), Bench.recipient("a", 200)])
        bench.run()
        bench.hungry(1)
        bench.report(1, id, .ok, offset: 100, isHungry: false)
        bench.report(1, id, .deferred, offset: 200)
        bench.pass(100)
        #expect(bench.fed.count == 1)
        for record in bench.records { bench.core.recorded(record.id, vertex: record.vertex) }
        bench.run()
        #expect(bench.fed.count == 2)
    }

    @Test("a host that is down holds its thread, is probed with one job, and opens again")
    func hostDown() {
        let bench = Bench(ThreadRules(interval: 60, maximumThreadJobs: 5))
        let ids = (0..<20).map { _ in bench.load("a") }
        bench.load("b")
        bench.run()
        bench.hungry(1, 10)
        #expect(bench.fed.count == 6)
        for id in ids.prefix(5) { bench.report(1, id, .deferredAll, text: "connection refused") }
        #expect(bench.fed.count == 6, "the thread waits")
        #expect(bench.state(ids[10])?.last == "connection refused")
        #expect(bench.state(ids[10])?.state == .deferred)
        bench.pass(80)
        #expect(bench.fed.count == 7, "one probe")
        let probe = bench.fed[6].id
        #expect(!ids.prefix(5).contains(probe), "with one that has not been tried")
        bench.report(1, probe, .deferredAll)
        #expect(bench.fed.count == 7)
        bench.pass(80)
        #expect(bench.fed.count == 8)
        bench.report(1, bench.fed[7].id, .ok)
        #expect(bench.core.activeJobs == 6, "b, and five of a again")
    }

    @Test("a host that refuses one job and answers others gets fewer at a time, then more again")
    func busyHost() {
        let bench = Bench(ThreadRules(maximumThreadJobs: 10))
        for _ in 0..<500 { bench.load("a") }
        bench.run()
        bench.hungry(1, 20)
        bench.report(1, bench.fed[0].id, .ok)
        #expect(bench.core.activeJobs == 10)
        for job in bench.fed[1...3] { bench.report(1, job.id, .deferredAll, text: "421 too many connections") }
        #expect(bench.core.activeJobs == 7)
        #expect(bench.core.threadDescriptions.first?.nextAttempt == bench.core.now)
        var widest = 0
        for index in 4..<100 {
            bench.report(1, bench.fed[index].id, .ok)
            widest = max(widest, bench.core.activeJobs)
        }
        #expect(widest == 10)
        // Now it is really gone: the last failure of those under way holds the thread.
        let active = bench.core.agents[1]?.jobs.map(\.message.id) ?? []
        for id in active { bench.report(1, id, .deferredAll) }
        #expect(bench.core.activeJobs == 0)
        #expect((bench.core.threadDescriptions.first?.nextAttempt ?? 0) > bench.core.now)
    }

    @Test("jobs that fail together are one failure")
    func together() {
        let bench = Bench(ThreadRules(interval: 60, retries: [1, 100], skew: 1000, maximumThreadJobs: 5))
        let ids = (0..<5).map { _ in bench.load("a") }
        bench.run()
        bench.hungry(1, 5)
        for id in ids { bench.report(1, id, .deferredAll) }
        #expect((bench.state(ids[0])?.nextAttempt ?? 0) - bench.core.now <= 62)
    }

    @Test("retryat sets the time; a short one means the schedule")
    func retryAt() {
        for (seconds, isOwn) in [(3600, true), (30, false)] {
            let bench = Bench()
            let id = bench.load("a")
            bench.run()
            bench.hungry(1)
            bench.report(1, id, .retry(afterSeconds: seconds))
            let wait = (bench.state(id)?.nextAttempt ?? 0) - bench.core.now
            #expect(isOwn ? wait == 3600 : (40...80).contains(wait))
        }
    }

    @Test("new mail looks once an interval whether a host is up again, unless the clause says no")
    func newMail() {
        for restartOnly in [false, true] {
            let bench = Bench(ThreadRules(interval: 60, retries: [10], wakesOnRestartOnly: restartOnly))
            let id = bench.load("a")
            bench.run()
            bench.hungry(1)
            bench.report(1, id, .deferredAll)
            bench.load("a")
            bench.run()
            #expect(bench.fed.count == 1)
            bench.pass(60)
            #expect(bench.fed.count == (restartOnly ? 1 : 2))
        }
    }

    @Test("flush tries now what waits")
    func flush() {
        let bench = Bench(ThreadRules(maximumThreadJobs: 5))
        let ids = (0..<3).map { _ in bench.load("a") }
        bench.run()
        bench.hungry(1, 5)
        bench.report(1, ids[0], .deferred)
        bench.report(1, ids[1], .deferredAll)
        bench.report(1, ids[2], .deferredAll)
        #expect(bench.core.flush { _, _ in true } == 3)
        bench.run()
        #expect(bench.fed.count == 4, "a host that was down is still probed with one job")
        bench.report(1, bench.fed[3].id, .ok)
        #expect(bench.fed.count == 6)
    }

    @Test("a delay is recorded when the attempts have doubled")
    func records() {
        let bench = Bench(ThreadRules(interval: 10, retries: [1], skew: 1, expiry: 1_000_000))
        let id = bench.load("a")
        bench.run()
        bench.hungry(1)
        for attempt in 1...40 {
            bench.report(1, id, .deferred, text: "try \(attempt)")
            bench.pass(100)
        }
        #expect(bench.records.map(\.record.message) == [1, 2, 4, 8, 16, 32].map { "try \($0)" })
        #expect(
            bench.records.allSatisfy { $0.record.notary.action == .delayed && $0.record.isReported && $0.tag == nil })
    }

    @Test("attempts and the next attempt survive a restart")
    func restart() {
        let bench = Bench(ThreadRules(interval: 60, retries: [1, 2, 4, 8], skew: 1000))
        var recipient = Bench.recipient("a")
        recipient.attempts = 4
        recipient.lastAttempt = bench.core.now - 100
        recipient.problem = "451 later"
        let waiting = bench.load([recipient], age: 5000)
        recipient.lastAttempt = bench.core.now - 10000
        let due = bench.load([recipient], age: 20000)
        bench.run()
        #expect(bench.state(waiting)?.attempts == 4)
        #expect(bench.state(waiting)?.last == "451 later")
        #expect(abs((bench.state(waiting)?.nextAttempt ?? 0) - (bench.core.now - 100 + 480)) <= 5)
        bench.hungry(1)
        #expect(bench.fed.map(\.id) == [due])
    }
}
