import Policy
import Telemetry

final class PolicyDatabaseFile: PolicySource {
    private let path: String

    init(path: String, log: EventLog?) { self.path = path }

    func current(now: Int64) throws(PolicyTrouble) -> any PolicyDatabase { throw PolicyTrouble("\(path).gdbm") }
    func lookAgain() {}
}
