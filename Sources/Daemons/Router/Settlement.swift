import Postoffice
import SpoolFormat
import Telemetry

/// Removes `router/X` of routed messages in batches, behind one sync of `queue/` (docs/spool.md §4, "settle").
struct Settlement {
    /// Milliseconds that a routed message waits at most.
    static let delay: Int64 = 250
    static let batch = 1000
    /// Messages kept when the spool is in trouble; the scan finds the others again.
    static let limit = 100_000

    private(set) var pending: [SpoolID] = []
    /// In milliseconds of the steady clock.
    private(set) var deadline: Int64?
    /// After a failure.
    private var notBefore: Int64 = .min

    mutating func add(_ id: SpoolID, now: Int64) {
        guard pending.count < Self.limit else { return }
        pending.append(id)
        if deadline == nil { deadline = now + Self.delay }
    }

    func isDue(_ now: Int64) -> Bool {
        guard now >= notBefore else { return false }
        return pending.count >= Self.batch || deadline.map { now >= $0 } ?? false
    }

    mutating func settle(_ postoffice: Postoffice, _ log: EventLog, now: Int64) {
        guard !pending.isEmpty else { return }
        do throws(PostofficeError) {
            try postoffice.settle(pending)
            pending.removeAll(keepingCapacity: true)
            deadline = nil
        } catch {
            log.error("settle", ["messages": "\(pending.count)", "reason": error.description])
            deadline = now + 10 * Self.delay
            notBefore = now + 10 * Self.delay
        }
    }
}
