import AgentProtocol
import SpoolFormat
import Testing

@testable import Scheduling

@Suite("Limits count jobs being worked on")
struct LimitTests {
    @Test("one agent is started, and a second only when its credits are used up")
    func processes() {
        let bench = Bench(ThreadRules(maximumThreadJobs: 10))
        for _ in 0..<3 { bench.load("a") }
        bench.run()
        #expect(bench.started.map(\.agent) == [1])
        bench.hungry(1)
        #expect(bench.fed.count == 1)
        #expect(bench.started.map(\.agent) == [1, 2])
        bench.hungry(2, 5)
        #expect(bench.fed.map(\.agent) == [1, 2, 2])
        #expect(bench.started.count == 2)
    }

    struct Case: CustomTestStringConvertible, Sendable {
        let testDescription: String
        let rules: ThreadRules
        let hosts: [String]
        /// Jobs handed to agents that always have credits.
        let handed: Int
    }

    static let cases = [
        Case(testDescription: "maxthr", rules: ThreadRules(maximumThreadJobs: 3), hosts: ["a"], handed: 3),
        Case(
            testDescription: "maxthr, two hosts", rules: ThreadRules(maximumThreadJobs: 3), hosts: ["a", "b"], handed: 6
        ),
        Case(
            testDescription: "maxring", rules: ThreadRules(maximumRingJobs: 4, maximumThreadJobs: 3),
            hosts: ["a", "b"],
            handed: 4),
        Case(
            testDescription: "maxchannel", rules: ThreadRules(maximumChannelJobs: 5, maximumThreadJobs: 3),
            hosts: ["a", "b"], handed: 5),
        Case(
            testDescription: "maxta", rules: ThreadRules(maximumJobs: 2, maximumThreadJobs: 3), hosts: ["a", "b"],
            handed: 2),
    ]

    @Test("no more jobs than the limit", arguments: cases)
    func limit(_ test: Case) {
        let bench = Bench(test.rules)
        for host in test.hosts { for _ in 0..<10 { bench.load(host) } }
        bench.run()
        bench.hungry(1, 20)
        #expect(bench.fed.count == test.handed)
        #expect(bench.core.activeJobs == test.handed)
        // A job done makes room for one.
        let first = bench.fed[0]
        bench.report(first.agent, first.id, .ok)
        #expect(bench.fed.count == test.handed + 1)
        #expect(bench.core.activeJobs == test.handed)
    }

    @Test("threads take turns, however long their queues are")
    func roundRobin() {
        let bench = Bench(ThreadRules(maximumRingJobs: 1, maximumThreadJobs: 10))
        for _ in 0..<100 { bench.load("big") }
        bench.load("small")
        bench.load("other")
        bench.run()
        bench.hungry(1)
        for _ in 0..<4 {
            guard let last = bench.fed.last else { break }
            bench.report(last.agent, last.id, .ok)
        }
        #expect(bench.fed.prefix(5).map(\.host) == ["big", "small", "other", "big", "big"])
    }

    @Test("clauses take turns at the limit of all")
    func poolsTakeTurns() {
        let bench = Bench(lookup: { channel, _ in
            ThreadRules(ring: channel == "local" ? 1 : 0, maximumJobs: 1, maximumThreadJobs: 10)
        })
        for _ in 0..<5 { bench.load("a", channel: "smtp") }
        for _ in 0..<5 { bench.load("-", channel: "local") }
        bench.run()
        bench.hungry(1, 5)
        #expect(bench.started.map(\.agent) == [1], "as many processes as jobs are allowed")
        for _ in 0..<6 {
            guard let last = bench.fed.last else { break }
            bench.report(last.agent, last.id, .ok)
            if bench.core.agents[2]?.isStarting ?? false { bench.hungry(2, 5) }
        }
        #expect(bench.fed.map(\.host) == ["a", "a", "-", "a", "-", "a", "-"])
    }

    @Test("jobs handed ahead go to the busy agent, do not count, and stop when another thread waits")
    func overfeed() {
        let bench = Bench(ThreadRules(maximumThreadJobs: 1, overfeed: 3))
        for _ in 0..<10 { bench.load("a") }
        bench.run()
        bench.hungry(1)
        #expect(bench.fed.count == 4)
        #expect(bench.core.activeJobs == 1)
        bench.report(1, bench.fed[0].id, .ok)
        #expect(bench.fed.count == 5)
        #expect(bench.core.activeJobs == 1)
        bench.load("b")
        bench.run()
        bench.report(1, bench.fed[1].id, .ok)
        #expect(bench.fed.count == 5, "nothing ahead while b waits")
        #expect(bench.started.count == 2)
        bench.hungry(2)
        #expect(bench.fed.filter { $0.agent == 2 }.map(\.host) == ["b"])
    }

    @Test("an agent of a command with $host serves that host only")
    func perHost() {
        let bench = Bench(ThreadRules(maximumThreadJobs: 2, isAgentPerHost: true))
        bench.load("a")
        bench.load("b")
        bench.run()
        #expect(bench.started.map(\.host) == ["a", "b"])
        bench.hungry(1, 9)
        bench.hungry(2, 9)
        #expect(bench.fed.map(\.agent) == [1, 2])
        #expect(bench.fed.map(\.host) == ["a", "b"])
    }

    @Test("an idle agent is closed after its time, and not while it works")
    func idle() {
        let bench = Bench(ThreadRules(interval: 60, maximumThreadJobs: 1, idleLimit: 100))
        let id = bench.load("a")
        bench.run()
        bench.hungry(1)
        bench.pass(1000)
        #expect(bench.closed.isEmpty)
        bench.report(1, id, .ok)
        bench.pass(99)
        #expect(bench.closed.isEmpty)
        bench.pass(1)
        #expect(bench.closed == [1])
    }

    @Test("mail that no clause matches waits and is reported once")
    func unmatched() {
        let bench = Bench(lookup: { channel, _ in channel == "smtp" ? ThreadRules() : nil })
        let id = bench.load("a", channel: "uucp")
        bench.load("a", channel: "uucp")
        bench.pass(30 * 86400)
        #expect(bench.started.isEmpty)
        #expect(bench.core.messageCount == 2)
        #expect(bench.events.count == 1)
        #expect(bench.state(id)?.state == .waiting)
        #expect(bench.core.threadDescriptions.first?.isMatched == false)
        // A clause that comes later finds it.
        bench.core.configure(reportInterval: 900, rules: { _, _ in ThreadRules() })
        bench.run()
        #expect(bench.started.count == 1)
    }

    @Test("a queue-only thread runs when it is flushed")
    func queueOnly() {
        let bench = Bench(ThreadRules(isQueueOnly: true))
        bench.load("a")
        bench.load("b")
        bench.pass(3600)
        #expect(bench.started.isEmpty)
        #expect(bench.core.flush { _, host in host == "a" } == 1)
        bench.run()
        bench.hungry(1)
        #expect(bench.fed.map(\.host) == ["a"])
    }

    @Test("age order puts a retried old message before a new one")
    func ageOrder() {
        for (isAgeOrdered, expected) in [(true, 0), (false, 1)] {
            let bench = Bench(ThreadRules(maximumThreadJobs: 1, isAgeOrdered: isAgeOrdered))
            let ids = [bench.load("a", age: 10), bench.load("a", age: 5), bench.load("a")]
            bench.run()
            bench.hungry(1)
            bench.report(1, ids[0], .deferred)
            #expect(bench.fed.last?.id == ids[1])
            bench.advance(200)
            bench.load("a", age: 400)
            bench.report(1, ids[1], .ok)
            #expect(bench.fed.last?.id == (expected == 1 ? ids[2] : bench.core.messageIDs[0]))
        }
    }
}
