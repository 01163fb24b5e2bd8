import AgentKit
import Configuration
import Glibc
import ProgramKit

/// `ta-expirer`: command line in, jobs from standard input, reports on standard output.
public enum ExpirerProgram {
    private static let specs: [OptionSpec] = [
        OptionSpec("c", nil, value: "CHANNEL", "serve this channel"),
        OptionSpec("h", nil, value: "HOST", "serve only recipients of this host"),
        OptionSpec("l", nil, value: "FILE", "log file ($LOGDIR/expirer)"),
        OptionSpec("m", nil, value: "TEXT", "what the sender is told (deleted by the administrator)"),
        OptionSpec("n", nil, "delete nothing: all stay in the queue"),
        OptionSpec("s", nil, "silently: the sender is not told"),
        OptionSpec("u", nil, value: "ADDRESS", "delete only recipients of this address"),
        OptionSpec("v", nil, "log more"),
        OptionSpec("V", nil, "print the version"),
        OptionSpec("Z", nil, value: "FILE", "zmailer.conf"),
        OptionSpec(nil, "help", "print this"),
    ]

    /// Ends the process with a code of sysexits.h.
    public static func main(_ arguments: [String]) -> Never {
        let summary =
            "-c CHANNEL [options] < jobs\n\nDeletes what waits in the queue; "
            + "jobs are lines FILE or FILE<TAB>HOST."
        AgentProgram.main("expirer", arguments, specs, summary: summary) { parsed throws(UsageError) in
            guard let channel = parsed.value("c") else { throw UsageError("-c CHANNEL is needed") }
            run(parsed, channel)
        }
    }

    private static func run(_ parsed: CommandLineOptions, _ channel: String) {
        let environment = AgentProgram.environment(parsed.value("Z"))
        let log = AgentProgram.log("expirer", environment, file: parsed.value("l"), isVerbose: parsed.has("v"))
        var settings = ExpirerTransportAgent.Settings()
        settings.address = parsed.value("u")
        if let text = parsed.value("m"), !text.isEmpty { settings.text = text }
        settings.isDryRun = parsed.has("n")
        settings.isSilent = parsed.has("s")
        let selection = RecipientSelection(channel: channel, hostFilter: parsed.value("h"))
        AgentRunner(AgentRunner.Options(name: "expirer", selection: selection), observer: DeliveryLog.observer(log))
            .run(ExpirerTransportAgent(settings))
    }
}
