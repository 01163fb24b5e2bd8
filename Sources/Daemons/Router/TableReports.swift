import Glibc
import Tables
import Telemetry

/// Log lines about tables. The master's children leave out what the master says at its start.
struct TableReports {
    let log: EventLog
    /// Whether tables that are missing from the start are worth a line.
    let namesMissing: Bool

    func write(_ event: TableEvent) {
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
