import Policy
import Tables
import Telemetry

/// The policy in a GDBM file that policy-builder.sh makes. Confined to one thread.
final class PolicyDatabaseFile: PolicySource {
    private let database: GDBMPolicyDatabase

    /// `path` without `.gdbm`; without a `log` nothing is said.
    init(path: String, log: EventLog?) {
        database = GDBMPolicyDatabase(basename: path) { event in
            switch event {
            case .opened(let path, let entries, _):
                log?.notice("policy-loaded", ["database": path, "keys": "\(entries)"])
            case .broken(let reason, let keepsOld):
                log?.error("policy-broken", ["reason": reason, "in-use": keepsOld ? "the version before" : "none"])
            }
        }
    }

    func current(now: Int64) throws(PolicyTrouble) -> any PolicyDatabase { try database.current(now: now) }
    func lookAgain() { database.lookAgain() }
}
