import AgentKit
import Configuration
import Glibc
import ProgramKit

/// `ta-reroute`: command line in, jobs from standard input, reports on standard output.
public enum RerouteProgram {
    private static let specs: [OptionSpec] = [
        OptionSpec("c", nil, value: "CHANNEL", "serve this channel"),
        OptionSpec("h", nil, value: "HOST", "serve only recipients of this host"),
        OptionSpec("l", nil, value: "FILE", "log file ($LOGDIR/reroute)"),
        OptionSpec("v", nil, "log more"),
        OptionSpec("V", nil, "print the version"),
        OptionSpec("Z", nil, value: "FILE", "zmailer.conf"),
        OptionSpec(nil, "help", "print this"),
    ]

    /// Ends the process with a code of sysexits.h.
    public static func main(_ arguments: [String]) -> Never {
        let summary =
            "-c CHANNEL [options] < jobs\n\nGives what waits in the queue to the router again; "
            + "jobs are lines FILE or FILE<TAB>HOST."
        AgentProgram.main("reroute", arguments, specs, summary: summary) { parsed throws(UsageError) in
            guard let channel = parsed.value("c") else { throw UsageError("-c CHANNEL is needed") }
            run(parsed, channel)
        }
    }

    private static func run(_ parsed: CommandLineOptions, _ channel: String) {
        let environment = AgentProgram.environment(parsed.value("Z"))
        let resubmission = AgentProgram.resubmission("reroute", environment, via: "rerouting")
        let log = AgentProgram.log("reroute", environment, file: parsed.value("l"), isVerbose: parsed.has("v"))
        let selection = RecipientSelection(channel: channel, hostFilter: parsed.value("h"))
        AgentRunner(AgentRunner.Options(name: "reroute", selection: selection), observer: DeliveryLog.observer(log))
            .run(RerouteTransportAgent(resubmission: resubmission, log: log))
    }
}
