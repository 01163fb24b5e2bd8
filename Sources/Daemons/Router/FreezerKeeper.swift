import ChildProcesses
import Configuration
import Freezer
import Glibc
import PolicyEngine
import Postoffice
import Telemetry

/// The role that looks after the freezer (docs/spool.md §6), once, in a process of its own: however much is to be done there, and
/// whatever stands in what strangers have sent, routing goes on.
struct FreezerKeeper {
    private let freezer: Freezer
    private let ageing: FreezerAgeing?

    init(_ postoffice: Postoffice, _ configuration: MailConfiguration, _ log: EventLog) {
        ageing = configuration.freezerAgeing
        let actor = ageing.map { "FREEZERMAXAGE=\(SchedulerTime.text($0.maximumAge))" } ?? "router"
        // Others have the lock for the moment of one message.
        freezer = Freezer(
            postoffice: postoffice, hostName: configuration.hostName, mailshare: configuration.mailshare,
            languages: configuration.formLanguages, log: log,
            actor: actor, patience: 2000)
    }

    /// Returns when all is done, or behind the message at hand when the master's end of `input` closes or a signal says so.
    /// - Parameter now: seconds since 1970.
    func run(now: Int64, signals: SignalSource, input: Int32 = 0) {
        freezer.tidy(ageing, now: now) {
            while let signal = signals.next() {
                // The log is opened anew by the next one.
                if signal != SIGHUP { return true }
            }
            var input = pollfd(fd: input, events: Int16(POLLIN), revents: 0)
            return poll(&input, 1, 0) > 0
        }
    }
}
