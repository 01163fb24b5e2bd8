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
        do throws(UsageError) {
            let parsed = try CommandLineOptions.parse(arguments, specs)
            if parsed.has("help") {
                let summary =
                    "-c CHANNEL [options] < jobs\n\nGives what waits in the queue to the router again; "
                    + "jobs are lines FILE or FILE<TAB>HOST."
                Program.print(CommandLineOptions.usage("reroute", summary, specs))
                exit(ExitCode.ok.rawValue)
            }
            if parsed.has("V") {
                Program.print("zmailer reroute \(Program.version)")
                exit(ExitCode.ok.rawValue)
            }
            if let operand = parsed.operands.first {
                throw UsageError("'\(operand)': jobs are read from standard input")
            }
            guard let channel = parsed.value("c") else { throw UsageError("-c CHANNEL is needed") }
            run(parsed, channel)
        } catch {
            Program.print("reroute: \(error.description) (see --help)", to: STDERR_FILENO)
            exit(ExitCode.usage.rawValue)
        }
    }

    private static func run(_ parsed: CommandLineOptions, _ channel: String) -> Never {
        let environment = AgentProgram.environment(parsed.value("Z"))
        let resubmission = AgentProgram.resubmission("reroute", environment, via: "rerouting")
        let log = AgentProgram.log("reroute", environment, file: parsed.value("l"), isVerbose: parsed.has("v"))
        let selection = RecipientSelection(channel: channel, hostFilter: parsed.value("h"))
        AgentRunner(AgentRunner.Options(name: "reroute", selection: selection), observer: DeliveryLog.observer(log))
            .run(RerouteTransportAgent(resubmission: resubmission, log: log))
        exit(ExitCode.ok.rawValue)
    }
}
