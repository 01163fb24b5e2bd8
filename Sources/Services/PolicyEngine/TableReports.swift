import Glibc
import Tables
import Telemetry

/// Log lines about tables.
public struct TableReports {
    private let log: EventLog
    /// Whether tables that are missing from the start are worth a line: one process of a daemon says it for all.
    private let namesMissing: Bool

    public init(log: EventLog, namesMissing: Bool) {
        self.log = log
        self.namesMissing = namesMissing
    }

    public func write(_ event: TableEvent) {
        switch event {
        case .missing(let path):
            if namesMissing { log.notice("table-missing", ["table": path, "meaning": "empty"]) }
        case .loaded(let path): log.notice("table-loaded", ["table": path])
        case .broken(let errors, let keepsOld):
            for error in errors.errors.prefix(100) {
                log.error("table-broken", ["reason": "\(error)", "in-use": keepsOld ? "the version before" : "none"])
            }
        case .unreadable(let path, let code, let keepsOld):
            log.error(
                "table-unreadable",
                [
                    "table": path, "reason": String(cString: strerror(code)),
                    "in-use": keepsOld ? "the version before" : "none",
                ])
        }
    }
}
