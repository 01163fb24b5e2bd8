import AgentKit
import Configuration
import Glibc
import ProgramKit

/// `ta-sm`: command line and configuration in, jobs from standard input, reports on standard output.
public enum StreamProgram {
    private static let specs: [OptionSpec] = [
        OptionSpec("8", nil, "the program takes 8-bit content, quoted-printable texts are decoded (as flag 9)"),
        OptionSpec("c", nil, value: "CHANNEL", "serve this channel (the name of the mailer)"),
        OptionSpec("f", nil, value: "FILE", "configuration ($MAILSHARE/sm.conf)"),
        OptionSpec("h", nil, value: "HOST", "serve only recipients of this host"),
        OptionSpec("H", nil, "8-bit header fields are not converted"),
        OptionSpec("j", "jobs", value: "N", "messages at the same time (4)"),
        OptionSpec("l", nil, value: "FILE", "log file ($LOGDIR/sm)"),
        OptionSpec("Q", nil, "taken for ZMailer's sake: what needs it is always encoded"),
        OptionSpec("v", nil, "log more"),
        OptionSpec("V", nil, "print the version"),
        OptionSpec("Z", nil, value: "FILE", "zmailer.conf"),
        OptionSpec(nil, "check", "read the configuration, say what is wrong with it, and end"),
        OptionSpec(nil, "command-time", value: "SECONDS", "a run may take this long (600)"),
        OptionSpec(nil, "command-memory", value: "MIB", "a run may use this much address space (2048)"),
        OptionSpec(nil, "help", "print this"),
    ]

    /// Ends the process with a code of sysexits.h.
    public static func main(_ arguments: [String]) -> Never {
        do throws(UsageError) {
            let parsed = try CommandLineOptions.parse(arguments, specs)
            if parsed.has("help") {
                let summary =
                    "[options] [MAILER] < jobs\n\nGives mail to the program that sm.conf names; "
                    + "jobs are lines FILE or FILE<TAB>HOST."
                Program.print(CommandLineOptions.usage("sm", summary, specs))
                exit(ExitCode.ok.rawValue)
            }
            if parsed.has("V") {
                Program.print("zmailer sm \(Program.version)")
                exit(ExitCode.ok.rawValue)
            }
            if parsed.has("check") { check(parsed) }
            run(try StreamOptions(parsed))
        } catch {
            Program.print("sm: \(error.description) (see --help)", to: STDERR_FILENO)
            exit(ExitCode.usage.rawValue)
        }
    }

    /// A file that is not there is no mistake: then no clause uses this agent, or it says so when it is started.
    private static func check(_ parsed: CommandLineOptions) -> Never {
        let environment = AgentProgram.environment(parsed.value("Z"))
        let path = parsed.value("f") ?? "\(environment.mailshare)/sm.conf"
        if access(path, F_OK) == 0 { _ = configuration(path, environment) }
        exit(ExitCode.ok.rawValue)
    }

    /// Octets of sm.conf.
    private static let maximumSize = 1 << 20

    private static func configuration(_ path: String, _ environment: ZEnvironment) -> StreamConfiguration {
        let octets: [UInt8]
        do throws(FileOctets.Failure) { octets = try FileOctets.read(path, limit: maximumSize) } catch {
            Program.fail("sm: \(error)", .configuration)
        }
        do throws(ConfigurationErrors) {
            return try StreamConfiguration.parse(
                String(decoding: octets, as: UTF8.self), file: path, environment: environment)
        } catch {
            Program.fail(error.description, .configuration)
        }
    }

    private static func run(_ options: StreamOptions) -> Never {
        let environment = AgentProgram.environment(options.environmentFile)
        let path = options.configurationFile ?? "\(environment.mailshare)/sm.conf"
        let configuration = configuration(path, environment)
        guard let mailer = configuration.mailer(options.mailer) else {
            let names = configuration.mailers.map(\.name).joined(separator: " ")
            Program.fail(
                "sm: \(path) has no mailer '\(options.mailer)'; valid are \(names.isEmpty ? "none: it is empty" : names)",
                .configuration)
        }
        if options.decodesQuotedPrintable, mailer.flags.contains(.stripsEighthBit) {
            Program.fail(
                "sm: -8 and flag 7 of \(mailer.name) (\(path):\(mailer.line)) exclude each other", .configuration)
        }
        if !mailer.flags.contains(.keepsIdentity) {
            do throws(ProcessIdentity.Failure) {
                try ProcessIdentity.becomeOwner(of: environment.postoffice)
            } catch {
                Program.fail("sm: \(error)", .osError)
            }
        }
        let log = AgentProgram.log("sm", environment, file: options.logFile, isVerbose: options.isVerbose)
        var settings = StreamSettings(
            mailer: options.decodesQuotedPrintable ? mailer.takingEightBit : mailer, zenv: environment,
            hostName: AgentProgram.hostName(environment))
        settings.keepsHeaders = options.keepsHeaders
        settings.limits = options.limits
        let selection = RecipientSelection(channel: options.channel, hostFilter: options.host)
        AgentRunner(
            AgentRunner.Options(name: "sm", selection: selection, maximumJobs: options.maximumJobs),
            observer: DeliveryLog.observer(log)
        ).run(StreamTransportAgent(settings))
        exit(ExitCode.ok.rawValue)
    }
}
