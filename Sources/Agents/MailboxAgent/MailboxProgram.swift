import AgentKit
import Configuration
import Glibc
import Postoffice
import ProgramKit
import Telemetry

/// `ta-mailbox`: command line and configuration in, jobs from standard input, reports on standard output.
public enum MailboxProgram {
    /// Ends the process with a code of sysexits.h.
    public static func main(_ arguments: [String]) -> Never {
        do throws(UsageError) {
            let parsed = try CommandLineOptions.parse(arguments, MailboxOptions.specs)
            if parsed.has("help") {
                let summary =
                    "[options] < jobs\n\nDelivers to mailboxes, files and programs of this host; "
                    + "jobs are lines FILE or FILE<TAB>HOST."
                Program.print(CommandLineOptions.usage("mailbox", summary, MailboxOptions.specs))
                exit(ExitCode.ok.rawValue)
            }
            if parsed.has("V") {
                Program.print("zmailer mailbox \(Program.version)")
                exit(ExitCode.ok.rawValue)
            }
            run(try MailboxOptions(parsed))
        } catch {
            Program.print("mailbox: \(error.description) (see --help)", to: STDERR_FILENO)
            exit(ExitCode.usage.rawValue)
        }
    }

    private static func run(_ options: MailboxOptions) -> Never {
        let environment = AgentProgram.environment(options.environmentFile)
        let settings: MailboxSettings
        do throws(SettingsErrors) {
            settings = try MailboxSettings(
                environment, options, hostName: AgentProgram.hostName(environment), isRoot: geteuid() == 0)
        } catch {
            Program.fail(error.description, .configuration)
        }
        // A limit on file sizes shows as a failed write, not as our end.
        signal(SIGXFSZ, SIG_IGN)
        let log = AgentProgram.log("mailbox", environment, file: options.logFile, isVerbose: options.isVerbose)
        let runner = AgentRunner(
            AgentRunner.Options(
                name: "mailbox", selection: RecipientSelection(channel: options.channel, hostFilter: options.host),
                maximumJobs: options.maximumJobs),
            observer: DeliveryLog.observer(log))
        let gate = DeliveryGate(DeliveryGate.Limits(jobs: options.maximumJobs), log: log)
        runner.run(MailboxTransportAgent(settings, resubmitter: resubmitter(environment, settings, log), gate: gate))
        exit(ExitCode.ok.rawValue)
    }

    /// For `.forward`. An agent that may not use the spool delivers all the same what needs none.
    private static func resubmitter(
        _ environment: ZEnvironment, _ settings: MailboxSettings, _ log: EventLog
    ) -> Resubmitter? {
        guard settings.forwarding != .off, case .system = settings.accounts else { return nil }
        do throws(PostofficeError) {
            let postoffice = try Postoffice(environment.postoffice)
            ForwardProgress.removeOld(root: postoffice.root, now: time(nil))
            return Resubmitter(
                postoffice: postoffice,
                notice: NoticeSender(socketPath: "\(postoffice.root)/.router.notify", directory: "router"),
                hostName: settings.hostName)
        } catch {
            log.warning("forwarding-impossible", ["reason": error.description])
            return nil
        }
    }
}
