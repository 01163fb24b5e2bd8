import ChildProcesses
import Configuration
import Glibc
import ProgramKit
import Telemetry

/// The master's part of checking passwords: takes a worker's connection and starts a checker with it, which reads one question,
/// answers it, and ends (docs/security.md). The master reads nothing of it.
final class CredentialService {
    /// Milliseconds that a checker may take: it ends by itself before that (docs/protocols.md §7).
    static let deadline: Int64 = 36_000

    private final class Checker {
        let process: ChildProcess
        var endsBy: Int64
        var isKilled = false

        init(_ process: ChildProcess) {
            self.process = process
            endsBy = SteadyClock.milliseconds + CredentialService.deadline
        }
    }

    let path: String
    private let poller: Poller
    private let log: EventLog
    private let listener: Int32
    private let settings: () -> Settings
    private var checkers: [Int32: Checker] = [:]
    private var isPaused = false

    /// - Parameter settings: those of now.
    init(
        _ poller: Poller, path: String, log: EventLog, settings: @escaping () -> Settings
    ) throws(StartError) {
        self.path = path
        self.poller = poller
        self.log = log
        self.settings = settings
        listener = try OwnedListener.bind(path, TrustedUser.identity(settings().environment))
        listen()
    }

    deinit {
        for descriptor in checkers.keys { poller.remove(descriptor) }
        poller.remove(listener)
        close(listener)
        unlink(path)
    }

    private func listen() { poller.add(listener, .read) { [unowned self] _ in accept() } }

    private func accept() {
        guard let connection = UnixSocket.accept(listener) else { return }
        defer { close(connection) }
        let null = open("/dev/null", O_RDWR | O_CLOEXEC)
        defer { close(null) }
        let current = settings()
        let worker = TrustedUser.identity(current.environment)?.uid ?? geteuid()
        guard let peer = UnixSocket.peer(connection), peer == worker || peer == 0 else {
            log.warning("credentials-refused", ["path": path, "reason": "asked by another user than the workers'"])
            return
        }
        do throws(SpawnError) {
            let checker = Checker(try ChildProcess.spawn(request(current, connection, null)))
            checkers[checker.process.descriptor] = checker
            poller.add(checker.process.descriptor, .read) { [unowned self, unowned checker] _ in reap(checker) }
        } catch {
            log.error("checker-not-started", ["reason": error.description])
        }
        // More wait in the socket's queue.
        if checkers.count >= current.configuration.credentials.maximumChecks {
            isPaused = true
            poller.remove(listener)
        }
    }

    private func request(_ settings: Settings, _ connection: Int32, _ null: Int32) -> ChildRequest {
        var request = ChildRequest(
            path: Program.executablePath(),
            arguments: Array(CommandLine.arguments.dropFirst()).filter { $0 != "--detached" } + ["--check-credentials"],
            environment: WorkerEnvironment.variables(settings, roles: []))
        request.descriptors = [null, null, settings.options.isDetached ? null : 2, connection]
        request.startsSession = true
        request.parentDeathSignal = SIGKILL
        return request
    }

    private func reap(_ checker: Checker) {
        guard let exit = checker.process.reap() else { return }
        poller.remove(checker.process.descriptor)
        checkers[checker.process.descriptor] = nil
        if exit != .code(0) {
            log.error("checker-died", ["pid": "\(checker.process.pid)", "reason": exit.description])
        }
        if isPaused {
            isPaused = false
            listen()
        }
    }

    /// When ``tick()`` has something to do; `nil`: never.
    var nextDeadline: Int64? { checkers.values.map(\.endsBy).min() }

    /// Ends the checkers that take too long.
    func tick() {
        for checker in checkers.values where SteadyClock.milliseconds >= checker.endsBy {
            checker.endsBy = SteadyClock.milliseconds + 5000
            if !checker.isKilled {
                log.error("checker-killed", ["pid": "\(checker.process.pid)", "reason": "no answer in time"])
            }
            checker.isKilled = true
            kill(-checker.process.pid, SIGKILL)
            checker.process.signal(SIGKILL)
        }
    }
}
