import ChildProcesses
import Configuration
import Glibc
import ProgramKit
import Telemetry

/// What `zmailer start`, `stop`, `reload` and `status` do.
public enum Control {
    public static func pidFile(_ environment: ZEnvironment) -> String { "\(environment.postoffice)/.pid.zmailer" }
    /// A supervisor that is told to stop needs at most its own deadline and a little.
    private static let stopMilliseconds: Int64 = 30_000
    private static let startDeadline = Duration.seconds(30)

    // MARK: start

    /// Runs the instance until it is told to stop. A second start takes over from the first (design: as smtpserver does).
    public static func startInForeground(_ environment: ZEnvironment, _ options: Supervisor.Options) -> ExitCode {
        // Before any thread, and before the pid file tells others that we can be signalled.
        let signals = SignalSource(Supervisor.signals)
        if let code = refuse(environment) { return code }
        if let problem = InstanceFolders.prepare(environment) {
            Program.print("zmailer: \(problem)", to: 2)
            return .cannotCreate
        }
        let pidFile: PidFile
        do throws(PidFile.Failure) {
            pidFile = try PidFile.takeOver(path: Self.pidFile(environment), milliseconds: stopMilliseconds).file
        } catch {
            Program.print("zmailer: \(error)", to: 2)
            return .unavailable
        }
        raiseDescriptorLimit()
        let log = Program.log("zmailer", environment, isForeground: !options.logsToFiles)
        let code = Supervisor(environment: environment, options: options, log: log, signals: signals).run()
        pidFile.remove()
        return code
    }

    /// Starts the instance detached and returns when it is ready, or says what failed.
    public static func startDetached(_ environment: ZEnvironment) -> ExitCode {
        if let code = refuseStranger("zmailer", environment) { return code }
        if let code = refuse(environment) { return code }
        if let problem = InstanceFolders.prepare(environment) {
            Program.print("zmailer: \(problem)", to: 2)
            return .cannotCreate
        }
        let logPath = "\(environment.logdir)/zmailer"
        let log: Int32
        do throws(EventLogError) { log = try LogFile.open(logPath) } catch {
            Program.print("zmailer: \(error)", to: 2)
            return .cannotCreate
        }
        let null = open("/dev/null", O_RDONLY | O_CLOEXEC)
        guard null >= 0 else {
            Program.print("zmailer: /dev/null: \(String(cString: strerror(errno)))", to: 2)
            return .osError
        }
        var request = ChildRequest(
            path: Program.executablePath(),
            arguments: ["start", "--foreground", "--log-files", "-Z", environment["ZCONFIG"] ?? ""],
            environment: DaemonEnvironment.values(environment), descriptors: [null, log, log])
        request.startsSession = true
        let child: ChildProcess
        do throws(SpawnError) {
            child = try ChildProcess.spawn(request)
        } catch {
            Program.print("zmailer: \(error)", to: 2)
            return .osError
        }
        let end = ContinuousClock.now + startDeadline
        while ContinuousClock.now < end {
            if let exit = child.wait(milliseconds: 20) {
                Program.print("zmailer: the start failed: \(exit)\n\(lastLines(of: logPath))", to: 2)
                if case .code(let code) = exit, let known = ExitCode(rawValue: code), known != .ok { return known }
                return .software
            }
            guard PidFile.holder(pidFile(environment)) == child.pid else { continue }
            let all = ProgramStatus.probeAll(environment)
            // What an earlier supervisor has left may still be up, and about to be ended.
            if all.allSatisfy({ $0.isReady && $0.parent == child.pid }) {
                for status in all { Program.print(status.line) }
                return .ok
            }
        }
        for status in ProgramStatus.probeAll(environment) {
            Program.print(status.line, to: 2)
            let path = "\(environment.logdir)/\(status.program.rawValue)"
            if !status.isReady { Program.print(lastLines(of: path), to: 2) }
        }
        Program.print(
            "zmailer: not ready within \(startDeadline.components.seconds) s; still trying (zmailer stop ends it)",
            to: 2)
        return .temporaryFailure
    }

    /// A stranger cannot see what runs: better no answer than a wrong one.
    static func refuseStranger(_ program: String, _ environment: ZEnvironment) -> ExitCode? {
        guard access(environment.postoffice, X_OK) != 0, errno == EACCES else { return nil }
        Program.print("\(program): only root and the mail system's own user may ask (\(environment.postoffice))", to: 2)
        return .noPermission
    }

    /// Reads every configuration first: a mistake is told here, with file and line, and nothing is started or ended.
    private static func refuse(_ environment: ZEnvironment) -> ExitCode? {
        let mistakes = ConfigurationCheck.mistakes(environment)
        guard !mistakes.isEmpty else { return nil }
        Program.print(mistakes.joined(separator: "\n"), to: 2)
        return .configuration
    }

    /// Thousands of sessions need as many descriptors as we are allowed; the daemons inherit the limit.
    private static func raiseDescriptorLimit() {
        var limit = rlimit()
        guard getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0 else { return }
        limit.rlim_cur = limit.rlim_max
        _ = setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
    }

    // MARK: stop, reload, status

    /// Ends the supervisor, which ends the daemons; daemons without a supervisor are ended one by one.
    public static func stop(_ environment: ZEnvironment) -> ExitCode {
        if let code = refuseStranger("zmailer", environment) { return code }
        let files = [pidFile(environment)] + ManagedProgram.allCases.map { $0.pidFile(environment) }
        var found = false
        for file in files {
            guard let pid = PidFile.holder(file) else { continue }
            found = true
            guard kill(pid, SIGTERM) == 0 || errno == ESRCH else {
                Program.print("zmailer: process \(pid) of \(file): \(String(cString: strerror(errno)))", to: 2)
                return .noPermission
            }
            let end = ContinuousClock.now + .milliseconds(stopMilliseconds)
            while PidFile.holder(file) == pid {
                guard ContinuousClock.now < end else {
                    Program.print("zmailer: process \(pid) of \(file) does not end", to: 2)
                    return .temporaryFailure
                }
                usleep(10_000)
            }
        }
        if !found { Program.print("zmailer: nothing is running", to: 2) }
        return .ok
    }

    /// SIGHUP: read the configuration again, open the logs again.
    public static func reload(_ environment: ZEnvironment) -> ExitCode {
        if let code = refuseStranger("zmailer", environment) { return code }
        // A running system is not told to read what it would have to refuse.
        if let code = refuse(environment) { return code }
        if let pid = PidFile.holder(pidFile(environment)) {
            guard kill(pid, SIGHUP) == 0 else {
                Program.print("zmailer: process \(pid): \(String(cString: strerror(errno)))", to: 2)
                return .noPermission
            }
            return .ok
        }
        let pids = ManagedProgram.allCases.compactMap { PidFile.holder($0.pidFile(environment)) }
        for pid in pids { kill(pid, SIGHUP) }
        guard pids.isEmpty else { return .ok }
        Program.print("zmailer: nothing is running", to: 2)
        return .unavailable
    }

    /// 0: everything is up; 69: something is not.
    public static func status(_ environment: ZEnvironment, json: Bool) -> ExitCode {
        if let code = refuseStranger("zmailer", environment) { return code }
        let all = ProgramStatus.probeAll(environment)
        let supervisor = PidFile.holder(pidFile(environment))
        if json {
            let pid = supervisor.map(String.init) ?? "null"
            Program.print("{\"program\":\"zmailer\",\"pid\":\(pid)}")
            for status in all { Program.print(status.json) }
        } else {
            Program.print("\("zmailer".padded(to: 12)) \(supervisor.map { "up     pid \($0)" } ?? "down")")
            for status in all { Program.print(status.line) }
        }
        return supervisor != nil && all.allSatisfy(\.isReady) ? .ok : .unavailable
    }

    private static func lastLines(of path: String) -> String {
        let lines = ProcFile.read(path).split(separator: "\n").suffix(10)
        return lines.map { "    \($0)" }.joined(separator: "\n")
    }
}
