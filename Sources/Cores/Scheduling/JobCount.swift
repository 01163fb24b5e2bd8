import DequeModule

/// Jobs that are being worked on, of everything, a channel or a ring, and the pools that wait until they are fewer.
final class JobCount {
    private struct Place {
        let pool: AgentPool
        let number: UInt64
        var isVoid: Bool { pool.waitNumber != number || pool.waitsFor == nil }
    }

    private struct Waiters {
        let limit: Int
        /// They wait for a process to be started, which counts like the job it is started for.
        let areForStart: Bool
        /// The one that got something least recently first.
        var places: Deque<Place> = []
    }

    var active = 0
    /// Processes that have been started and not said anything.
    var starting = 0
    private var waiters: [Waiters] = []

    func hasRoom(_ limit: Int, forStart: Bool) -> Bool { (forStart ? active + starting : active) < limit }

    /// Puts a pool among those that wait for room under `limit`.
    func append(_ pool: AgentPool, limit: Int, forStart: Bool) {
        if let waitsFor = pool.waitsFor, waitsFor.count === self, waitsFor.forStart == forStart { return }
        pool.waitsFor = (self, forStart)
        pool.waitNumber &+= 1
        let list: Int
        if let known = waiters.firstIndex(where: { $0.limit == limit && $0.areForStart == forStart }) {
            list = known
        } else {
            // Who has a process would otherwise always be quicker than who has to start one.
            list = forStart ? 0 : waiters.count
            waiters.insert(Waiters(limit: limit, areForStart: forStart), at: list)
        }
        var low = 0
        var high = waiters[list].places.count
        while low < high {
            let middle = (low + high) / 2
            if waiters[list].places[middle].pool.servedAt <= pool.servedAt { low = middle + 1 } else { high = middle }
        }
        waiters[list].places.insert(Place(pool: pool, number: pool.waitNumber), at: low)
    }

    /// One pool of each limit that has room; it does not wait any more.
    func takeWaiters() -> [AgentPool] {
        guard !waiters.isEmpty else { return [] }
        var taken: [AgentPool] = []
        for index in waiters.indices where hasRoom(waiters[index].limit, forStart: waiters[index].areForStart) {
            while let place = waiters[index].places.popFirst() {
                if place.isVoid { continue }
                place.pool.waitsFor = nil
                taken.append(place.pool)
                break
            }
        }
        waiters.removeAll { $0.places.isEmpty }
        return taken
    }

    func removeWaiters() { waiters = [] }
}
