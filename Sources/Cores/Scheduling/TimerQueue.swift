import HeapModule

/// What happens next, at any size of the queue. Entries are void when their object has been armed again; when half of them are, they
/// are thrown out, some with each change: of a million together would take a tenth of a second.
struct TimerQueue {
    enum Target {
        case vertex(Vertex)
        case thread(DeliveryThread)
        case message(QueuedMessage)
        case agent(Agent)
        case pool(AgentPool)
        case times(SenderTimes)

        var timed: Timed {
            switch self {
            case .vertex(let object): object
            case .thread(let object): object
            case .message(let object): object
            case .agent(let object): object
            case .pool(let object): object
            case .times(let object): object
            }
        }
    }

    private struct Entry: Comparable {
        let time: UnixTime
        let generation: UInt32
        let target: Target

        var isVoid: Bool { target.timed.generation != generation }
        static func < (left: Self, right: Self) -> Bool { left.time < right.time }
        static func == (left: Self, right: Self) -> Bool { left.time == right.time }
    }

    private var heap = Heap<Entry>()
    /// On their way into ``heap``, without the void ones.
    private var old = Heap<Entry>()
    private var void = 0

    /// When the next entry falls due; it may be a void one.
    var nextTime: UnixTime? {
        guard let time = heap.min?.time, let other = old.min?.time else { return heap.min?.time ?? old.min?.time }
        return min(time, other)
    }

    /// Entries, void ones too.
    var count: Int { heap.count + old.count }

    /// Replaces what `target` has waited for.
    mutating func arm(_ target: Target, at time: UnixTime) {
        let object = target.timed
        if object.due == time { return }
        cancel(object)
        object.due = time
        heap.insert(Entry(time: time, generation: object.generation, target: target))
        clean()
    }

    mutating func cancel(_ object: Timed) {
        guard object.due != .max else { return }
        object.due = .max
        object.generation &+= 1
        void += 1
        if void > 4096, void > heap.count / 2, old.isEmpty { swap(&heap, &old) }
        clean()
    }

    private mutating func clean() {
        guard !old.isEmpty else { return }
        for _ in 0..<4 {
            guard let entry = old.popMin() else { return }
            if entry.isVoid { void -= 1 } else { heap.insert(entry) }
        }
    }

    private mutating func popFirst(_ now: UnixTime) -> Entry? {
        guard let time = nextTime, time <= now else { return nil }
        return heap.min?.time == time ? heap.popMin() : old.popMin()
    }

    /// The next target that is due at `now`; it no longer waits.
    mutating func popDue(_ now: UnixTime) -> Target? {
        while let first = popFirst(now) {
            if first.isVoid {
                void -= 1
                continue
            }
            first.target.timed.due = .max
            first.target.timed.generation &+= 1
            return first.target
        }
        return nil
    }
}
