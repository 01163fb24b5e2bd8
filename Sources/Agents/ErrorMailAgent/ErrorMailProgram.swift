import AgentKit
import Configuration
import Forms
import Glibc
import Postoffice
import ProgramKit

/// `ta-errormail`: command line and configuration in, jobs from standard input, reports on standard output.
public enum ErrorMailProgram {
    private static let specs: [OptionSpec] = [
        OptionSpec("c", nil, value: "CHANNEL", "serve this channel (error)"),
        OptionSpec("h", nil, value: "FORM", "serve only recipients of this form"),
        OptionSpec("j", "jobs", value: "N", "jobs at the same time (4)"),
        OptionSpec("l", nil, value: "FILE", "log file ($LOGDIR/errormail)"),
        OptionSpec("v", nil, "log more"),
        OptionSpec("V", nil, "print the version"),
        OptionSpec("Z", nil, value: "FILE", "zmailer.conf"),
        OptionSpec(nil, "help", "print this"),
    ]

    /// Ends the process with a code of sysexits.h.
    public static func main(_ arguments: [String]) -> Never {
        let summary =
            "[options] < jobs\n\nReports addresses that cannot be routed to their senders; "
            + "jobs are lines FILE or FILE<TAB>FORM."
        AgentProgram.main("errormail", arguments, specs, summary: summary) { parsed throws(UsageError) in
            let text = parsed.value("j") ?? "4"
            guard let jobs = Int(text), (1...100).contains(jobs) else {
                throw UsageError("-j \(text): valid are 1 to 100")
            }
            run(parsed, jobs)
        }
    }

    private static func run(_ parsed: CommandLineOptions, _ jobs: Int) {
        let environment = AgentProgram.environment(parsed.value("Z"))
        let postoffice: Postoffice
        do throws(ProcessIdentity.Failure) {
            // What it writes, the router must be able to read; and it needs no more than that.
            try ProcessIdentity.becomeOwner(of: environment.postoffice)
        } catch {
            Program.fail("errormail: \(error)", .osError)
        }
        do throws(PostofficeError) { postoffice = try Postoffice(environment.postoffice) } catch {
            Program.fail("errormail: \(error)", .cannotCreate)
        }
        let log = AgentProgram.log("errormail", environment, file: parsed.value("l"), isVerbose: parsed.has("v"))
        let agent = ErrorMailTransportAgent(
            postoffice: postoffice,
            notice: NoticeSender(socketPath: "\(postoffice.root)/.router.notify", directory: "router"),
            forms: FormLibrary(environment),
            hostName: AgentProgram.hostName(environment), log: log)
        let selection = RecipientSelection(channel: parsed.value("c") ?? "error", hostFilter: parsed.value("h"))
        AgentRunner(
            AgentRunner.Options(name: "errormail", selection: selection, maximumJobs: jobs),
            observer: DeliveryLog.observer(log)
        ).run(agent)
    }
}
