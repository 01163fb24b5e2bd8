import DequeModule
import SpoolFormat

/// Which message is where between `router/` and the workers. Each message is known once; what a dead worker left is tried one by
/// one, so that the second death tells which message it was (docs/protocols.md §4).
public struct WorkQueue {
    /// Jobs that one worker has at a time.
    public static let window = 16
    /// Deaths after which a message is poison.
    public static let fatalDeaths = 2

    private struct Worker {
        var outstanding = Deque<SpoolID>()
        /// Has one suspect and gets nothing else.
        var isOnProbation = false
    }

    private var pending = Deque<SpoolID>()
    private var suspects = Deque<SpoolID>()
    private var known: Set<SpoolID> = []
    /// Done lately, `router/X` perhaps not yet settled: a scan may still see them.
    private var recent: Set<SpoolID> = []
    private var lessRecent: Set<SpoolID> = []
    private var deaths: [SpoolID: Int] = [:]
    private var workers: [Int: Worker] = [:]

    public init() {}

    /// Messages that wait for a worker.
    public var waiting: Int { pending.count + suspects.count }
    public var isIdle: Bool { known.isEmpty }

    /// Messages that a worker has or will get, and those that were done lately, in no order.
    public var ids: [SpoolID] { Array(known) + recent + lessRecent }

    public func outstanding(_ worker: Int) -> Int { workers[worker]?.outstanding.count ?? 0 }

    /// A message was seen in `router/`; `false` if it is known.
    @discardableResult
    public mutating func offer(_ id: SpoolID) -> Bool {
        guard !recent.contains(id), !lessRecent.contains(id), known.insert(id).inserted else { return false }
        pending.append(id)
        return true
    }

    public mutating func added(_ worker: Int) { workers[worker] = Worker() }

    /// The next job, and for which worker: the one with the fewest.
    public mutating func next() -> (worker: Int, id: SpoolID)? {
        if !suspects.isEmpty, let idle = workers.first(where: { $0.value.outstanding.isEmpty })?.key {
            let id = suspects.removeFirst()
            workers[idle]?.outstanding.append(id)
            workers[idle]?.isOnProbation = true
            return (idle, id)
        }
        guard !pending.isEmpty else { return nil }
        var best: (key: Int, count: Int)?
        for (key, worker) in workers where !worker.isOnProbation && worker.outstanding.count < Self.window {
            // While suspects wait a worker must become idle for them.
            if !suspects.isEmpty, !worker.outstanding.isEmpty { continue }
            let count = worker.outstanding.count
            if best.map({ count < $0.count || (count == $0.count && key < $0.key) }) ?? true { best = (key, count) }
        }
        guard let best else { return nil }
        let id = pending.removeFirst()
        workers[best.key]?.outstanding.append(id)
        return (best.key, id)
    }

    public enum Ending { case settled, forgotten }

    /// A worker answered for a message. `forgotten`: a scan may offer it again at once.
    public mutating func finished(_ id: SpoolID, worker: Int, _ ending: Ending) {
        guard let index = workers[worker]?.outstanding.firstIndex(of: id) else { return }
        workers[worker]?.outstanding.remove(at: index)
        if workers[worker]?.outstanding.isEmpty ?? false { workers[worker]?.isOnProbation = false }
        known.remove(id)
        deaths[id] = nil
        if ending == .settled { recent.insert(id) }
    }

    /// A worker ended. What it had is tried again; the result is what has killed too often and must not be.
    public mutating func died(_ worker: Int, peacefully: Bool = false) -> [SpoolID] {
        guard let left = workers.removeValue(forKey: worker)?.outstanding else { return [] }
        if peacefully {
            pending.prepend(contentsOf: left)
            return []
        }
        if left.count == 1, let id = left.first {
            deaths[id, default: 0] += 1
            if deaths[id, default: 0] >= Self.fatalDeaths {
                deaths[id] = nil
                known.remove(id)
                return [id]
            }
        }
        suspects.append(contentsOf: left)
        return []
    }

    /// Call before each scan: what was done before the last but one call may be seen again.
    public mutating func age() {
        lessRecent = recent
        recent = []
    }
}
