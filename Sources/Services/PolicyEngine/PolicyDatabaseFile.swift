import Policy
import Telemetry

/// Until the reader of GDBM files is there: trouble.
final class PolicyDatabaseFile: PolicySource {
    private let path: String
    private var log: EventLog?

    init(path: String, log: EventLog?) {
        self.path = path
        self.log = log
    }

    func current(now: Int64) throws(PolicyTrouble) -> any PolicyDatabase {
        log?.error("policy-broken", ["reason": "\(path).gdbm: cannot be read"])
        log = nil
        throw PolicyTrouble("\(path).gdbm: cannot be read")
    }
    func lookAgain() {}
}
