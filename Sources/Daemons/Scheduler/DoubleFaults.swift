import SpoolFormat
import Synchronization
import Telemetry

/// Keeps reports about undeliverable reports from becoming a flood: strangers make them, by mail from `<>` for addresses that do not
/// exist. Shared by the workers.
final class DoubleFaults: Sendable {
    /// Reports in one hour of the clock; what comes behind them is only kept or dropped.
    static let maximumPerHour = 100
    /// A comment in the envelope of such a report: if that one fails too, nobody is told (RFC 5321 §6.1).
    static let mark = "double-fault"

    private struct Hour {
        var number: Int64 = 0
        var count = 0
    }

    private let hour = Mutex(Hour())
    private let log: EventLog?

    init(log: EventLog? = nil) { self.log = log }

    /// Whether one more may be sent. `now`: seconds since 1970.
    func mayReport(at now: Int64) -> Bool {
        hour.withLock { hour in
            if hour.number != now / 3600 { hour = Hour(number: now / 3600) }
            hour.count += 1
            return hour.count <= Self.maximumPerHour
        }
    }

    func note(_ id: SpoolID, _ what: String, _ reason: String) {
        log?.notice("double-fault", ["queue-id": "\(id)", "what": what, "reason": reason])
    }

    func warn(_ id: SpoolID, _ reason: String) {
        log?.warning("double-fault", ["queue-id": "\(id)", "what": "kept in postman/", "reason": reason])
    }
}
