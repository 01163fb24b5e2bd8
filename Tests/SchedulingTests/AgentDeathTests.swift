import AgentProtocol
import SpoolFormat
import Testing

@testable import Scheduling

@Suite("Agents that die lose nothing")
struct AgentDeathTests {
    @Test("the jobs of a dead agent go to the next one at once, in their order")
    func again() {
        let bench = Bench(ThreadRules(maximumThreadJobs: 5))
        let ids = (0..<5).map { _ in bench.load("a") }
        bench.run()
        bench.hungry(1, 3)
        bench.hungry(2)
        bench.report(1, ids[0], .ok)
        bench.die(1)
        #expect(bench.fed.count(where: { $0.agent == 1 }) == 4)
        let next = bench.started.last?.agent ?? 0
        bench.hungry(next, 5)
        #expect(bench.fed.filter { $0.agent == next }.map(\.id) == [ids[1], ids[2], ids[4]])
        #expect(bench.results.map(\.outcome) == [.delivered])
    }

    @Test("the second time it is tried alone, the third time it waits, and others go on")
    func poison() {
        let bench = Bench(ThreadRules(maximumThreadJobs: 5))
        let poison = bench.load("a")
        let others = (0..<4).map { _ in bench.load("a") }
        bench.run()
        bench.hungry(1, 5)
        bench.die(1)
        bench.hungry(2, 5)
        #expect(bench.fed.filter { $0.agent == 2 }.count == 5)
        bench.die(2)
        // Each alone now, on an agent that is kept for them.
        var agent = 3
        var isDead = false
        for _ in 0..<20 {
            guard bench.core.messageCount > (isDead ? 1 : 0) else { break }
            if bench.core.agents[agent] == nil { agent = bench.started.last?.agent ?? 0 }
            if bench.core.agents[agent]?.isStarting ?? false { bench.hungry(agent, 5) }
            let jobs = bench.core.agents[agent]?.jobs ?? []
            #expect(jobs.count <= 1)
            guard let id = jobs.first?.message.id else { break }
            if id == poison {
                isDead = true
                bench.die(agent)
            } else {
                bench.report(agent, id, .ok)
            }
        }
        #expect(isDead)
        #expect(Set(bench.results.filter { $0.outcome == .delivered }.map(\.id)) == Set(others))
        #expect(bench.state(poison)?.state == .deferred)
        #expect((bench.state(poison)?.nextAttempt ?? 0) > bench.core.now)
        #expect(bench.state(poison)?.last == "the delivery agent died over this message")
        let isLogged = bench.events.contains { if case .poison(poison, _, _, _) = $0 { true } else { false } }
        #expect(isLogged)
    }

    @Test("an agent that cannot be started is started less and less often")
    func cannotStart() {
        let bench = Bench()
        let id = bench.load("a")
        bench.run()
        var times: [Int64] = []
        while bench.time < 400 {
            if let agent = bench.started.last?.agent, bench.core.agents[agent] != nil {
                times.append(bench.time)
                bench.die(agent)
                continue
            }
            guard let next = bench.core.nextEvent else { break }
            bench.core.advance(to: next)
            bench.run()
        }
        #expect(times.count < 16)
        #expect(times.count > 8)
        #expect(bench.state(id)?.attempts == 0)
        #expect(bench.core.messageCount == 1)
    }

    @Test("jobs handed ahead are not blamed")
    func overfed() {
        let bench = Bench(ThreadRules(overfeed: 3))
        let ids = (0..<4).map { _ in bench.load("a") }
        bench.run()
        for agent in 1...2 {
            bench.hungry(agent)
            bench.die(agent)
        }
        #expect(bench.state(ids[0])?.attempts == 2)
        #expect(bench.state(ids[1])?.attempts == 0)
    }

    @Test("an agent that finds nothing makes the control file be read again")
    func resync() {
        let bench = Bench()
        let id = bench.load([Bench.recipient("a", 100), Bench.recipient("b", 200)])
        bench.run()
        bench.hungry(1, 2)
        bench.core.received(.resync(id), from: 1)
        bench.run()
        #expect(bench.rereads == [id])
        #expect(bench.core.describe(id)?.recipients.map(\.state) == [.deferred, .active])
        // The file says that the first is done.
        var done = Bench.recipient("a", 100)
        done.outcome = .delivered
        bench.core.reload(
            LoadedMessage(
                id: id, arrived: 0, size: 0, sender: "", isErrorMessage: false,
                recipients: [done, Bench.recipient("b", 200)]))
        bench.report(1, id, .ok, offset: 200)
        #expect(bench.finishes.count == 1)
    }

    @Test("a control file with other recipients takes the place of what was known, and nothing of it is lost")
    func replaced() {
        let bench = Bench()
        let id = bench.load("a")
        bench.run()
        bench.hungry(1)
        bench.core.received(.resync(id), from: 1)
        bench.run()
        bench.core.reload(
            LoadedMessage(
                id: id, arrived: bench.core.now, size: 0, sender: "", isErrorMessage: false,
                recipients: [Bench.recipient("b", 150)]))
        bench.hungry(1)
        #expect(bench.finishes.isEmpty)
        #expect(bench.fed.last?.host == "b")
        #expect(bench.core.threadCount == 1)
        bench.report(1, id, .ok, offset: 150)
        #expect(bench.finishes.count == 1)
    }

    @Test("an agent that never reports on a job is ended, and the job goes to another")
    func hung() {
        let bench = Bench()
        let id = bench.load("a")
        bench.run()
        bench.hungry(1)
        bench.pass(3 * 3600 - 1)
        #expect(bench.killed.isEmpty)
        bench.pass(1)
        #expect(bench.killed == [1])
        bench.die(1)
        bench.hungry(2)
        #expect(bench.fed.map(\.id) == [id, id])
    }

    @Test("new rules: agents finish what they have, the rest goes to new ones, limits hold over both")
    func configure() {
        let bench = Bench(ThreadRules(maximumThreadJobs: 3))
        let ids = (0..<6).map { _ in bench.load("a") }
        bench.run()
        bench.hungry(1, 3)
        bench.core.configure(
            reportInterval: 900, rules: { _, _ in ThreadRules(ring: 4, maximumRingJobs: 4, maximumThreadJobs: 4) })
        bench.run()
        #expect(bench.closed == [1])
        #expect(bench.started.map(\.agent) == [1, 2])
        bench.hungry(2, 5)
        #expect(bench.fed.map(\.agent) == [1, 1, 1, 2])
        bench.report(1, ids[0], .ok, isHungry: false)
        #expect(bench.fed.map(\.agent) == [1, 1, 1, 2, 2])
        bench.die(1)
        #expect(bench.fed.count == 7)
        #expect(bench.core.activeJobs == 4)
        #expect(bench.core.rings[4]?.active == 4)
    }

    @Test("after stop nothing is handed out, and reports are still taken")
    func stop() {
        let bench = Bench()
        let id = bench.load("a")
        bench.load("a")
        bench.run()
        bench.hungry(1)
        bench.core.stop()
        bench.run()
        #expect(bench.closed == [1])
        bench.report(1, id, .ok)
        #expect(bench.finishes.map(\.id) == [id])
        #expect(bench.fed.count == 1)
    }
}
