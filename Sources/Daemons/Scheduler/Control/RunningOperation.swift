import Scheduling
import SpoolFormat

/// An operator's work on the queue that takes more than one turn of the loop. What has been begun is done to its end, also if whoever
/// asked for it has gone.
final class RunningOperation {
    let operation: QueueOperation
    var rest: ArraySlice<SpoolID>
    var tally = OperationTally()
    let total: Int
    /// Milliseconds of the steady clock.
    var nextProgress: Int64
    private let deliver: QueueSocket.Delivery

    /// Milliseconds between two lines that say how far it is.
    static let progressInterval: Int64 = 1000

    init(_ operation: QueueOperation, _ ids: [SpoolID], at now: Int64, _ deliver: @escaping QueueSocket.Delivery) {
        self.operation = operation
        rest = ids[...]
        total = ids.count
        nextProgress = now + Self.progressInterval
        self.deliver = deliver
    }

    func tellProgress(at now: Int64) {
        guard now >= nextProgress else { return }
        nextProgress = now + Self.progressInterval
        deliver("{\"progress\":\(total - rest.count),\"of\":\(total)}\n", false)
    }

    func tellEnd() { deliver(line, true) }

    func tellStopped() {
        deliver("{\"error\":\"the scheduler ends; done so far: \(total - rest.count) of \(total) messages\"}\n", true)
    }

    var line: String {
        "{\"operation\":\"\(verb)\",\"dry_run\":\(operation.isDryRun),\"messages\":\(tally.messages),"
            + "\"recipients\":\(tally.recipients),\"in_hand\":\(tally.inHand),\"unchanged\":\(tally.unchanged)}\n"
    }

    var verb: String {
        switch operation.verb {
        case .count: "count"
        case .retry: "retry"
        case .hold: "hold"
        case .release: "release"
        case .remove: "remove"
        case .bounce: "bounce"
        case .move: "move"
        case .reroute: "reroute"
        }
    }

    /// Whether each message costs work on files.
    var touchesFiles: Bool {
        guard !operation.isDryRun else { return false }
        switch operation.verb {
        case .count, .retry: return false
        case .hold, .release, .remove, .bounce, .move, .reroute: return true
        }
    }
}
