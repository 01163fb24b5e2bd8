import HeapModule

/// What happens next, at any size of the queue. Entries are void when their object has been armed again; when half of
/// them are, they are thrown out together.
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
    private var void = 0

    /// When the next entry falls due; it may be a void one.
    var nextTime: UnixTime? { heap.min?.time }

    /// Replaces what `target` has waited for.
    mutating func arm(_ target: Target, at time: UnixTime) {
        let object = target.timed
        if object.due == time { return }
        cancel(object)
        object.due = time
        heap.insert(Entry(time: time, generation: object.generation, target: target))
    }

    mutating func cancel(_ object: Timed) {
        guard object.due != .max else { return }
        object.due = .max
        object.generation &+= 1
        void += 1
        if void > 4096, void > heap.count / 2 {
            heap = Heap(heap.unordered.filter { !$0.isVoid })
            void = 0
        }
    }

    /// The next target that is due at `now`; it no longer waits.
    mutating func popDue(_ now: UnixTime) -> Target? {
        while let first = heap.min, first.time <= now {
            _ = heap.popMin()
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
