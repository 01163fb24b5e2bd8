import AgentKit
import Configuration
import Glibc
import Postoffice
import ProgramKit
import Resolver

/// `ta-hold`: command line and configuration in, jobs from standard input, reports on standard output.
public enum HoldProgram {
    private static let specs: [OptionSpec] = [
        OptionSpec("c", nil, value: "CHANNEL", "serve this channel (hold)"),
        OptionSpec("h", nil, value: "CONDITION", "serve only recipients of this condition"),
        OptionSpec("j", "jobs", value: "N", "messages at the same time (4)"),
        OptionSpec("l", nil, value: "FILE", "log file ($LOGDIR/hold)"),
        OptionSpec("v", nil, "log more"),
        OptionSpec("V", nil, "print the version"),
        OptionSpec("Z", nil, value: "FILE", "zmailer.conf"),
        OptionSpec(nil, "script-time", value: "SECONDS", "a script may take this long (60)"),
        OptionSpec(nil, "help", "print this"),
    ]

    /// Ends the process with a code of sysexits.h.
    public static func main(_ arguments: [String]) -> Never {
        let summary =
            "[options] < jobs\n\nKeeps mail until a condition is met and routes it again; "
            + "jobs are lines FILE or FILE<TAB>CONDITION."
        AgentProgram.main("hold", arguments, specs, summary: summary) { parsed throws(UsageError) in
            run(
                parsed, jobs: try parsed.number("j", 1...100) ?? 4,
                scriptTime: try parsed.number("script-time", 1...3600) ?? 60)
        }
    }

    private static func run(_ parsed: CommandLineOptions, jobs: Int, scriptTime: Int) {
        let environment = AgentProgram.environment(parsed.value("Z"))
        let resubmission = AgentProgram.resubmission("hold", environment, via: "suspension")
        let log = AgentProgram.log("hold", environment, file: parsed.value("l"), isVerbose: parsed.has("v"))
        let resolver: Resolver
        do throws(ResolverError) {
            var configuration = ResolverConfiguration()
            if let server = environment["RESOLVER"], !server.isEmpty { configuration.forwarders = [server] }
            if let file = environment["RESOLVERZONES"], !file.isEmpty { try configuration.readZones(from: file) }
            resolver = try Resolver(configuration)
        } catch {
            Program.fail("hold: \(error)", .configuration)
        }
        var judge = HoldJudge(resolver: resolver, zenv: environment)
        judge.limits.time = .seconds(scriptTime)
        let selection = RecipientSelection(channel: parsed.value("c") ?? "hold", hostFilter: parsed.value("h"))
        AgentRunner(
            AgentRunner.Options(name: "hold", selection: selection, maximumJobs: jobs),
            observer: DeliveryLog.observer(log)
        ).run(HoldTransportAgent(judge: judge, resubmission: resubmission, log: log))
    }
}
