import ChildProcesses
import Configuration
import Forms
import Glibc
import Postoffice
import ProgramKit
import Telemetry

/// The program `scheduler`.
public enum SchedulerProgram {
    /// Threads for work on spool files: enough to keep a disk busy, few enough to share its directory locks.
    private static let fileThreads = 4
    /// Milliseconds that a running scheduler gets to finish before the one that takes over gives up.
    private static let takeOverTime: Int64 = 30000

    public static func main(_ arguments: [String]) -> Never {
        let options: SchedulerOptions
        do throws(UsageError) {
            options = try SchedulerOptions.parse(arguments)
        } catch {
            Program.fail("scheduler: \(error)\n\(SchedulerOptions.usage)", .usage)
        }
        if options.showsHelp {
            Program.print(SchedulerOptions.usage)
            exit(0)
        }
        if options.showsVersion {
            Program.print("zmailer scheduler \(Program.version)")
            exit(0)
        }
        let environment = Program.environment(options.zenvFile)
        let path = options.configurationFile ?? "\(environment.mailshare)/scheduler.conf"
        let active: ActiveConfiguration
        do throws(ConfigurationErrors) {
            active = try ActiveConfiguration.read(path, environment: environment, onlyThread: options.onlyThread)
        } catch {
            Program.fail(error.description, .configuration)
        }
        let keeping: HouseKeeping
        do throws(ConfigurationErrors) {
            keeping = try HouseKeeping.read(environment)
        } catch {
            Program.fail(error.description, .configuration)
        }
        if options.checksOnly {
            let mistakes = FormLibrary.mistakes(environment)
            if mistakes.isEmpty { exit(0) }
            Program.fail(ConfigurationErrors(mistakes).description, .configuration)
        }
        if !options.isForeground, !options.isDetached { detach(arguments, environment, options) }
        serve(environment, options, active, path, keeping)
    }

    private static func serve(
        _ environment: ZEnvironment, _ options: SchedulerOptions, _ active: ActiveConfiguration, _ path: String,
        _ keeping: HouseKeeping
    ) -> Never {
        // Before the first thread, so that all of them leave signals to the loop.
        let signals = SignalSource([SIGTERM, SIGINT, SIGQUIT, SIGHUP, SIGUSR1, SIGUSR2, SIGALRM])
        Descriptor.raiseLimit()
        let log = openLog(environment, options)
        do {
            let postoffice = try Postoffice(options.postoffice ?? environment.postoffice)
            let (pidFile, previous) = try PidFile.takeOver(
                path: "\(postoffice.root)/.pid.scheduler", milliseconds: takeOverTime)
            if let previous { log.notice("took-over", ["pid": "\(previous)"]) }
            let notices = try NoticeReceiver(socketPath: "\(postoffice.root)/.scheduler.notify")
            let owner = SpoolOwner(of: postoffice.root)
            owner.own("\(postoffice.root)/.scheduler.notify")
            let routerNotice = NoticeSender(socketPath: "\(postoffice.root)/.router.notify", directory: "router")
            let hostName = Self.hostName(environment)
            ReportSettings.shared.set(active.configuration, environment)
            // A text that is not what was meant is better than mail that stands still.
            for mistake in FormLibrary.mistakes(environment) {
                log.error("form-mistake", ["reason": mistake.description])
            }
            let doubleFaults = DoubleFaults(log: log)
            let spoolRoot = postoffice.root
            let files = FileWorkers(threads: fileThreads) {
                do throws(ProcessIdentity.Failure) {
                    try ProcessIdentity.becomeOwnerOnThisThread(of: spoolRoot)
                } catch {
                    // Files of the wrong owner would stop the router: better not to begin.
                    log.error("cannot-start", ["reason": error.description])
                    exit(ExitCode.noPermission.rawValue)
                }
                return FileWorker(
                    postoffice: postoffice, routerNotice: routerNotice,
                    reports: ReportWriter(
                        postoffice: postoffice, routerNotice: routerNotice, hostName: hostName,
                        formDirectory: "\(environment.mailshare)/forms",
                        clock: { SchedulerLoop.milliseconds() / 1000 },
                        rules: ReportSettings.shared.rules(), doubleFaults: doubleFaults),
                    storesErrorOnError: { ReportSettings.shared.storesErrorOnError })
            }
            let loop = SchedulerLoop(
                environment: environment, options: options, active: active, configurationPath: path, log: log,
                signals: signals, notices: notices, postoffice: postoffice, owner: owner, files: files,
                keeping: keeping, hostName: hostName)
            log.notice("started", ["version": Program.version, "postoffice": postoffice.root])
            try loop.run()
            log.notice("stopped")
            unlink("\(postoffice.root)/.scheduler.notify")
            pidFile.remove()
            exit(0)
        } catch {
            log.error("cannot-start", ["reason": "\(error)"])
            if !options.isForeground { Program.print("scheduler: \(error)", to: 2) }
            exit(ExitCode.cannotCreate.rawValue)
        }
    }

    private static func openLog(_ environment: ZEnvironment, _ options: SchedulerOptions) -> EventLog {
        Program.log(
            "scheduler", environment, file: options.logFile, isForeground: !options.isDetached,
            debug: options.isVerbose)
    }

    private static func hostName(_ environment: ZEnvironment) -> String {
        if let name = environment["HOSTNAME"] ?? environment["MAILSERVER"] { return name }
        var buffer = [CChar](repeating: 0, count: 256)
        guard gethostname(&buffer, buffer.count - 1) == 0 else { return "localhost" }
        return String(decoding: buffer.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }

    /// Starts this program again in a session of its own and ends when it holds the pid file.
    private static func detach(
        _ arguments: [String], _ environment: ZEnvironment, _ options: SchedulerOptions
    ) -> Never {
        let null = open("/dev/null", O_RDWR)
        var request = ChildRequest(
            path: Program.executablePath(), arguments: ["--detached"] + arguments.dropFirst(),
            environment: Program.inheritedEnvironment, descriptors: [null, null, 2])
        request.startsSession = true
        let pidFile = "\(options.postoffice ?? environment.postoffice)/.pid.scheduler"
        do throws(SpawnError) {
            let child = try ChildProcess.spawn(request)
            for _ in 0..<Int(takeOverTime / 50) {
                if let exit = child.wait(milliseconds: 50) { Program.fail("scheduler: \(exit)", .unavailable) }
                if PidFile.holder(pidFile) == child.pid { exit(0) }
            }
            Program.fail("scheduler: not ready after \(takeOverTime / 1000) s", .unavailable)
        } catch {
            Program.fail("scheduler: \(error)", .osError)
        }
    }
}
