import ChildProcesses
import Configuration
import Glibc
import PolicyEngine
import Postoffice
import ProgramKit
import Telemetry
import TransportSecurity

/// `smtpserver`: one program that is its own master, worker and interactive session (smtpserver(8)).
public enum SMTPServerProgram {
    /// - Parameter arguments: the program's name first.
    public static func run(_ arguments: [String]) -> Never {
        let options: ServerOptions
        do throws(UsageError) {
            options = try ServerOptions.parse(arguments)
        } catch {
            Program.fail("smtpserver: \(error)\n\(ServerOptions.usage)", .usage)
        }
        if options.onlyPrintsHelp {
            Program.print(ServerOptions.usage)
            exit(0)
        }
        if options.onlyPrintsVersion {
            Program.print("ZMailer smtpserver \(Program.version)")
            exit(0)
        }
        do throws(ConfigurationErrors) {
            if options.checksCredentials { CredentialCheck.run(try WorkerEnvironment.settings(options)) }
            if let sockets = options.workerSockets {
                WorkerProgram.run(try WorkerEnvironment.settings(options), sockets: sockets)
            }
            try run(options, Settings.load(options))
        } catch {
            Program.fail(error.description, .configuration)
        }
    }

    private static func run(_ options: ServerOptions, _ settings: Settings) throws(ConfigurationErrors) -> Never {
        if let problem = TrustedUser.problem(settings.environment) {
            throw ConfigurationErrors([
                ConfigurationError(
                    file: settings.environment["ZCONFIG"] ?? "", line: 0, key: "TRUSTEDUSER", reason: problem)
            ])
        }
        if options.onlyChecks {
            do throws(ListenError) { _ = try ListenPlan.points(settings) } catch {
                Program.fail("\(error)", error.code)
            }
            checkTLS(settings)
            checkFilters(settings)
            if let problem = PolicyCheck.problem(settings.asker) {
                let file = options.configurationFile ?? "\(settings.environment.mailshare)/smtpserver.conf"
                Program.fail("\(file): PARAM policydb: \(problem)", .configuration)
            }
            exit(0)
        }
        if let client = options.testClient { PolicyTestSession.run(settings, client: client) }
        if options.isInteractive { InteractiveSession.run(settings) }
        checkSpool(settings)
        if options.isInetd { InetdSession.run(settings) }
        if options.isForeground || options.debugLevel >= 2 || options.isDetached { serve(settings) }
        detach()
    }

    /// The spool must be there; each worker opens it again.
    private static func checkSpool(_ settings: Settings) {
        do throws(PostofficeError) {
            _ = try Postoffice(settings.postoffice)
        } catch {
            Program.fail("smtpserver: POSTOFFICE \(error)", .osFile)
        }
    }

    /// Keys and certificates must be there and fit; what will expire soon is said.
    private static func checkTLS(_ settings: Settings) {
        let plan = TLSPlan(settings)
        do throws(TLSFailure) {
            for warning in plan.warnings(try plan.read()) { Program.print("warning: \(warning)") }
        } catch {
            Program.fail("TLS: \(error)", .configuration)
        }
    }

    /// A filter that is missing costs messages their check, and not the server its life: it is said, and no mistake.
    private static func checkFilters(_ settings: Settings) {
        let file = settings.options.configurationFile ?? "\(settings.environment.mailshare)/smtpserver.conf"
        for problem in FilterPlace.problems(settings) { Program.print("warning: \(file): \(problem)") }
    }

    // MARK: master

    private static func serve(_ settings: Settings) -> Never {
        let signals = SignalSource([SIGTERM, SIGINT, SIGHUP])
        let isForeground = !settings.options.isDetached
        let log = Program.log(
            "smtpserver", settings.environment, file: settings.options.eventLogFile, isForeground: isForeground,
            debug: settings.options.debugLevel > 0)
        let pidFile: PidFile
        do throws(PidFile.Failure) {
            let (file, previous) = try PidFile.takeOver(path: settings.pidPath, milliseconds: Master.takeOverDeadline)
            pidFile = file
            if let previous { Program.print("killed previous daemon, pid = \(previous)") }
        } catch {
            Program.fail("smtpserver: pid file \(error)", .cannotCreate)
        }
        do throws(ListenError) {
            let master = try Master(settings, log: log, signals: signals, pidFile: pidFile) {
                log.notice("started", ["pid": "\(getpid())"])
                if settings.options.isDetached { Detachment.report() }
            }
            master.run()
            exit(0)
        } catch {
            pidFile.remove()
            log.error("not-listening", ["reason": error.description])
            if !isForeground { Program.print("smtpserver: \(error)", to: 2) }
            exit(error.code.rawValue)
        }
    }

    /// Starts this program again without a terminal, and waits until it serves or has failed.
    private static func detach() -> Never {
        do throws(StartError) {
            exit(try Detachment.start())
        } catch {
            Program.fail("smtpserver: \(error)", .osError)
        }
    }
}

/// Leaving the terminal: a re-exec in a session of its own; a fork would lose the runtime's threads.
enum Detachment {
    /// Where the detached process tells the starting one that it serves.
    private static let statusDescriptor: Int32 = 3

    /// The exit code of the starting process.
    static func start() throws(StartError) -> Int32 {
        let ends = try StatusPipe.make()
        let null = open("/dev/null", O_RDWR | O_CLOEXEC)
        var request = ChildRequest(
            path: Program.executablePath(), arguments: Array(CommandLine.arguments.dropFirst()) + ["--detached"],
            environment: Program.inheritedEnvironment, descriptors: [null, 1, 2, ends.write])
        request.startsSession = true
        let child: ChildProcess
        do throws(SpawnError) {
            child = try ChildProcess.spawn(request)
        } catch {
            throw StartError(error.description)
        }
        close(ends.write)
        var octet: UInt8 = 0
        while true {
            let count = read(ends.read, &octet, 1)
            if count > 0 { return 0 }
            if count == 0 || errno != EINTR { break }
        }
        // It ended before it served; its words are on our standard error.
        switch child.wait(milliseconds: 5000) {
        case .code(let code)?: return code
        case .signal?, nil: return ExitCode.software.rawValue
        }
    }

    /// In the detached process: it serves. The terminal is let go.
    static func report() {
        var octet: UInt8 = 1
        _ = write(statusDescriptor, &octet, 1)
        close(statusDescriptor)
        let null = open("/dev/null", O_RDWR | O_CLOEXEC)
        guard null >= 0 else { return }
        dup2(null, 1)
        dup2(null, 2)
        close(null)
    }
}
