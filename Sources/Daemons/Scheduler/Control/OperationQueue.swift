import Scheduling

/// What operators have asked for: one operation after the other, and each is answered when all of it is on the disk. Those that
/// end while others are made durable share what comes next.
struct OperationQueue {
    private(set) var waiting: [RunningOperation] = []
    /// Their work has been given to the file workers, or is about to be.
    private var handedOut: [RunningOperation] = []
    private var settling: [RunningOperation] = []

    /// Operations that may wait.
    static let maximum = 32

    var isFull: Bool { waiting.count >= Self.maximum }
    var first: RunningOperation? { waiting.first }

    mutating func add(_ operation: RunningOperation) { waiting.append(operation) }

    /// The first one is through. It is returned if it has left nothing to be made durable.
    mutating func endFirst() -> RunningOperation? {
        let ended = waiting.removeFirst()
        guard ended.touchesFiles, ended.tally.recipients > ended.tally.unchanged else { return ended }
        handedOut.append(ended)
        return nil
    }

    /// Whether there is something to be made durable, which is begun with that: one thing after the other.
    mutating func beginSettling() -> Bool {
        guard settling.isEmpty, !handedOut.isEmpty else { return false }
        (settling, handedOut) = (handedOut, [])
        return true
    }

    /// `problem`: of one of them, if any.
    mutating func settled(_ problem: (RunningOperation) -> String?) -> [(RunningOperation, RunningOperation.End)] {
        defer { settling = [] }
        return settling.map { ($0, problem($0).map { .notDurable($0) } ?? .durable) }
    }

    func tellProgress(at now: Int64) {
        for operation in handedOut + settling { operation.tellProgress(at: now) }
    }

    /// Those that are not through; the others are still answered when they are durable.
    mutating func stop() -> [RunningOperation] {
        defer { waiting = [] }
        return waiting
    }
}
