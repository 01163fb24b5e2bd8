import Policy
import Telemetry

/// A policy database that may be replaced at any time.
protocol PolicySource: AnyObject {
    /// The version in use; looks whether there is a new one at most once a second. `now` in milliseconds of a steady clock.
    func current(now: Int64) throws(PolicyTrouble) -> any PolicyDatabase
    /// The next use looks.
    func lookAgain()
}

/// The policy databases that askers name, each opened when it is asked for first. Confined to one thread.
final class PolicySources {
    /// Milliseconds between two looks at a file.
    static let lookInterval: Int64 = 1000
    /// Milliseconds after which a file that has vanished is believed to be gone.
    static let graceTime: Int64 = 3000
    /// Databases at a time: askers of our own name them, in their configuration.
    static let limit = 16

    private let folder: String
    private let log: EventLog
    private var sources: [AskerSettings.Database: any PolicySource] = [:]
    /// Named longest ago first.
    private var order: [AskerSettings.Database] = []

    /// `folder`: where the text files are.
    init(folder: String, log: EventLog) {
        self.folder = folder
        self.log = log
    }

    func current(_ database: AskerSettings.Database, now: Int64) throws(PolicyTrouble) -> any PolicyDatabase {
        if let source = sources[database] { return try source.current(now: now) }
        if order.count >= Self.limit { sources[order.removeFirst()] = nil }
        let source: any PolicySource =
            switch database {
            case .files: PolicyFiles(folder: folder, log: log)
            case .gdbm(let path): PolicyDatabaseFile(path: path, log: log)
            }
        sources[database] = source
        order.append(database)
        return try source.current(now: now)
    }

    func lookAgain() { for source in sources.values { source.lookAgain() } }

    /// For the log.
    static func entries(_ database: some PolicyDatabase) -> String {
        do throws(PolicyTrouble) { return "\(try database.metadata().entries)" } catch { return "?" }
    }
}
