import ChildProcesses
import Configuration
import Glibc
import ProgramKit
import Telemetry

/// Runs the daemons of one instance: starts them in order, starts again what dies, passes signals on, ends them all.
/// Confined to the main thread.
///
/// It holds no mail and no state: if it is killed the daemons go on, and the next start takes them over.
public final class Supervisor {
    public struct Options: Sendable {
        /// The logs of the daemons, and their standard output and error: a file each in LOGDIR instead of our standard error.
        public var logsToFiles = false
        /// Printed when everything is ready.
        public var announcement: String?
        public init() {}
    }

    /// From SIGTERM to SIGKILL: the daemons finish what they are at.
    static let stopDeadline = Duration.seconds(20)
    /// How long the next daemon waits for the one before it to be ready.
    static let startPatience = Duration.seconds(5)
    /// How often a daemon that is not ours is looked at again.
    static let foreignInterval = Duration.seconds(5)
    private static let readinessInterval = Duration.milliseconds(20)

    private struct Slot {
        let program: ManagedProgram
        var child: ChildProcess?
        var startedAt: ContinuousClock.Instant
        /// When to start it; nil while it runs.
        var startAt: ContinuousClock.Instant?
        var policy: RestartPolicy
        var wasStarted = false
        var wasReady = false
    }

    private let environment: ZEnvironment
    private let options: Options
    private let log: EventLog
    private let signals: SignalSource
    private let poller = Poller()
    private let clock = ContinuousClock()
    private var slots: [Slot]
    private var isStopping = false
    private var exitCode = ExitCode.ok
    private var isAnnounced = false

    /// `signals` was made first thing in main.
    public init(environment: ZEnvironment, options: Options, log: EventLog, signals: SignalSource) {
        self.environment = environment
        self.options = options
        self.log = log
        self.signals = signals
        let now = clock.now
        let limit = RestartPolicy.limit(environment) ?? RestartPolicy.standardLimit
        slots = ManagedProgram.allCases.map { Slot(program: $0, startedAt: now, policy: RestartPolicy(limit: limit)) }
    }

    public static let signals: [Int32] = [SIGTERM, SIGINT, SIGHUP]

    /// Returns when everything has ended.
    public func run() -> ExitCode {
        poller.add(signals.descriptor, .read) { [unowned self] _ in receiveSignals() }
        log.notice("start", ["version": Program.version, "instance": environment["ZCONFIG"] ?? ""])
        slots[0].startAt = clock.now
        var killAt: ContinuousClock.Instant?
        while true {
            if isStopping {
                if slots.allSatisfy({ $0.child == nil }) { break }
                if killAt == nil {
                    killAt = clock.now + Self.stopDeadline
                } else if let deadline = killAt, clock.now >= deadline {
                    killAll()
                    killAt = clock.now + Self.stopDeadline
                }
            } else {
                lookForReadiness()
                scheduleFirstStarts()
                startWhatIsDue()
            }
            poller.wait(milliseconds: milliseconds(until: killAt))
        }
        log.notice("stop", ["exit": String(exitCode.rawValue)])
        return exitCode
    }

    // MARK: Starting

    /// The first start of each waits for the one before it to be ready, but not for ever.
    private func scheduleFirstStarts() {
        for index in slots.indices.dropFirst() {
            if !slots[index].wasStarted, slots[index - 1].wasReady { slots[index].startAt = clock.now }
            guard !slots[index].wasStarted, slots[index].startAt == nil, slots[index - 1].wasStarted else { continue }
            slots[index].startAt = slots[index - 1].startedAt + Self.startPatience
        }
    }

    private func startWhatIsDue() {
        for index in slots.indices {
            guard slots[index].child == nil, let due = slots[index].startAt, clock.now >= due else { continue }
            // By hand, or by an earlier supervisor that was killed: to start ours would end it.
            if let pid = PidFile.holder(slots[index].program.pidFile(environment)), slots[index].wasReady {
                log.warning(
                    "runs-elsewhere", ["program": slots[index].program.rawValue, "pid": String(pid)])
                slots[index].startAt = clock.now + Self.foreignInterval
                continue
            }
            start(index)
        }
    }

    private func start(_ index: Int) {
        let program = slots[index].program
        slots[index].startedAt = clock.now
        slots[index].wasStarted = true
        slots[index].startAt = nil
        do {
            let output = try standardError(of: program)
            defer { if output > 2 { close(output) } }
            var request = ChildRequest(
                path: program.path(environment),
                arguments: program.arguments(environment, logsToFile: options.logsToFiles),
                environment: DaemonEnvironment.values(environment),
                descriptors: [try nullDevice(), output, output])
            defer { close(request.descriptors[0]) }
            // The terminal's signals are for the supervisor, which ends the daemons in order.
            request.startsSession = true
            let child = try ChildProcess.spawn(request)
            slots[index].child = child
            poller.add(child.descriptor, .read) { [unowned self] _ in ended(index) }
            log.notice("started", ["program": program.rawValue, "pid": String(child.pid)])
        } catch {
            log.error("cannot-start", ["program": program.rawValue, "reason": "\(error)"])
            restartLater(index)
        }
    }

    /// For what a daemon says before it has opened its log, and its last words when it crashes.
    private func standardError(of program: ManagedProgram) throws -> Int32 {
        options.logsToFiles ? try LogFile.open(program.logFile(environment)) : 2
    }

    private func nullDevice() throws -> Int32 {
        let descriptor = open("/dev/null", O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { throw UnixStream.Failure(path: "/dev/null", code: errno) }
        return descriptor
    }

    private func restartLater(_ index: Int) {
        let uptime = slots[index].startedAt.duration(to: clock.now)
        let delay = slots[index].policy.delay(afterUptime: uptime)
        slots[index].startAt = clock.now + delay
        log.warning(
            "restart", ["program": slots[index].program.rawValue, "in": "\(delay.components.seconds)s"])
    }

    // MARK: Readiness

    private func lookForReadiness() {
        for index in slots.indices where slots[index].child != nil && !slots[index].wasReady {
            let status = ProgramStatus.probe(slots[index].program, environment)
            guard status.isReady, status.pid == slots[index].child?.pid else { continue }
            slots[index].wasReady = true
            log.notice(
                "ready",
                [
                    "program": status.program.rawValue, "pid": status.pid.map(String.init) ?? "",
                    "addresses": status.addresses.joined(separator: ","),
                ])
        }
        guard !isAnnounced, slots.allSatisfy(\.wasReady) else { return }
        isAnnounced = true
        if let announcement = options.announcement { Program.print(announcement) }
    }

    // MARK: Ends

    private func ended(_ index: Int) {
        guard let child = slots[index].child, let exit = child.reap() else { return }
        poller.remove(child.descriptor)
        slots[index].child = nil
        let program = slots[index].program
        let fields: KeyValuePairs<StaticString, String> = [
            "program": program.rawValue, "pid": String(child.pid), "exit": exit.description,
        ]
        guard !isStopping else { return log.notice("ended", fields) }
        log.error("died", fields)
        if case .code(let code) = exit, isConfigurationMistake(code) {
            log.error("configuration", ["program": program.rawValue, "action": "not started again; everything stops"])
            exitCode = .configuration
            stopAll()
        } else {
            restartLater(index)
        }
    }

    private func receiveSignals() {
        while let signal = signals.next() {
            switch signal {
            case SIGHUP:
                log.notice("reload")
                log.reopen()
                for slot in slots { slot.child?.signal(SIGHUP) }
            default:
                guard !isStopping else { continue }
                log.notice("stopping", ["signal": signal == SIGINT ? "INT" : "TERM"])
                stopAll()
            }
        }
    }

    private func stopAll() {
        isStopping = true
        for index in slots.indices {
            slots[index].startAt = nil
            slots[index].child?.signal(SIGTERM)
        }
    }

    private func killAll() {
        for slot in slots {
            guard let child = slot.child else { continue }
            log.error(
                "killed", ["program": slot.program.rawValue, "pid": String(child.pid), "reason": "SIGTERM ignored"])
            child.signal(SIGKILL)
        }
        if exitCode == .ok { exitCode = .software }
    }

    // MARK: Time

    private func milliseconds(until killAt: ContinuousClock.Instant?) -> Int32 {
        var next = killAt ?? clock.now + .seconds(60)
        if !isStopping {
            for slot in slots {
                if let due = slot.startAt { next = min(next, due) }
                if slot.child != nil, !slot.wasReady { next = min(next, clock.now + Self.readinessInterval) }
            }
        }
        let left = clock.now.duration(to: next)
        return Int32(
            max(
                0, min(60_000, left.components.seconds * 1000 + left.components.attoseconds / 1_000_000_000_000_000 + 1)
            ))
    }
}

/// What the daemons inherit: nothing of the operator's shell but this (docs/architecture.md).
enum DaemonEnvironment {
    private static let inherited = ["PATH", "TZ", "SWIFT_BACKTRACE"]

    static func values(_ environment: ZEnvironment) -> [String] {
        var values = ["ZCONFIG=\(environment["ZCONFIG"] ?? "")"]
        for name in inherited {
            if let value = getenv(name) { values.append("\(name)=\(String(cString: value))") }
        }
        if getenv("PATH") == nil { values.append("PATH=/usr/sbin:/usr/bin:/sbin:/bin") }
        return values
    }
}
