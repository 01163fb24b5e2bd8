import AgentProtocol
import Testing

@testable import Scheduling

@Suite("ETRN")
struct ETRNTests {
    private func etrn(_ bench: Bench, _ text: String) throws -> (threads: Int, jobs: Int) {
        let target = try #require(ETRNTarget(text))
        let found = bench.core.waiting(for: target)
        bench.core.start([target])
        bench.run()
        return found
    }

    @Test(
        "starts the threads that it names, and says how many jobs there are",
        arguments: [
            ("a.test", ["a.test"]), ("A.TEST.", ["a.test"]), ("@a.test", ["a.test", "mx.a.test"]),
            ("#smtp", ["a.test", "mx.a.test", "xa.test"]), ("b.test", []),
        ])
    func queueOnly(target: String, hosts: [String]) throws {
        let bench = Bench(ThreadRules(maximumThreadJobs: 5, isQueueOnly: true))
        for host in ["a.test", "a.test", "mx.a.test", "xa.test"] { bench.load(host) }
        bench.pass(3600)
        #expect(bench.started.isEmpty)
        let found = try etrn(bench, target)
        #expect(found.threads == hosts.count)
        #expect(found.jobs == hosts.count + (hosts.contains("a.test") ? 1 : 0))
        if !hosts.isEmpty { bench.hungry(1, 9) }
        #expect(Set(bench.fed.map(\.host)) == Set(hosts))
        #expect(bench.fed.count == found.jobs)
    }

    @Test("mail that comes later waits for the next ETRN, also when the last one found all at work")
    func later() throws {
        let bench = Bench(ThreadRules(isQueueOnly: true))
        let first = bench.load("a")
        _ = try etrn(bench, "a")
        bench.hungry(1)
        #expect(bench.fed.count == 1)
        #expect(try etrn(bench, "a").jobs == 0)
        bench.load("a")
        bench.run()
        bench.report(1, first, .ok)
        bench.pass(3600)
        #expect(bench.fed.count == 1)
        #expect(try etrn(bench, "a").jobs == 1)
        bench.hungry(bench.started.last?.agent ?? 0)
        #expect(bench.fed.count == 2)
    }

    @Test("a host that asked and is not there is not tried again until it asks again")
    func notThere() throws {
        let bench = Bench(ThreadRules(isQueueOnly: true))
        let ids = [bench.load("a"), bench.load("a")]
        _ = try etrn(bench, "a")
        bench.hungry(1)
        bench.report(1, ids[0], .deferredAll)
        bench.pass(40_000)
        #expect(bench.fed.count == 1)
        #expect(bench.state(ids[0])?.nextAttempt == nil)
        #expect(try etrn(bench, "a").jobs == 2)
        bench.hungry(bench.started.last?.agent ?? 0)
        #expect(bench.fed.count == 2)
    }

    @Test("what waits for its own next attempt, or for the end of a back-off, is tried now")
    func deferred() throws {
        let bench = Bench(ThreadRules(maximumThreadJobs: 2))
        let ids = [bench.load("a"), bench.load("a")]
        bench.run()
        bench.hungry(1, 2)
        bench.report(1, ids[0], .deferred)
        bench.report(1, ids[1], .deferred)
        #expect(bench.fed.count == 2)
        #expect(try etrn(bench, "a") == (1, 2))
        #expect(bench.fed.count == 4)
        bench.report(1, ids[0], .deferredAll)
        bench.report(1, ids[1], .deferredAll)
        bench.advance(1)
        let before = bench.fed.count
        #expect(try etrn(bench, "a") == (1, 2))
        // One job at a time until the host answers.
        #expect(bench.fed.count == before + 1)
        #expect(try etrn(bench, "nobody.test") == (0, 0))
    }

    @Test("mail without a clause is not started, and not counted")
    func unmatched() throws {
        let bench = Bench(lookup: { channel, _ in channel == "smtp" ? ThreadRules(isQueueOnly: true) : nil })
        bench.load("a", channel: "other")
        bench.load("a")
        #expect(try etrn(bench, "a") == (1, 1))
    }

    @Test("rings, threads and jobs are described as they are")
    func descriptions() throws {
        let bench = Bench(ThreadRules(ring: 3, isAgentPerHost: false))
        let first = bench.load("a")
        let second = bench.load("a")
        bench.load("b", channel: "local")
        bench.run()
        bench.hungry(1)
        bench.advance(7)
        let ring = try #require(bench.core.ringDescriptions.first)
        #expect(bench.core.ringDescriptions.count == 1)
        #expect((ring.ring, ring.threads, ring.jobs, ring.agents, ring.idle) == (3, 2, 3, 2, 0))
        let thread = try #require(bench.core.threadDescriptions.first { $0.host == "a" })
        #expect(thread.ring == 3)
        #expect(thread.oldest == Bench.start)
        #expect(
            thread.agents == [
                AgentDescription(
                    number: 1, state: .working, jobs: 1, hungrySince: Bench.start, fedAt: Bench.start)
            ])
        #expect(bench.core.messageIDs(channel: "smtp", host: "a") == [first, second])
        #expect(bench.core.messageIDs(channel: "smtp", host: "c") == [])
        let job = try #require(bench.core.describe(first, channel: "smtp", host: "a"))
        #expect(job.isActive)
        #expect((job.attempts, job.lastAttempt, job.nextAttempt) == (1, Bench.start, nil))
        let waiting = try #require(bench.core.describe(second, channel: "smtp", host: "a"))
        #expect((waiting.attempts, waiting.lastAttempt, waiting.nextAttempt) == (0, 0, bench.core.now))
        #expect(waiting.recipients.map(\.offset) == [100])
        bench.report(1, first, .ok)
        #expect(bench.core.describe(first, channel: "smtp", host: "a") == nil)
        let counters = bench.core.counters
        #expect((counters.receivedMessages, counters.receivedRecipients) == (3, 3))
        #expect((counters.finishedMessages, counters.finishedRecipients, counters.startedAgents) == (1, 1, 2))
    }
}
