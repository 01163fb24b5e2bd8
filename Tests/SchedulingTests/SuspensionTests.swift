import AgentProtocol
import Configuration
import MailModel
import SpoolFormat
import Testing

@testable import Scheduling

@Suite("Suspensions")
struct SuspensionTests {
    private static let host = Suspension(
        host: GlobPattern("*.down.test"), until: Bench.start + 1000, since: Bench.start, operatorName: "alice",
        reason: "they asked us")

    private func sweep(_ bench: Bench) {
        while bench.core.isSweeping { bench.core.sweep(1) }
        bench.run()
    }

    @Test("what is queued and what comes is not handed out, and goes when the time has come")
    func host() throws {
        let bench = Bench(ThreadRules(interval: 600))
        let before = bench.load("mx.down.test")
        #expect(bench.core.suspend(Self.host) == 1)
        // At once: nobody has looked at the queue yet.
        bench.run()
        #expect(bench.started.isEmpty)
        let after = bench.load("MX2.down.test")
        let other = bench.load("up.test")
        bench.run()
        bench.hungry(1, 5)
        #expect(bench.fed.map(\.id) == [other])
        sweep(bench)
        for id in [before, after] {
            let recipient = try #require(bench.state(id))
            #expect(recipient.state == .suspended)
            #expect(recipient.reason == "suspended by alice (1): they asked us")
            #expect(recipient.nextAttempt == Bench.start + 1000)
        }
        var counts: [Int: SuspensionCount] = [:]
        for id in bench.core.messageIDs { bench.core.countSuspended(id, &counts) }
        #expect(counts[1]?.messages == 2 && counts[1]?.recipients == 2)
        #expect(bench.core.nextEvent.map { $0 <= Bench.start + 1000 } == true)
        _ = bench.core.flush { _, _ in true }
        bench.run()
        #expect(bench.fed.count == 1)
        _ = bench.core.takeSuspensions()
        bench.pass(1000)
        sweep(bench)
        bench.hungry(1, 5)
        #expect(Set(bench.fed.map(\.id)) == [before, after, other])
        #expect(bench.core.suspensions.isEmpty)
        #expect(bench.core.takeSuspensions()?.isEmpty == true)
        #expect(bench.core.takeSuspensions() == nil)
    }

    @Test("by channel, sender and recipient, together and alone; ended by an operator")
    func patterns() {
        let bench = Bench()
        let junk = bench.load([Bench.recipient("a.test")], sender: "junk@x.test")
        let null = bench.load([Bench.recipient("a.test")], sender: "")
        let plain = bench.load([Bench.recipient("b.test", 300)])
        func suspended(_ suspension: Suspension) -> [Bool] {
            _ = bench.core.suspend(suspension)
            while bench.core.isSweeping { bench.core.sweep(100) }
            let states = [junk, null, plain].map { bench.state($0)?.state == .suspended }
            #expect(bench.core.resume { _ in true }.count == 1)
            while bench.core.isSweeping { bench.core.sweep(100) }
            #expect([junk, null, plain].allSatisfy { bench.state($0)?.state == .waiting })
            return states
        }
        bench.core.isFrozen = true
        #expect(suspended(Suspension(channel: GlobPattern("SMTP"))) == [true, true, true])
        #expect(suspended(Suspension(sender: GlobPattern("junk@*"))) == [true, false, false])
        #expect(suspended(Suspension(sender: GlobPattern("<>"))) == [false, true, false])
        #expect(suspended(Suspension(recipient: GlobPattern("u300@*"))) == [false, false, true])
        #expect(
            suspended(Suspension(host: GlobPattern("b.test"), sender: GlobPattern("<>"))) == [false, false, false])
    }

    @Test("a job in hand ends as it ends; deferred it waits for the end of the suspension, and does not expire")
    func inHand() throws {
        let bench = Bench(ThreadRules(interval: 600, expiry: 2000, expiry2: 100))
        let id = bench.load("a.down.test")
        bench.run()
        bench.hungry(1)
        _ = bench.core.suspend(Suspension(host: GlobPattern("*.down.test"), until: Bench.start + 9000))
        sweep(bench)
        #expect(bench.state(id)?.state == .active)
        bench.report(1, id, .deferred)
        bench.pass(8000)
        #expect(bench.state(id)?.state == .suspended)
        bench.pass(1000)
        sweep(bench)
        // Once more, and then it has expired.
        bench.die(1)
        bench.hungry(2)
        #expect(bench.fed.count == 2)
        bench.report(2, id, .deferred)
        #expect(bench.results.last?.outcome == .expired)
        #expect(!bench.core.knows(id))
    }

    @Test("the same patterns again change what was said; there are not more than so many")
    func bounds() {
        let bench = Bench()
        #expect(bench.core.suspend(Self.host) == 1)
        var longer = Self.host
        longer.until = nil
        #expect(bench.core.suspend(longer) == 1)
        #expect(bench.core.suspensions.entries.map(\.until) == [nil])
        for number in 2...Suspensions.maximum {
            #expect(bench.core.suspend(Suspension(host: GlobPattern("h\(number)"))) == number)
        }
        #expect(bench.core.suspend(Suspension(host: GlobPattern("one more"))) == nil)
    }

    @Test("the file gives back what was written; broken lines are counted")
    func file() {
        let bench = Bench()
        _ = bench.core.suspend(Suspension(channel: GlobPattern("x")))
        _ = bench.core.suspend(Self.host)
        _ = bench.core.suspend(Suspension(sender: GlobPattern("<>"), reason: "a\tb\nc"))
        _ = bench.core.resume { $0.number == 1 }
        var unreadable = 0
        let again = Suspensions(parsing: bench.core.suspensions.text, unreadable: &unreadable)
        #expect(unreadable == 0)
        #expect(again.text == bench.core.suspensions.text)
        #expect(again.entries.map(\.number) == [2, 3])
        #expect(again.entries.last?.reason == "a b c")
        let broken =
            "suspend\t1\n\nsuspend\tx\t1\t-\ta\t\t\t\t\t\nsuspend\t1\t1\t-\t\t\t\t\tme\twhy\nlast\t-1\nnonsense\n"
        let none = Suspensions(parsing: broken, unreadable: &unreadable)
        #expect(unreadable == 5)
        #expect(none.isEmpty)
    }

    /// Calls of ``DeliveryScheduler/takeActions()`` until everything has been looked at; after each one the jobs that are held.
    private static func heldAfterEachCall(_ bench: Bench) -> [Int] {
        var counts: [Int] = []
        repeat {
            _ = bench.core.takeActions()
            counts.append(bench.core.threads.values.reduce(0) { $0 + $1.held })
        } while bench.core.isBehind
        return counts
    }

    @Test(
        "a call puts aside a bounded number of jobs, at one host or at as many hosts", arguments: [1, 20_000], [1, 100])
    func bounded(hosts: Int, suspensions: Int) {
        let bench = Bench(ThreadRules(maximumJobs: 10))
        let count = suspensions > 1 ? 4000 : 20_000
        bench.core.isFrozen = true
        for number in 0..<count { bench.load("h\(number % hosts).bulk.test") }
        bench.load("other.test")
        for number in 1..<suspensions { _ = bench.core.suspend(Suspension(host: GlobPattern("no\(number).test"))) }
        _ = bench.core.suspend(Suspension(host: GlobPattern("*.bulk.test")))
        bench.core.isFrozen = false
        let counts = Self.heldAfterEachCall(bench)
        let limit = DeliveryScheduler.dropsOfCall / (1 + suspensions / 8)
        let steps = zip(counts, [0] + counts).map { $0 - $1 }
        #expect(steps.allSatisfy { (0...limit).contains($0) })
        #expect(counts.last == count)
        // Each call does about as much as it may: that of one host at most three things for each job.
        #expect(counts.count <= 3 * count / limit + 2)
    }

    @Test("other destinations are served while a suspended one is put aside")
    func othersMeanwhile() {
        let bench = Bench(ThreadRules(isAgentPerHost: true))
        bench.core.isFrozen = true
        for _ in 0..<20_000 { bench.load("bulk.test") }
        let other = bench.load("other.test")
        _ = bench.core.suspend(Suspension(host: GlobPattern("bulk.test")))
        bench.core.isFrozen = false
        var started: [Int] = []
        var calls = 0
        while started.isEmpty {
            calls += 1
            for case .startAgent(let agent, _, let host) in bench.core.takeActions() {
                #expect(host == "other.test")
                started.append(agent)
            }
        }
        #expect(calls <= 2 && bench.core.isBehind)
        bench.core.received(.hungry, from: started[0])
        var fed: [SpoolID] = []
        for _ in 0..<2 {
            for case .feed(_, let id, _, _) in bench.core.takeActions() { fed.append(id) }
        }
        #expect(fed == [other] && bench.core.isBehind)
    }

    @Test("a sweep counts jobs, not messages")
    func sweepCounts() {
        let bench = Bench()
        bench.core.isFrozen = true
        for _ in 0..<10 { bench.load((0..<100).map { Bench.recipient("h\($0).test", 100 + $0 * 50) }) }
        _ = bench.core.suspend(Suspension(channel: GlobPattern("smtp")))
        bench.core.sweep(250)
        #expect(bench.core.threads.values.reduce(0) { $0 + $1.held } == 300)
        #expect(bench.core.isSweeping)
    }
}
