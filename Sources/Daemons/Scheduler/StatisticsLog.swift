import Glibc
import Scheduling
import Telemetry

/// `-l`: a line for each final result, as ZMailer has it (scheduler.md §5):
/// `<queue id> <dt1> <dt2> <state> <channel>/<host>`; dt1: seconds from the arrival until the scheduler heard of it, dt2: from then to
/// the result.
///
/// Confined to the loop's thread; a turn's lines are one write.
final class StatisticsLog {
    private let path: String
    private var descriptor: Int32 = -1
    private var lines = ""
    private var hasComplained = false

    init(_ path: String) { self.path = path }

    deinit { if descriptor >= 0 { close(descriptor) } }

    func add(_ event: SchedulerEvent) {
        guard case .result(let entry) = event, let line = Self.line(entry) else { return }
        lines += line
    }

    /// `nil`: it is no final result.
    static func line(_ entry: DeliveryLogEntry) -> String? {
        let state: String
        switch entry.outcome {
        case .delivered, .relayed, .expanded: state = "ok"
        case .failed: state = "error"
        case .expired: state = "expire"
        case .removed: state = "delete"
        case .deferred: return nil
        }
        let before = max(0, entry.known - entry.arrived)
        let here = max(0, entry.time - entry.known)
        return "\(entry.id) \(before) \(here) \(state) \(entry.channel)/\(entry.host)\n"
    }

    /// At the end of a turn. Mail matters more: what cannot be written is lost, and that is said once.
    func flush(_ log: EventLog) {
        guard !lines.isEmpty else { return }
        if descriptor < 0, !open(log) {
            lines = ""
            return
        }
        let octets = Array(lines.utf8)
        lines = ""
        if write(descriptor, octets, octets.count) != octets.count {
            complain(log, String(cString: strerror(errno)))
        } else {
            hasComplained = false
        }
    }

    /// It may have been renamed.
    func reopen(_ log: EventLog) {
        flush(log)
        if descriptor >= 0 { close(descriptor) }
        descriptor = -1
        _ = open(log)
    }

    private func open(_ log: EventLog) -> Bool {
        do throws(EventLogError) {
            descriptor = try LogFile.open(path)
            return true
        } catch {
            complain(log, "\(error)")
            return false
        }
    }

    private func complain(_ log: EventLog, _ reason: String) {
        if !hasComplained { log.error("statistics-not-written", ["file": path, "reason": reason]) }
        hasComplained = true
    }
}
