import AgentProtocol
import SpoolFormat
import Testing

@testable import Scheduling

@Suite("A new configuration holds for mail that is queued")
struct ReloadTests {
    private func configure(_ bench: Bench, _ rules: ThreadRules?) {
        bench.core.configure(reportInterval: 900) { _, _ in rules }
        bench.run()
    }

    @Test("a limit below what is being worked on: nothing new until it is reached")
    func lowered() {
        let bench = Bench(ThreadRules(maximumThreadJobs: 5))
        for _ in 0..<20 { bench.load("a") }
        bench.run()
        bench.hungry(1, 10)
        #expect(bench.core.activeJobs == 5)
        configure(bench, ThreadRules(maximumThreadJobs: 2))
        for expected in [4, 3, 2] {
            guard let job = bench.core.agents[1]?.jobs.first else { break }
            bench.report(1, job.message.id, .ok, isHungry: false)
            if bench.started.count > 1 { bench.hungry(2, 10) }
            #expect(bench.core.activeJobs == expected)
            #expect(bench.fed.count == 5)
        }
        guard let job = bench.core.agents[1]?.jobs.first else { return }
        bench.report(1, job.message.id, .ok, isHungry: false)
        bench.hungry(2, 10)
        #expect(bench.core.activeJobs == 2)
        #expect(bench.fed.last?.agent == 2)
    }

    @Test("a higher limit is used at once, also by a host that was given fewer at a time")
    func raised() {
        let bench = Bench(ThreadRules(maximumThreadJobs: 3))
        for _ in 0..<40 { bench.load("a") }
        bench.run()
        bench.hungry(1, 10)
        bench.report(1, bench.fed[0].id, .ok)
        bench.report(1, bench.fed[1].id, .deferredAll, text: "421 too many")
        #expect(bench.core.activeJobs == 2)
        configure(bench, ThreadRules(maximumThreadJobs: 2))
        configure(bench, ThreadRules(maximumThreadJobs: 8))
        bench.hungry(bench.started.last?.agent ?? 0, 20)
        #expect(bench.core.activeJobs == 8)
    }

    @Test("the next attempt after it follows the new retries")
    func retries() {
        let bench = Bench(ThreadRules(interval: 60, retries: [1], skew: 1000))
        let id = bench.load("a")
        bench.run()
        bench.hungry(1)
        bench.report(1, id, .deferred)
        configure(bench, ThreadRules(interval: 600, retries: [5], skew: 1000))
        bench.pass(70)
        bench.hungry(2)
        #expect(bench.fed.count == 2, "what was planned stays")
        bench.report(2, id, .deferred)
        let wait = (bench.state(id)?.nextAttempt ?? 0) - bench.core.now
        #expect(abs(wait - 3000) <= 5)
    }

    @Test("a shorter expiry ends what is older, a longer one keeps it")
    func expiry() {
        let cases = [(1800, .expired), (7200, .deferred)] as [(Int64, DeliveryLogEntry.Outcome)]
        for (expiry, expected) in cases {
            let bench = Bench(ThreadRules(interval: 6000, retries: [10], expiry: 4000))
            let id = bench.load("a", age: 2000)
            bench.run()
            bench.hungry(1)
            bench.report(1, id, .deferred)
            configure(bench, ThreadRules(interval: 6000, retries: [10], expiry: expiry))
            bench.pass(4000)
            #expect(bench.results.last?.outcome == expected)
        }
    }

    @Test("a command that goes away leaves the mail waiting, and one that comes delivers it")
    func command() {
        let bench = Bench()
        let id = bench.load("a")
        bench.run()
        bench.hungry(1)
        bench.report(1, id, .deferred)
        configure(bench, nil)
        #expect(bench.closed == [1])
        bench.die(1)
        bench.pass(10 * 86400)
        #expect(bench.core.knows(id) && bench.fed.count == 1)
        #expect(bench.core.threadDescriptions.first?.isMatched == false)
        configure(bench, ThreadRules(expiry: 20 * 86400))
        bench.pass(1)
        bench.hungry(2)
        #expect(bench.fed.count == 2)
    }

    @Test("a command that goes away while an agent has the job: its results are taken")
    func commandGoesUnderWay() {
        let bench = Bench(ThreadRules(maximumThreadJobs: 2))
        let ids = (0..<3).map { _ in bench.load("a") }
        bench.run()
        bench.hungry(1, 2)
        configure(bench, nil)
        bench.report(1, ids[0], .ok, isHungry: false)
        bench.report(1, ids[1], .deferred, isHungry: false)
        bench.die(1)
        #expect(bench.finishes.map(\.id) == [ids[0]])
        #expect(bench.core.activeJobs == 0)
        configure(bench, ThreadRules(maximumThreadJobs: 2))
        bench.hungry(2, 5)
        #expect(Set(bench.fed.suffix(2).map(\.id)) == [ids[1], ids[2]])
    }

    @Test("queue-only comes and goes")
    func queueOnly() {
        let bench = Bench(ThreadRules(isQueueOnly: true))
        bench.load("a")
        bench.pass(100)
        #expect(bench.started.isEmpty)
        configure(bench, ThreadRules())
        #expect(bench.started.count == 1)
        configure(bench, ThreadRules(isQueueOnly: true))
        bench.die(1)
        #expect(bench.started.count == 1)
    }

    @Test("a lower limit of a host's connections holds over the agents of before")
    func hostLimit() {
        let bench = Bench(ThreadRules(maximumThreadJobs: 5))
        for _ in 0..<9 { bench.load("a") }
        bench.run()
        bench.hungry(1, 5)
        configure(bench, ThreadRules(maximumThreadJobs: 5, maximumHostJobs: 1))
        for job in bench.fed.prefix(4) { bench.report(1, job.id, .ok, isHungry: false) }
        #expect(bench.fed.count == 5)
        bench.report(1, bench.fed[4].id, .ok, isHungry: false)
        bench.hungry(2, 5)
        #expect(bench.fed.count == 6)
        #expect(bench.core.hosts["a"]?.active == 1)
    }

    @Test("a clock that went back does not stop a reload, and times go on")
    func afterClockJump() {
        let bench = Bench(ThreadRules(interval: 60, retries: [1]))
        let id = bench.load("a")
        bench.run()
        bench.hungry(1)
        bench.report(1, id, .deferred)
        bench.core.advance(to: bench.core.now - 5000)
        configure(bench, ThreadRules(interval: 60, retries: [1]))
        bench.pass(120)
        bench.hungry(2)
        #expect(bench.fed.count == 2)
    }
}
