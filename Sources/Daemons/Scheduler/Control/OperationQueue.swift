import Scheduling
import SpoolFormat

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

    /// The first one is through. It is returned if there is nothing to be made durable. What has changed nothing may repeat something
    /// that is not on the disk yet: it is answered like that.
    mutating func endFirst() -> RunningOperation? {
        let ended = waiting.removeFirst()
        guard ended.touchesFiles, ended.tally.recipients > 0 else { return ended }
        handedOut.append(ended)
        return nil
    }

    /// Whether there is something to be made durable, which is begun with that: one thing after the other. All work on files is with
    /// the workers, but for that of messages that `isStuck` knows.
    mutating func beginSettling(besides isStuck: (SpoolID) -> Bool) -> Bool {
        guard settling.isEmpty, !handedOut.isEmpty else { return false }
        (settling, handedOut) = (handedOut, [])
        for operation in settling { operation.unwritten = operation.meant.filter(isStuck) }
        return true
    }

    /// Work on its files has failed. It is tried again, but perhaps behind the sync.
    func halted(_ id: SpoolID) {
        for operation in settling where operation.meant.contains(id) { operation.unwritten.insert(id) }
    }

    /// `problem`: of the sync, if any.
    mutating func settled(_ problem: String?) -> [(RunningOperation, RunningOperation.End)] {
        defer { settling = [] }
        return settling.map { operation in
            guard operation.unwritten.isEmpty else {
                let count = operation.unwritten.count
                return (
                    operation,
                    .notDurable(
                        "files of \(count) messages cannot be written just now; it is tried again, see spool-trouble in the log"
                    )
                )
            }
            return (operation, problem.map { .notDurable($0) } ?? .durable)
        }
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
