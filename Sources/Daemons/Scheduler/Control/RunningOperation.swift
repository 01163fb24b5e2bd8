import Scheduling
import SpoolFormat

/// An operator's work on the queue that takes more than one turn of the loop. What has been begun is done to its end, also if whoever
/// asked for it has gone.
final class RunningOperation {
    enum End {
        /// All of it is on the disk.
        case durable
        /// All of it is done as far as this scheduler lives; why a restart may undo it.
        case notDurable(String)
        /// The scheduler ends before it was through.
        case stopped
        /// It was not begun.
        case refused(String)
    }
    typealias Delivery = (_ operation: RunningOperation, _ end: End) -> Void

    let operation: QueueOperation
    let ids: [SpoolID]
    private(set) var rest: ArraySlice<SpoolID>
    private(set) var tally = OperationTally()
    /// Messages with something that was meant, if it costs work on their files; of them, those whose files could not be written.
    private(set) var meant: Set<SpoolID> = []
    var unwritten: Set<SpoolID> = []
    private var nextProgress: Int64
    private let progress: ((_ done: Int, _ total: Int) -> Void)?
    private let ended: Delivery

    /// Milliseconds between two lines that say how far it is.
    static let progressInterval: Int64 = 1000

    /// `now`: milliseconds of the steady clock.
    init(
        _ operation: QueueOperation, _ ids: [SpoolID], at now: Int64,
        progress: ((_ done: Int, _ total: Int) -> Void)? = nil, ended: @escaping Delivery
    ) {
        self.operation = operation
        self.ids = ids
        rest = ids[...]
        nextProgress = now + Self.progressInterval
        self.progress = progress
        self.ended = ended
    }

    /// Does it to the next `count` messages.
    func proceed(_ count: Int, with core: DeliveryScheduler) {
        for id in rest.prefix(count) {
            let before = tally.messages
            core.apply(operation, to: id, &tally)
            if touchesFiles, tally.messages > before { meant.insert(id) }
        }
        rest = rest.dropFirst(count)
    }

    func tellProgress(at now: Int64) {
        guard now >= nextProgress else { return }
        nextProgress = now + Self.progressInterval
        progress?(ids.count - rest.count, ids.count)
    }

    func tell(_ end: End) { ended(self, end) }

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

extension QueueJSON {
    static func line(_ running: RunningOperation, _ end: RunningOperation.End) -> String {
        let tally = running.tally
        var text = "{\"operation\":\"\(running.verb)\",\"dry_run\":\(running.operation.isDryRun),"
        text += "\"messages\":\(tally.messages),\"recipients\":\(tally.recipients),\"in_hand\":\(tally.inHand),"
        text += "\"unchanged\":\(tally.unchanged)"
        switch end {
        case .durable: return text + "}\n"
        case .notDurable(let reason): return text + ",\"not_stored\":\(string(reason))}\n"
        case .stopped:
            let done = running.ids.count - running.rest.count
            return "{\"error\":\"the scheduler ends; done so far: \(done) of \(running.ids.count) messages\"}\n"
        case .refused(let reason): return "{\"error\":\(string(reason))}\n"
        }
    }
}
