import DequeModule

/// Things that wait for their turn: the more urgent ones first (RFC 6710 §5.1), first come first served among those of one priority.
///
/// So that nothing waits for ever a priority is worth time: each step counts as if the thing had come ``stepSeconds`` earlier. What
/// has priority -9 is behind what has 9 for 18 hours, and then it is its turn.
struct TurnQueue<Element> {
    /// Seconds that a step of priority is worth.
    static var stepSeconds: Int64 { 3600 }

    enum Verdict {
        case take
        /// It is not waiting any more.
        case drop
        /// It cannot be had just now: behind the others of its priority.
        case later
        /// Nothing more is judged just now, and everything stays in its place.
        case stop
    }

    private struct Entry {
        let element: Element
        let since: UnixTime
    }

    private struct Lane {
        let priority: Int
        var entries: Deque<Entry> = []

        /// `nil`: empty.
        var turn: Int64? { entries.first.map { $0.since - TurnQueue.stepSeconds * Int64(priority) } }
    }

    /// Highest priority first. A lane that has become empty stays: the next of its priority finds room in it.
    private var lanes: [Lane] = []
    private(set) var count = 0

    var isEmpty: Bool { count == 0 }

    /// Lane by lane, in no other order.
    var elements: some Sequence<Element> { lanes.lazy.flatMap { $0.entries.lazy.map(\.element) } }

    /// Whose turn it is, and with which priority, if nothing of it has to be dropped.
    var first: (element: Element, priority: Int)? {
        guard let lane = firstLane, let entry = lanes[lane].entries.first else { return nil }
        return (entry.element, lanes[lane].priority)
    }

    mutating func append(_ element: Element, priority: Int, since: UnixTime) {
        lanes[lane(priority)].entries.append(Entry(element: element, since: since))
        count += 1
    }

    /// In front of the others of its priority.
    mutating func prepend(_ element: Element, priority: Int, since: UnixTime) {
        let lane = lane(priority)
        let earliest = lanes[lane].entries.first.map { min($0.since, since) } ?? since
        lanes[lane].entries.prepend(Entry(element: element, since: earliest))
        count += 1
    }

    /// Behind those of its priority for which `precedes` holds; they come before the others.
    mutating func insert(_ element: Element, priority: Int, since: UnixTime, behind precedes: (Element) -> Bool) {
        let lane = lane(priority)
        var low = 0
        var high = lanes[lane].entries.count
        while low < high {
            let middle = (low + high) / 2
            if precedes(lanes[lane].entries[middle].element) { low = middle + 1 } else { high = middle }
        }
        lanes[lane].entries.insert(Entry(element: element, since: since), at: low)
        count += 1
    }

    /// The first that can be taken, at the front of its lane until something else is done with the queue.
    struct Turn {
        let element: Element
        fileprivate let lane: Int
    }

    /// Whose turn it is; it stays in the queue.
    mutating func next(_ judge: (Element) -> Verdict) -> Turn? {
        guard let lane = settle(judge), let entry = lanes[lane].entries.first else { return nil }
        return Turn(element: entry.element, lane: lane)
    }

    /// Takes out what ``next(_:)`` has just given.
    mutating func remove(_ turn: Turn) {
        count -= 1
        lanes[turn.lane].entries.removeFirst()
    }

    /// Whose turn it is, taken out.
    mutating func take(_ judge: (Element) -> Verdict) -> Element? {
        guard let turn = next(judge) else { return nil }
        remove(turn)
        return turn.element
    }

    /// Takes out what has gone; costs a look at all of them.
    mutating func removeAll(where hasGone: (Element) -> Bool) {
        for index in lanes.indices { lanes[index].entries.removeAll { hasGone($0.element) } }
        count = lanes.reduce(0) { $0 + $1.entries.count }
    }

    mutating func removeAll() {
        lanes = []
        count = 0
    }

    /// The lane of a priority.
    private mutating func lane(_ priority: Int) -> Int {
        let index = lanes.firstIndex { $0.priority <= priority } ?? lanes.count
        if index == lanes.count || lanes[index].priority != priority {
            lanes.insert(Lane(priority: priority), at: index)
        }
        return index
    }

    private var firstLane: Int? {
        var best: (lane: Int, turn: Int64)?
        for index in lanes.indices {
            guard let turn = lanes[index].turn, turn < best?.turn ?? .max else { continue }
            best = (index, turn)
        }
        return best?.lane
    }

    /// Brings what can be taken to the front of each lane; the lane whose turn it is, unless it was stopped before it knew.
    private mutating func settle(_ judge: (Element) -> Verdict) -> Int? {
        var best: (lane: Int, turn: Int64)?
        for index in lanes.indices {
            var rest = lanes[index].entries.count
            looking: while rest > 0, let entry = lanes[index].entries.first {
                rest -= 1
                switch judge(entry.element) {
                case .take:
                    if let turn = lanes[index].turn, turn < best?.turn ?? .max { best = (index, turn) }
                    break looking
                case .drop:
                    lanes[index].entries.removeFirst()
                    count -= 1
                case .later:
                    lanes[index].entries.removeFirst()
                    lanes[index].entries.append(entry)
                case .stop: return nil
                }
            }
        }
        return best?.lane
    }
}
