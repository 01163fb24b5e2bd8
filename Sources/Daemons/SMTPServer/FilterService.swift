import ChildProcesses
import Configuration
import Glibc
import ProgramKit
import Telemetry

/// The master's part of one content filter: takes a worker's connection and starts a process of the filter with it as standard input
/// and output. The master reads nothing of it; it sees when the worker has let go of it, and when the process has ended.
final class FilterService {
    /// Milliseconds for a process to end by itself when its worker has let go of it.
    static let grace: Int64 = 5000

    private final class Filter {
        let process: ChildProcess
        /// Our copy of the filter's end: tells of the worker's going, and keeps the filter's end open until it is reaped.
        let connection: Int32
        /// `nil`: its worker wants it.
        var endsBy: Int64?

        init(_ process: ChildProcess, _ connection: Int32) {
            self.process = process
            self.connection = connection
        }

        deinit { close(connection) }
    }

    let program: String
    private let path: String
    private let poller: Poller
    private let log: EventLog
    private let listener: Int32
    private let settings: () -> Settings
    private var filters: [Int32: Filter] = [:]
    private var isPaused = false

    /// - Parameter settings: those of now.
    init(
        _ poller: Poller, program: String, log: EventLog, settings: @escaping () -> Settings
    ) throws(StartError) {
        self.program = program
        self.poller = poller
        self.log = log
        self.settings = settings
        let now = settings()
        path = FilterPlace.startSocket(of: program, now)
        listener = try OwnedListener.bind(path, TrustedUser.identity(now.environment))
        listen()
    }

    deinit {
        for filter in filters.values { drop(filter) }
        poller.remove(listener)
        close(listener)
        unlink(path)
    }

    private func listen() { poller.add(listener, .read) { [unowned self] _ in accept() } }

    /// Twice what a worker may have: one that ends may still have its own.
    private var maximumProcesses: Int { 2 * settings().configuration.contentFiltering.maximumProcesses }

    private func accept() {
        guard let connection = UnixSocket.accept(listener) else { return }
        let current = settings()
        let worker = TrustedUser.identity(current.environment)?.uid ?? geteuid()
        guard let peer = UnixSocket.peer(connection), peer == worker || peer == 0 else {
            close(connection)
            log.warning("filter-refused", ["path": path, "reason": "asked for by another user than the workers'"])
            return
        }
        do {
            let identity = try FilterIdentity.find(current)
            let errors = FilterErrors.open(current)
            defer { close(errors) }
            UnixSocket.makeBlocking(connection)
            let filter = Filter(try ChildProcess.spawn(request(current, connection, errors, identity)), connection)
            filters[filter.process.descriptor] = filter
            poller.add(filter.process.descriptor, .read) { [unowned self, unowned filter] _ in reap(filter) }
            poller.add(connection, []) { [unowned self, unowned filter] _ in released(filter) }
        } catch {
            close(connection)
            log.error("filter-not-started", ["filter": program, "reason": "\(error)"])
        }
        // More wait in the socket's queue.
        if filters.count >= maximumProcesses {
            isPaused = true
            poller.remove(listener)
        }
    }

    private func request(
        _ settings: Settings, _ connection: Int32, _ errors: Int32, _ identity: ChildRequest.Identity?
    ) -> ChildRequest {
        var environment = [
            "PATH=/usr/local/bin:/usr/bin:/bin", "ZCONFIG=\(settings.environment["ZCONFIG"] ?? "")", "SMTPSERVER=y",
            "POSTOFFICE=\(settings.postoffice)",
        ]
        if let zone = getenv("TZ") { environment.append("TZ=\(String(cString: zone))") }
        var request = ChildRequest(path: program, arguments: [], environment: environment)
        request.directory = settings.postoffice
        request.descriptors = [connection, connection, errors]
        request.identity = identity
        request.startsSession = true
        request.parentDeathSignal = SIGTERM
        return request
    }

    /// Its worker has closed the connection: it reads the end of its input, and should end.
    private func released(_ filter: Filter) {
        poller.remove(filter.connection)
        filter.endsBy = SteadyClock.milliseconds + Self.grace
    }

    private func reap(_ filter: Filter) {
        // What it has started would keep the worker waiting. Its group is its own for as long as it is not reaped.
        kill(-filter.process.pid, SIGKILL)
        guard let exit = filter.process.reap() else { return }
        shutdown(filter.connection, Int32(SHUT_RDWR))
        drop(filter)
        filters[filter.process.descriptor] = nil
        if exit != .code(0), filter.endsBy == nil {
            log.warning(
                "filter-ended", ["filter": program, "pid": "\(filter.process.pid)", "reason": exit.description])
        }
        if isPaused {
            isPaused = false
            listen()
        }
    }

    private func drop(_ filter: Filter) {
        poller.remove(filter.process.descriptor)
        poller.remove(filter.connection)
    }

    var isIdle: Bool { filters.isEmpty }

    /// The server ends, and no worker is left.
    func killAll() {
        for filter in filters.values {
            kill(-filter.process.pid, SIGKILL)
            filter.process.signal(SIGKILL)
        }
    }

    /// When ``tick()`` has something to do; `nil`: never.
    var nextDeadline: Int64? { filters.values.compactMap(\.endsBy).min() }

    /// Ends the processes that do not end by themselves.
    func tick() {
        for filter in filters.values {
            guard let endsBy = filter.endsBy, SteadyClock.milliseconds >= endsBy else { continue }
            filter.endsBy = SteadyClock.milliseconds + Self.grace
            log.warning(
                "filter-killed",
                [
                    "filter": program, "pid": "\(filter.process.pid)",
                    "reason": "it does not end at the end of its input",
                ])
            kill(-filter.process.pid, SIGKILL)
            filter.process.signal(SIGKILL)
        }
    }
}

/// Who a content filter runs as: where smtpserver is started by root, `contentfilter-user` (`daemon`) with the group of TRUSTEDUSER, by
/// which it may open what it is given; else whoever runs smtpserver.
enum FilterIdentity {
    struct Problem: Error, CustomStringConvertible {
        let description: String
    }

    private static let usualUser = "daemon"

    static func find(_ settings: Settings) throws(Problem) -> ChildRequest.Identity? {
        let wanted = settings.configuration.contentFiltering.user
        guard geteuid() == 0 else { return nil }
        guard let owner = TrustedUser.identity(settings.environment) else {
            guard wanted.isEmpty else { throw Problem(description: "contentfilter-user needs a TRUSTEDUSER") }
            return nil
        }
        let name = wanted.isEmpty ? usualUser : wanted
        guard let account = getpwnam(name) else {
            throw Problem(description: "contentfilter-user \(name): there is no such account")
        }
        guard account.pointee.pw_uid != 0 else { throw Problem(description: "contentfilter-user must not be root") }
        return ChildRequest.Identity(uid: account.pointee.pw_uid, gid: owner.gid)
    }
}

/// Where the standard error of content filters goes: `$LOGDIR/contentfilter`, in the foreground to that of smtpserver.
enum FilterErrors {
    /// For one child; the caller closes it.
    static func open(_ settings: Settings) -> Int32 {
        guard settings.options.isDetached || settings.options.eventLogFile != nil else { return dup(2) }
        var descriptor: Int32 = -1
        let path = "\(settings.environment.logdir)/contentfilter"
        func make() {
            descriptor = Glibc.open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0o640)
        }
        // The folder is the owner's: root follows nothing there.
        if let owner = TrustedUser.identity(settings.environment) {
            try? IdentityThread.run(as: owner, make)
        } else {
            make()
        }
        return descriptor >= 0 ? descriptor : Glibc.open("/dev/null", O_WRONLY | O_CLOEXEC)
    }
}
