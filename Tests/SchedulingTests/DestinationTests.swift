import AgentProtocol
import SpoolFormat
import Testing

@testable import Scheduling

@Suite("What one destination gets")
struct DestinationTests {
    @Test("connections to one host are counted over the threads of all channels, and these take turns")
    func hostLimit() {
        let bench = Bench(lookup: { channel, _ in
            ThreadRules(ring: channel == "smtp" ? 0 : 1, maximumThreadJobs: 5, maximumHostJobs: 3)
        })
        for _ in 0..<20 { bench.load("a", channel: "smtp") }
        for _ in 0..<20 { bench.load("a", channel: "smtpx") }
        bench.load("b", channel: "smtpx")
        bench.run()
        bench.hungry(1, 20)
        bench.hungry(2, 20)
        #expect(bench.fed.map(\.host).filter { $0 == "a" }.count == 3)
        #expect(bench.fed.last?.host == "b")
        for _ in 0..<30 {
            guard let job = bench.core.agents.values.flatMap(\.jobs).first(where: { $0.thread.key.host == "a" }) else {
                break
            }
            let agent = job.agent?.number ?? 0
            bench.report(agent, job.message.id, .ok)
            #expect(bench.core.hosts["a"]?.active ?? 0 <= 3)
        }
        let served = bench.fed.filter { $0.host == "a" }.map(\.agent)
        #expect(served.count == 33)
        #expect(served.count(where: { $0 == 2 }) >= 14, "\(served)")
        #expect(bench.core.hosts["a"]?.active == 3)
    }

    @Test("a host without mail is not remembered")
    func hostsGo() {
        let bench = Bench(ThreadRules(isAgentPerHost: true, maximumHostJobs: 1))
        let id = bench.load("a")
        bench.run()
        bench.hungry(1)
        bench.report(1, id, .ok)
        #expect(bench.core.hosts.isEmpty)
        #expect(bench.core.pools.count == 1, "its agent is kept for a while")
        bench.pass(1000)
        bench.die(1)
        #expect(bench.core.pools.isEmpty)
    }

    @Test("a rate holds in every span of its length, and the next message goes in its second")
    func rate() {
        let bench = Bench(ThreadRules(maximumThreadJobs: 100, idleLimit: 86400, rate: 10, rateInterval: 60))
        for _ in 0..<35 { bench.load("a") }
        bench.load("b")
        bench.run()
        bench.hungry(1, 1000)
        #expect(bench.fed.filter { $0.host == "a" }.count == 10)
        #expect(bench.fed.filter { $0.host == "b" }.count == 1, "another destination has its own")
        bench.pass(59)
        #expect(bench.fed.count == 11)
        #expect(bench.core.nextEvent == Bench.start + 60)
        bench.pass(1)
        #expect(bench.fed.count == 21)
        bench.pass(120)
        #expect(bench.fed.count == 36)
    }

    @Test("a rate is not forgotten when a destination's mail is done, and lasts over new rules")
    func rateLasts() {
        let rules = ThreadRules(maximumThreadJobs: 100, idleLimit: 86400, rate: 2, rateInterval: 100)
        let bench = Bench(rules)
        for _ in 0..<2 {
            let id = bench.load("a")
            bench.run()
            bench.hungry(1)
            bench.report(1, id, .ok)
            bench.advance(10)
        }
        #expect(bench.core.threadCount == 0)
        bench.load("a")
        bench.load("a")
        bench.run()
        #expect(bench.fed.count == 2)
        bench.core.configure(reportInterval: 900) { _, _ in rules }
        bench.run()
        bench.pass(79)
        #expect(bench.started.count == 1)
        bench.pass(1)
        bench.hungry(2, 5)
        #expect(bench.fed.count == 3)
        bench.core.configure(reportInterval: 900) { _, _ in ThreadRules(maximumThreadJobs: 100) }
        bench.run()
        bench.hungry(3, 5)
        #expect(bench.fed.count == 4, "without a rate nothing waits for one")
    }

    @Test("jobs handed ahead count in a rate")
    func rateAhead() {
        let bench = Bench(ThreadRules(maximumThreadJobs: 1, overfeed: 10, rate: 4, rateInterval: 60))
        for _ in 0..<20 { bench.load("a") }
        bench.run()
        bench.hungry(1)
        #expect(bench.fed.count == 4)
    }

    @Test("any times: never more than the rate in any span, and all of it where there is enough to do")
    func window() {
        var random = SplitMix64(seed: 7)
        for (limit, interval) in [(1, 1), (3, 10), (7, 3600), (100, 60), (50, 86400)] as [(Int, Int64)] {
            var window = HandOutWindow()
            var times: [UnixTime] = []
            var now: UnixTime = 1000
            for _ in 0..<2000 {
                let opens = window.opens(at: now, limit: limit, interval: interval)
                now = max(now, opens)
                #expect(window.opens(at: now, limit: limit, interval: interval) <= now)
                window.note(at: now, interval: interval)
                times.append(now)
                if random.next() % 3 == 0 { now += Int64(random.next() % UInt64(interval)) / 8 }
            }
            let isTooMany = times.indices.contains { index in
                index + limit < times.count && times[index + limit] - times[index] < interval
            }
            #expect(!isTooMany, "\(limit)/\(interval)")
        }
    }

    @Test("the agent is told how many messages go over one connection")
    func messages() {
        for limit in [nil, 20] {
            let bench = Bench(ThreadRules(messagesPerConnection: limit))
            bench.load("a")
            bench.run()
            bench.hungry(1)
            #expect(bench.fed.count == 1 && bench.messagesPerConnection == limit)
        }
    }

    @Test("threads whose values differ have agents of their own, also in one clause")
    func variants() {
        let bench = Bench(lookup: { _, host in ThreadRules(maximumRingJobs: 2, variant: host == "a" ? 1 : 2) })
        bench.load("a")
        bench.load("b")
        bench.load("c")
        bench.run()
        #expect(bench.started.map(\.agent) == [1, 2])
        bench.hungry(1, 5)
        bench.hungry(2, 5)
        #expect(bench.fed.map(\.host) == ["a", "b"], "the limit of the ring is one for both")
    }

    @Test("ten thousand hosts with agents of their own keep within the limit of processes")
    func processes() {
        let bench = Bench(ThreadRules(maximumJobs: 20, isAgentPerHost: true))
        for host in 0..<2000 { bench.load("h\(host)") }
        bench.run()
        #expect(bench.started.count == 20)
        var most = 0
        while let agent = bench.core.agents.values.first(where: { $0.isStarting }) {
            bench.hungry(agent.number)
            if let job = agent.jobs.first { bench.report(agent.number, job.message.id, .ok) }
            most = max(most, bench.core.agents.values.count { !$0.isRetiring })
            for closed in bench.closed { bench.die(closed) }
            bench.closed = []
        }
        #expect(bench.fed.count == 2000)
        #expect(most <= 21)
    }

    @Test("the place of a job that ends is that of what its agent was handed ahead")
    func aheadKeepsItsPlace() {
        let bench = Bench(lookup: { channel, _ in
            ThreadRules(ring: channel == "smtp" ? 0 : 1, maximumJobs: 1, overfeed: 2)
        })
        let ids = (0..<3).map { _ in bench.load("a") }
        bench.run()
        bench.hungry(1)
        bench.load("b", channel: "other")
        bench.run()
        // The report is there and the next #hungry not yet.
        bench.report(1, ids[0], .ok, isHungry: false)
        #expect(bench.core.activeJobs == 1)
        #expect(bench.started.count == 1)
        bench.hungry(1)
        #expect(bench.core.activeJobs == 1)
        bench.report(1, ids[1], .ok)
        bench.report(1, ids[2], .ok)
        #expect(bench.core.agents[2] != nil)
    }
}
