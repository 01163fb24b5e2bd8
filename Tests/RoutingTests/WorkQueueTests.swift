import SpoolFormat
import Testing

@testable import Router

private func id(_ number: UInt64) -> SpoolID { SpoolID(rawValue: number) }

@Suite("Router: who works on what")
struct WorkQueueTests {
    private func queue(_ count: UInt64, workers: Int = 1) -> WorkQueue {
        var queue = WorkQueue()
        for worker in 0..<workers { queue.added(worker) }
        for number in 0..<count { queue.offer(id(number)) }
        return queue
    }

    /// Gives out all that can be given: worker and numbers.
    private func drain(_ queue: inout WorkQueue) -> [Int: [UInt64]] {
        var result: [Int: [UInt64]] = [:]
        while let (worker, id) = queue.next() { result[worker, default: []].append(id.rawValue) }
        return result
    }

    @Test("a message is known once, whoever saw it")
    func once() {
        var queue = queue(1)
        let second = queue.offer(id(0))
        #expect(!second)
        #expect(drain(&queue) == [0: [0]])
        let third = queue.offer(id(0))
        #expect(!third)
    }

    @Test("a worker has a window, in order; an answer makes room for one more")
    func window() {
        var queue = queue(20)
        #expect(drain(&queue) == [0: Array(0..<16)])
        queue.finished(id(3), worker: 0, .settled)
        #expect(drain(&queue) == [0: [16]])
        #expect(queue.waiting == 3)
    }

    @Test("work goes to the worker that has least")
    func balance() {
        var queue = queue(6, workers: 2)
        let given = drain(&queue)
        #expect(given[0]?.count == 3)
        #expect(given[1]?.count == 3)
    }

    @Test("what was done is not taken again by the next two scans; what failed is")
    func recent() {
        var queue = queue(2)
        _ = drain(&queue)
        queue.finished(id(0), worker: 0, .settled)
        queue.finished(id(1), worker: 0, .forgotten)
        queue.age()
        var offered = [queue.offer(id(0)), queue.offer(id(1))]
        #expect(offered == [false, true])
        queue.age()
        offered = [queue.offer(id(0))]
        #expect(offered == [true])
    }

    @Test("after a death what was outstanding is tried one by one, before anything else")
    func suspects() {
        var queue = queue(18)
        _ = drain(&queue)
        #expect(queue.died(0).isEmpty)
        queue.added(0)
        for number in 0..<16 as Range<UInt64> {
            #expect(drain(&queue) == [0: [number]])
            queue.finished(id(number), worker: 0, .settled)
        }
        #expect(drain(&queue) == [0: [16, 17]])
    }

    @Test("the message that kills twice while it is alone is poison; its neighbours are not")
    func poison() {
        var queue = queue(4)
        _ = drain(&queue)
        #expect(queue.died(0).isEmpty)
        var poison: [SpoolID] = []
        var done: [UInt64] = []
        for _ in 0..<10 {
            queue.added(0)
            while let (_, id) = queue.next() {
                if id.rawValue == 2 {
                    poison += queue.died(0)
                    break
                }
                queue.finished(id, worker: 0, .settled)
                done.append(id.rawValue)
            }
        }
        #expect(poison == [id(2)])
        #expect(done.sorted() == [0, 1, 3])
        #expect(queue.isIdle)
    }

    @Test("alone from the start, two deaths are enough")
    func poisonAlone() {
        var queue = queue(1)
        _ = drain(&queue)
        #expect(queue.died(0).isEmpty)
        queue.added(0)
        _ = drain(&queue)
        #expect(queue.died(0) == [id(0)])
    }

    @Test("one death and a success leave no suspicion")
    func innocent() {
        var queue = queue(1)
        _ = drain(&queue)
        #expect(queue.died(0).isEmpty)
        queue.added(0)
        _ = drain(&queue)
        queue.finished(id(0), worker: 0, .forgotten)
        queue.offer(id(0))
        _ = drain(&queue)
        #expect(queue.died(0).isEmpty)
    }

    @Test("a worker that ends in peace blames nobody")
    func peaceful() {
        var queue = queue(1)
        for _ in 0..<5 {
            _ = drain(&queue)
            #expect(queue.died(0, peacefully: true).isEmpty)
            queue.added(0)
        }
        #expect(drain(&queue) == [0: [0]])
    }

    @Test("with several workers the others go on while suspects are tried")
    func others() {
        var queue = queue(40, workers: 2)
        _ = drain(&queue)
        #expect(queue.died(0).isEmpty)
        queue.added(0)
        let given = drain(&queue)
        #expect(given[0]?.count == 1)
        #expect(queue.outstanding(1) == 16)
    }

    @Test("an answer for what was not asked is nothing")
    func strange() {
        var queue = queue(1)
        queue.finished(id(7), worker: 0, .settled)
        queue.finished(id(0), worker: 9, .settled)
        #expect(drain(&queue) == [0: [0]])
    }
}

@Suite("Router: deferred messages")
struct DeferredScheduleTests {
    /// Made at second 1000.
    private let message = SpoolID(rawValue: 1_000_000 << 22)

    @Test("after a restart everything is tried")
    func restart() {
        var schedule = DeferredSchedule()
        #expect(schedule.take([message], now: 5000) == [message])
    }

    @Test("retries come after a minute, then a quarter of the age, then every quarter of an hour")
    func growth() {
        var schedule = DeferredSchedule()
        var times: [Int64] = []
        var now: Int64 = 1060
        while now < 12_000 {
            if !schedule.take([message], now: now).isEmpty { times.append(now) }
            now += 60
        }
        let gaps = zip(times, times.dropFirst()).map { $1 - $0 }
        #expect(gaps.first == 60)
        #expect(gaps.last == 900)
        #expect(gaps == gaps.sorted())
        #expect(gaps.allSatisfy { $0 <= 900 })
    }

    @Test("while it is being routed its next turn is remembered")
    func remembered() {
        var schedule = DeferredSchedule()
        #expect(schedule.take([message], now: 5000) == [message])
        #expect(schedule.take([], now: 5060).isEmpty)
        #expect(schedule.take([message], now: 5120).isEmpty)
        #expect(schedule.take([message], now: 5900) == [message])
    }
}
