import AgentProtocol
import SpoolFormat
import Testing

@testable import Scheduling

@Suite("A random world, from fixed seeds")
struct SimulationTests {
    @Test(
        "each recipient gets one result, limits hold, expiry is kept, nothing is forgotten or starves",
        arguments: [1, 2, 3, 4, 5] as [UInt64])
    func world(seed: UInt64) {
        let world = SimulationWorld(
            SimulationPlan(seed: seed, recipients: 2000, destinations: 300, arrivalTime: 86400, burst: 300))
        world.run(limit: 8 * 86400)
        world.checkAll()
        let tally = world.tally
        #expect(tally.problems == [])
        #expect(world.core.messageCount == 0 && world.core.recipientCount == 0 && world.core.threadCount == 0)
        #expect(world.core.hosts.isEmpty && world.core.heldCount == 0)
        #expect(tally.finished == tally.messages)
        #expect(tally.outcomes.values.reduce(0, +) == tally.recipients)
        #expect(Set(tally.outcomes.keys) == [.relayed, .failed, .expired])
        #expect(tally.deaths > 10 && tally.delayNotices > 10 && tally.sweeps > 10)
        #expect(tally.promptMessages > 100)
        #expect(tally.longestWait <= 900, "\(tally.longestWait)")
    }

    @Test("the same seed gives the same run")
    func repeatable() {
        let runs = (0..<2).map { _ in
            let world = SimulationWorld(
                SimulationPlan(seed: 42, recipients: 1000, destinations: 50, arrivalTime: 20000, burst: 100))
            world.run(limit: 86400)
            return [world.tally.jobs, world.tally.agents, world.tally.events]
        }
        #expect(runs[0] == runs[1])
    }

    @Test("a host with very many messages does not hold up one with a single message")
    func noStarvation() {
        let bench = Bench(ThreadRules(maximumRingJobs: 10, maximumThreadJobs: 10))
        for _ in 0..<100_000 { bench.load("big") }
        bench.run()
        bench.hungry(1, 10)
        bench.load("small")
        bench.run()
        var handed = 0
        for job in bench.fed where bench.fed.last?.host != "small" {
            bench.report(1, job.id, .ok)
            handed += 1
        }
        #expect(bench.fed.last?.host == "small")
        #expect(handed <= 2)
    }

    @Test("whatever the sizes of queues, each destination is served once before any is served twice more")
    func turns() {
        for seed in 1...5 as ClosedRange<UInt64> {
            var random = SplitMix64(seed: seed)
            let bench = Bench(ThreadRules(maximumRingJobs: 1, maximumThreadJobs: 3))
            let sizes = (0..<20).map { _ in Int(random.next() % 3) == 0 ? 200 : 1 + Int(random.next() % 5) }
            for (host, size) in sizes.enumerated() { for _ in 0..<size { bench.load("h\(host)") } }
            bench.run()
            bench.hungry(1)
            while let job = bench.core.agents[1]?.jobs.first { bench.report(1, job.message.id, .ok) }
            #expect(bench.fed.count == sizes.reduce(0, +))
            // In every round each host that has something left is served.
            var left = sizes
            var round: Set<String> = []
            for job in bench.fed {
                if round.contains(job.host) {
                    let missed = left.indices.filter { left[$0] > 0 && !round.contains("h\($0)") }
                    #expect(missed.isEmpty)
                    round = []
                }
                round.insert(job.host)
                left[Int(job.host.dropFirst()) ?? 0] -= 1
            }
        }
    }
}
