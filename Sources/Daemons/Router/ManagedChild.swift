import ChildProcesses
import Glibc
import ProgramKit
import Telemetry

/// One child of the master: started again when it ends, at once the first time, then ever later while it dies young.
/// One that runs once is started again by ``run(at:)`` alone. Confined to the master's thread.
final class ManagedChild {
    /// Milliseconds a child must live for its end to count as the first: one that cannot start dies sooner.
    static let goodLife: Int64 = 1000
    static let longestWait: Int64 = 30_000

    let name: String
    /// The next start, in milliseconds of the steady clock; `nil` while it runs.
    private(set) var startDue: Int64? = 0
    /// Our end of its descriptor 0, −1 while it does not run.
    private(set) var socket: Int32 = -1
    private var process: ChildProcess?
    private let request: ChildRequest
    private let poller: Poller
    private let log: EventLog
    private var startedAt: Int64 = 0
    private var youngDeaths = 0
    private var isStopping = false
    private let runsOnce: Bool
    var onData: () -> Void = {}
    var onStart: () -> Void = {}
    var onEnd: (ChildProcess.Exit) -> Void = { _ in }

    init(_ name: String, _ request: ChildRequest, poller: Poller, log: EventLog, runsOnce: Bool = false) {
        self.runsOnce = runsOnce
        self.name = name
        self.request = request
        self.poller = poller
        self.log = log
    }

    /// The arguments and environment of a role of this program.
    static func request(_ role: String, _ options: RouterOptions, zconfig: String) -> ChildRequest {
        let inherited = Program.inheritedEnvironment.filter { $0.hasPrefix("PATH=") || $0.hasPrefix("TZ=") }
        var request = ChildRequest(
            path: Program.executablePath(), arguments: ["--\(role)"] + options.childArguments,
            environment: inherited + ["ZCONFIG=\(zconfig)"])
        // It must not go on beside its successor; the spool survives a kill at any point.
        request.parentDeathSignal = SIGKILL
        return request
    }

    func start(_ now: Int64) {
        guard !isStopping else { return }
        startDue = nil
        startedAt = now
        do {
            let (ours, theirs) = try UnixSocket.pair()
            defer { close(theirs) }
            var request = request
            request.descriptors = [theirs, 1, 2]
            do {
                let child = try ChildProcess.spawn(request)
                process = child
                socket = ours
                poller.add(child.descriptor, .read) { [unowned self] _ in ended() }
                poller.add(ours, .read) { [unowned self] _ in onData() }
                onStart()
            } catch {
                close(ours)
                throw error
            }
        } catch {
            log.error("not-started", ["child": name, "reason": "\(error)"])
            if !runsOnce { startDue = now + delay(young: true) }
        }
    }

    private func ended() {
        guard let child = process, let exit = child.reap() else { return }
        poller.remove(child.descriptor)
        // What it said before it ended counts.
        onData()
        closeSocket()
        process = nil
        let now = SteadyClock.milliseconds
        if runsOnce {
            if !isStopping, exit != .code(0) {
                log.warning("child-ended", ["child": name, "pid": "\(child.pid)", "how": "\(exit)"])
            }
        } else if !isStopping {
            log.warning("child-ended", ["child": name, "pid": "\(child.pid)", "how": "\(exit)"])
            startDue = now + delay(young: now - startedAt < Self.goodLife)
        }
        onEnd(exit)
    }

    /// Has it started then, unless it runs.
    func run(at time: Int64) {
        if process == nil, !isStopping { startDue = time }
    }

    private func delay(young: Bool) -> Int64 {
        youngDeaths = young ? youngDeaths + 1 : 0
        guard youngDeaths > 1 else { return 0 }
        return min(Self.longestWait, 100 << Int64(min(youngDeaths, 12)))
    }

    /// It did something useful: its next end is no young death.
    func prospered() { youngDeaths = 0 }

    private func closeSocket() {
        guard socket >= 0 else { return }
        poller.remove(socket)
        close(socket)
        socket = -1
    }

    var isRunning: Bool { process != nil }
    var pid: pid_t? { process?.pid }

    func signal(_ number: Int32) { process?.signal(number) }

    /// Its input ends: it finishes what it has and goes.
    func stop() {
        isStopping = true
        startDue = nil
        if socket >= 0 { shutdown(socket, Int32(SHUT_WR)) }
    }
}
