import AgentProtocol
import MailModel
import SpoolFormat
import Testing

@testable import Scheduling

@Suite("Priorities (RFC 6710)")
struct PriorityTests {
    private func load(_ bench: Bench, _ host: String, _ priority: Int) -> SpoolID {
        bench.load([Bench.recipient(host)], priority: priority)
    }

    /// Works everything off, one job after the other.
    private func finish(_ bench: Bench, _ agent: Int = 1) -> [SpoolID] {
        bench.run()
        bench.hungry(agent)
        var done = 0
        while done < bench.fed.count {
            bench.report(agent, bench.fed[done].id, .ok)
            done += 1
        }
        return bench.fed.map(\.id)
    }

    @Test(
        "within a thread the more urgent goes first, and among equals the one that came first",
        arguments: [false, true])
    func withinThread(isAgeOrdered: Bool) {
        let bench = Bench(ThreadRules(isAgeOrdered: isAgeOrdered))
        let priorities = [0, -9, 3, 0, 9, -1, 3, 9, -9]
        let ids = priorities.map { load(bench, "a", $0) }
        let expected = [4, 7, 2, 6, 0, 3, 5, 1, 8].map { ids[$0] }
        #expect(finish(bench) == expected)
        #expect(bench.core.messageCount == 0)
    }

    @Test("among the threads of a channel that wait for a limit, the one with the most urgent message is next")
    func betweenThreads() {
        let bench = Bench(ThreadRules(maximumRingJobs: 1))
        let first = load(bench, "a", 0)
        bench.run()
        bench.hungry(1)
        let waiting = ["b", "c", "d", "e"].map { load(bench, $0, 0) }
        bench.run()
        // It comes for a thread that waits already, and one for a thread of its own.
        let urgent = load(bench, "d", 5)
        let most = load(bench, "f", 7)
        #expect(bench.fed.map(\.id) == [first])
        _ = finish(bench)
        #expect(bench.fed.map(\.id) == [first, most, urgent, waiting[0], waiting[1], waiting[3], waiting[2]])
        #expect(bench.core.messageCount == 0)
    }

    @Test("more urgent mail for each of many threads that wait costs no search for each, and no place for good")
    func manyThreads() throws {
        let count = 50_000
        let bench = Bench(ThreadRules(maximumRingJobs: 1))
        for number in 0..<count { _ = load(bench, "h\(number).test", 0) }
        bench.run()
        let time = ContinuousClock().measure {
            for number in 0..<count { _ = load(bench, "h\(count - 1 - number).test", 5) }
        }
        // A search for each takes minutes.
        #expect(time < .seconds(20))
        let pool = try #require(bench.core.pools.values.first)
        #expect(pool.waitingThreads == count)
        for priority in 6...9 {
            for number in 0..<5000 { _ = load(bench, "h\(number).test", priority) }
            #expect(pool.waitingThreads == count && pool.voidPlaces <= count + 2048)
        }
        let last = load(bench, "late.test", 5)
        bench.hungry(1)
        #expect(bench.fed.map(\.host) == ["h0.test"])
        #expect(bench.state(last)?.state == .waiting)
    }

    @Test("a step of priority is worth an hour, so that nothing waits for ever")
    func bounded() {
        for (wait, isFirst) in [(3599, false), (3600, true), (3601, true)] as [(Int64, Bool)] {
            let bench = Bench(ThreadRules(idleLimit: 100_000))
            let old = load(bench, "a", 0)
            bench.advance(wait)
            let urgent = load(bench, "a", 1)
            let fed = finish(bench)
            // At the same worth, the more urgent one.
            #expect(fed == (isFirst && wait > 3600 ? [old, urgent] : [urgent, old]))
        }
    }

    @Test("under a flood of urgent mail the least urgent waits 18 hours longer, and no more")
    func noStarvation() {
        let bench = Bench(ThreadRules(expiry: 10 * 86400, idleLimit: 10 * 86400))
        let least = load(bench, "a", -9)
        for _ in 0..<3 { _ = load(bench, "a", 9) }
        bench.run()
        bench.hungry(1)
        var done = 0
        // A job a minute, and an urgent message a minute.
        while bench.core.knows(least), bench.time < 3 * 86400 {
            bench.advance(60)
            _ = load(bench, "a", 9)
            bench.report(1, bench.fed[done].id, .ok)
            done += 1
        }
        #expect(!bench.core.knows(least))
        #expect((18 * 3600...18 * 3600 + 600).contains(bench.time))
    }

    @Test("a message that agents die with keeps its priority")
    func takenBack() {
        let bench = Bench()
        let urgent = load(bench, "a", 9)
        bench.run()
        bench.hungry(1)
        let normal = load(bench, "a", 0)
        let other = load(bench, "a", 9)
        bench.die(1)
        bench.hungry(2)
        #expect(bench.fed.map(\.id) == [urgent, urgent])
        bench.report(2, urgent, .ok)
        bench.report(2, other, .ok)
        bench.report(2, normal, .ok)
        #expect(bench.core.messageCount == 0)
    }

    @Test("the queue tells the priority")
    func description() {
        let bench = Bench()
        #expect(bench.core.describe(load(bench, "a", -4))?.priority == -4)
    }

    @Test("in a random world the more urgent waits less, and all of it arrives", arguments: [1, 2, 3] as [UInt64])
    func simulation(seed: UInt64) {
        var random = SplitMix64(seed: seed)
        func below(_ bound: Int) -> Int { Int(random.next() % UInt64(bound)) }
        // Two jobs at a time for six hosts, at a load of nine tenths.
        let bench = Bench(
            ThreadRules(expiry: 30 * 86400, maximumRingJobs: 2, maximumThreadJobs: 2, idleLimit: 30 * 86400))
        let priorities = [-9, -3, 0, 0, 0, 0, 4, 9]
        var waits: [Int: (count: Int, sum: Int64, longest: Int64)] = [:]
        var begun: Set<SpoolID> = []
        var arrivals: [SpoolID: (time: Int64, priority: Int)] = [:]
        var ends: [(time: Int64, id: SpoolID)] = []
        var isHungry = false
        for step in 0..<12000 {
            bench.advance(10)
            // Bursts, so that there is a backlog to be ordered.
            let arriving = step >= 6000 ? 0 : step % 600 < 300 ? 1 + below(2) : below(2)
            for _ in 0..<arriving {
                let priority = priorities[below(priorities.count)]
                arrivals[load(bench, "h\(below(6))", priority)] = (bench.time, priority)
            }
            bench.run()
            if !isHungry, !bench.started.isEmpty {
                isHungry = true
                bench.hungry(1, 2)
            }
            for end in ends where end.time <= bench.time { bench.report(1, end.id, .ok) }
            ends.removeAll { $0.time <= bench.time }
            for job in bench.fed.suffix(8) where begun.insert(job.id).inserted {
                guard let arrival = arrivals[job.id] else { continue }
                let wait = bench.time - arrival.time
                let known = waits[arrival.priority] ?? (0, 0, 0)
                waits[arrival.priority] = (known.count + 1, known.sum + wait, max(known.longest, wait))
                ends.append((bench.time + 10 + Int64(below(15)), job.id))
            }
        }
        #expect(begun.count == arrivals.count)
        #expect(bench.core.messageCount == 0)
        let averages = [9, 4, 0, -3, -9].map { priority in
            waits[priority].map { Double($0.sum) / Double(max(1, $0.count)) } ?? -1
        }
        #expect(zip(averages, averages.dropFirst()).allSatisfy { $0 <= $1 }, "\(averages)")
        #expect(averages[0] * 3 < averages[2], "\(averages)")
        // Nobody waits longer than what priorities are worth, and the backlog itself.
        let longest = waits.values.map(\.longest).max() ?? 0
        #expect(longest < 18 * 3600 + (averages[2] > 0 ? 40000 : 0), "\(longest)")
    }
}

@Suite("The queue of turns")
struct TurnQueueTests {
    private func all(_ queue: inout TurnQueue<Int>) -> [Int] {
        var taken: [Int] = []
        while let next = queue.take({ _ in .take }) { taken.append(next) }
        return taken
    }

    @Test("what cannot be had just now stays, behind what can be had, in any lane")
    func later() {
        var queue = TurnQueue<Int>()
        for value in 0..<6 { queue.append(value, priority: value / 2, since: 0) }
        #expect(queue.first?.element == 4)
        #expect(queue.take { $0 >= 3 ? .later : .take } == 2)
        #expect(queue.take { $0 > 0 ? .later : .take } == 0)
        #expect(queue.take { _ in .later } == nil)
        #expect(queue.count == 4)
        #expect(all(&queue).sorted() == [1, 3, 4, 5])
        #expect(queue.isEmpty)
    }

    @Test("what has gone is dropped when it is met")
    func drop() {
        var queue = TurnQueue<Int>()
        for value in 0..<10 { queue.append(value, priority: value % 3, since: 0) }
        #expect(queue.take { $0 % 2 == 0 ? .drop : .take } == 5)
        #expect(Set(queue.elements).isDisjoint(with: [0, 2]))
        #expect(queue.count == Array(queue.elements).count)
        #expect(queue.next { _ in .drop } == nil)
        #expect(queue.isEmpty)
    }

    @Test("what has gone is taken out, in every lane, and the rest keeps its order")
    func removeAll() {
        var queue = TurnQueue<Int>()
        for value in 0..<8 { queue.append(value, priority: value % 2, since: 0) }
        queue.removeAll { $0 % 4 < 2 }
        #expect(queue.count == 4)
        #expect(all(&queue) == [3, 7, 2, 6])
        #expect(queue.isEmpty)
    }

    @Test("what is put in front comes first, whatever came meanwhile")
    func prepend() {
        var queue = TurnQueue<Int>()
        queue.append(1, priority: 0, since: 5)
        queue.append(2, priority: 1, since: 5)
        queue.prepend(3, priority: 0, since: 100)
        #expect(all(&queue) == [2, 3, 1])
        queue.append(4, priority: 0, since: 0)
        queue.removeAll()
        #expect(queue.isEmpty && queue.first == nil)
    }
}
