import ChildProcesses
import Configuration
import Glibc
import MetricsCollection
import PolicyEngine
import Postoffice
import ProgramKit
import Resolver
import Tables
import Telemetry

/// `router`: one program that is master, policy service and routing worker (docs/architecture.md).
public enum RouterProgram {
    /// - Parameter arguments: the program's name first.
    public static func run(_ arguments: [String]) -> Never {
        let options: RouterOptions
        do throws(UsageError) {
            options = try RouterOptions.parse(arguments)
        } catch {
            Program.fail("router: \(error)\n\(RouterOptions.usage)", .usage)
        }
        if options.printsHelp {
            Program.print(RouterOptions.usage)
            exit(0)
        }
        if options.printsVersion {
            Program.print("ZMailer router \(Program.version)")
            exit(0)
        }
        let environment = Program.environment(options.environmentFile)
        let configuration: MailConfiguration
        do throws(ConfigurationErrors) {
            configuration = try MailConfiguration(environment, postoffice: options.postoffice)
        } catch {
            Program.fail(error.description, .configuration)
        }
        if options.onlyChecks {
            // The sources of the policy as the caller, who builds the database of them; the tables as who will read them: what root
            // can read, the owner of POSTOFFICE need not be able to.
            let problems = PolicyCheck.problems(configuration)
            if access(configuration.postoffice, F_OK) == 0 {
                do throws(ProcessIdentity.Failure) {
                    try ProcessIdentity.becomeOwner(of: configuration.postoffice)
                } catch {
                    Program.fail("router: POSTOFFICE \(error)", .osFile)
                }
            }
            check(configuration, problems)
            exit(0)
        }
        switch options.role {
        case .master: master(options, environment, configuration)
        case .policy: policy(options, environment, configuration)
        case .worker: worker(options, environment, configuration)
        case .freezer: freezer(options, environment, configuration)
        }
    }

    /// All mistakes of all tables at once; ends with 78 if there are any. Those of the policy keep no router from starting: the
    /// service answers 451 until they are mended, and says why, and what was accepted before is routed.
    private static func check(_ configuration: MailConfiguration, _ found: [String] = []) {
        var problems: [String] = []
        let tables = MailTables(configuration) { (event: TableEvent) in
            switch event {
            case .missing, .loaded: return
            case .broken(let errors, _): problems.append(errors.description)
            case .unreadable(let path, let code, _):
                let who = code == EACCES ? " for uid \(geteuid()), the owner of POSTOFFICE" : ""
                problems.append("\(path): \(String(cString: strerror(code)))\(who)")
            }
        }
        _ = tables.load()
        problems += found
        if !problems.isEmpty { Program.fail(problems.joined(separator: "\n"), .configuration) }
        if let problem = tables.postmasterProblem() { Program.print("router: warning: \(problem)", to: 2) }
    }

    private static func openSpool(_ configuration: MailConfiguration) -> Postoffice {
        do {
            try ProcessIdentity.becomeOwner(of: configuration.postoffice)
            return try Postoffice(configuration.postoffice)
        } catch {
            Program.fail("router: POSTOFFICE \(error)", .osFile)
        }
    }

    private static func openLog(_ options: RouterOptions, _ environment: ZEnvironment) -> EventLog {
        Program.log("router", environment, file: options.log, isForeground: options.staysInForeground)
    }

    private static func master(
        _ options: RouterOptions, _ environment: ZEnvironment, _ configuration: MailConfiguration
    ) -> Never {
        let signals = SignalSource([SIGTERM, SIGINT, SIGHUP])
        check(configuration)
        if !options.staysInForeground, !options.isDetached {
            do throws(SpawnError) { exit(try Detachment.start()) } catch { Program.fail("router: \(error)", .osError) }
        }
        let postoffice = openSpool(configuration)
        let log = openLog(options, environment)
        let pidFile = takePidFile("\(postoffice.root)/.pid.router", options)
        let tables = MailTables(configuration, report: TableReports(log: log, namesMissing: true).write)
        tables.now = SteadyClock.milliseconds
        _ = tables.load()
        if let problem = tables.postmasterProblem() { log.warning("no-postmaster", ["reason": problem]) }
        do throws(PostofficeError) {
            let processors = Int(sysconf(Int32(_SC_NPROCESSORS_ONLN)))
            let master = try Master(
                postoffice: postoffice, configuration: configuration,
                workers: options.workers ?? max(1, min(RouterOptions.maximumWorkers, processors)), signals: signals,
                log: log
            ) { role in ManagedChild.request(role, options, zconfig: environment["ZCONFIG"] ?? "") }
            log.notice("started", ["pid": "\(getpid())", "postoffice": postoffice.root])
            if options.isDetached { Detachment.report() }
            master.run()
        } catch {
            log.error("not-started", ["reason": error.description])
            Program.fail("router: \(error)", .osFile)
        }
        log.notice("stopped", ["pid": "\(getpid())"])
        pidFile.remove()
        exit(0)
    }

    private static func takePidFile(_ path: String, _ options: RouterOptions) -> PidFile {
        do throws(PidFile.Failure) {
            guard options.replacesOther else { return try PidFile(path: path) }
            return try PidFile.takeOver(path: path, milliseconds: Master.stopTime + 5000).file
        } catch {
            let advice = if case .held = error { " (another router runs; -k takes its place)" } else { "" }
            Program.fail("router: \(error)\(advice)", .cannotCreate)
        }
    }

    private static func policy(
        _ options: RouterOptions, _ environment: ZEnvironment, _ configuration: MailConfiguration
    ) -> Never {
        let signals = SignalSource([SIGTERM, SIGINT, SIGHUP])
        let postoffice = openSpool(configuration)
        let log = openLog(options, environment)
        let engine: PolicyEngine
        do throws(ResolverError) {
            engine = try PolicyEngine(configuration, writesState: true, log: log)
        } catch {
            log.error("policy-not-started", ["reason": error.description])
            exit(ExitCode.configuration.rawValue)
        }
        engine.load()
        if !MetricServer.serve(engine.metrics.metrics, of: "policy", in: postoffice.root) {
            log.error("no-metrics", ["reason": String(cString: strerror(errno))])
        }
        do throws(UnixSocket.Failure) {
            try PolicyService(path: "\(postoffice.root)/.policy", engine: engine, signals: signals, log: log).run()
        } catch {
            log.error("policy-not-started", ["reason": error.description])
            exit(ExitCode.osFile.rawValue)
        }
        exit(0)
    }

    private static func freezer(
        _ options: RouterOptions, _ environment: ZEnvironment, _ configuration: MailConfiguration
    ) -> Never {
        let signals = SignalSource([SIGTERM, SIGINT, SIGHUP])
        let postoffice = openSpool(configuration)
        let log = openLog(options, environment)
        FreezerKeeper(postoffice, configuration, log).run(now: Int64(time(nil)), signals: signals)
        exit(0)
    }

    private static func worker(
        _ options: RouterOptions, _ environment: ZEnvironment, _ configuration: MailConfiguration
    ) -> Never {
        let signals = SignalSource([SIGTERM, SIGINT, SIGHUP])
        let postoffice = openSpool(configuration)
        let log = openLog(options, environment)
        let tables = MailTables(configuration, report: TableReports(log: log, namesMissing: false).write)
        tables.now = SteadyClock.milliseconds
        _ = tables.load()
        WorkerLoop(postoffice: postoffice, configuration: configuration, tables: tables, signals: signals, log: log)
            .run()
    }
}
