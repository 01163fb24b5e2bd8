import ChildProcesses
import Configuration
import Glibc
import ProgramKit
import Telemetry

/// The master: holds the listening sockets and a worker that serves them; reads no octet from the network.
///
/// The sockets stay open while a dead worker is replaced, so that clients wait instead of being turned away.
final class Master {
    /// Milliseconds that a daemon whose place we take gets to end.
    static let takeOverDeadline: Int64 = 20_000
    /// Seconds that a port may still be held by a worker of a master that has just died.
    static let bindDeadline = 10
    /// Seconds that a worker gets to end after SIGTERM.
    static let stopDeadline = 12

    private final class Child {
        let process: ChildProcess
        /// Its standard output: `ready`.
        let pipe: Int32
        let started: Int
        var isReady = false
        var isDraining = false

        init(process: ChildProcess, pipe: Int32, started: Int) {
            self.process = process
            self.pipe = pipe
            self.started = started
        }
    }

    private var settings: Settings
    private let log: EventLog
    private let signals: SignalSource
    private let pidFile: PidFile
    private let poller = Poller()
    private var sockets: [(address: ListenAddress, socket: ListeningSocket)] = []
    private var current: Child?
    /// Workers of an older configuration that finish their sessions, and one that is to replace the current.
    private var others: [Child] = []
    /// What holds again if the worker of a new configuration does not come to serve.
    private var beforeReload: (settings: Settings, sockets: [(address: ListenAddress, socket: ListeningSocket)])?
    private var failures = 0
    private var restartAt: Int?
    private var isStopping = false
    private let onReady: () -> Void
    private var hasReported = false

    /// - Parameter onReady: called once, when the first worker serves.
    init(
        _ settings: Settings, log: EventLog, signals: SignalSource, pidFile: PidFile, onReady: @escaping () -> Void
    ) throws(ListenError) {
        self.settings = settings
        self.log = log
        self.signals = signals
        self.pidFile = pidFile
        self.onReady = onReady
        sockets = try Self.bind(settings, keeping: [])
    }

    private static func bind(
        _ settings: Settings, keeping old: [(address: ListenAddress, socket: ListeningSocket)]
    ) throws(ListenError) -> [(address: ListenAddress, socket: ListeningSocket)] {
        var result: [(address: ListenAddress, socket: ListeningSocket)] = []
        let limit = WorkerProgram.monotonicSeconds() + bindDeadline
        for address in try ListenPlan.addresses(settings) {
            if let kept = old.first(where: { $0.address == address }) {
                result.append(kept)
                continue
            }
            while true {
                do throws(ListenError) {
                    result.append((address, try ListeningSocket(address, settings.configuration)))
                    break
                } catch {
                    // Our own worker of before may need a moment; a stranger is named at once.
                    guard error.code == .unavailable, error.description.contains("smtpserver"),
                        WorkerProgram.monotonicSeconds() < limit
                    else { throw error }
                    usleep(50_000)
                }
            }
        }
        return result
    }

    /// Until SIGTERM or SIGINT.
    func run() {
        poller.add(signals.descriptor, .read) { [unowned self] _ in
            while let signal = signals.next() { handle(signal) }
        }
        for (address, _) in sockets { log.notice("listening", ["address": "\(address)"]) }
        current = start()
        while !(isStopping && current == nil && others.isEmpty) {
            let pause = restartAt.map { max(0, $0 - WorkerProgram.monotonicSeconds()) * 1000 + 10 } ?? -1
            poller.wait(milliseconds: Int32(pause))
            if let due = restartAt, WorkerProgram.monotonicSeconds() >= due, !isStopping {
                restartAt = nil
                current = start()
            }
        }
        pidFile.remove()
        log.notice("stopped", ["pid": "\(getpid())"])
    }

    private func handle(_ signal: Int32) {
        switch signal {
        case SIGHUP: reload()
        case SIGTERM, SIGINT: stop()
        default: break
        }
    }

    // MARK: workers

    private func start() -> Child? {
        do throws(StartError) {
            return try spawn()
        } catch {
            log.error("worker-not-started", ["reason": error.description])
            scheduleRestart()
            return nil
        }
    }

    private func spawn() throws(StartError) -> Child {
        let ends = try StatusPipe.make()
        let null = open("/dev/null", O_RDWR | O_CLOEXEC)
        defer {
            close(ends.write)
            close(null)
        }
        var request = ChildRequest(
            path: Program.executablePath(),
            arguments: Array(CommandLine.arguments.dropFirst()).filter { $0 != "--detached" }
                + ["--worker", String(sockets.count)],
            environment: WorkerEnvironment.variables(settings))
        // Detached: nothing of the terminal is kept open.
        request.descriptors =
            [null, ends.write, settings.options.isDetached ? null : 2] + sockets.map { $0.socket.descriptor }
        request.identity = TrustedUser.identity(settings.environment)
        request.parentDeathSignal = SIGTERM
        let process: ChildProcess
        do throws(SpawnError) {
            process = try ChildProcess.spawn(request)
        } catch {
            close(ends.read)
            throw StartError(error.description)
        }
        let child = Child(process: process, pipe: ends.read, started: WorkerProgram.monotonicSeconds())
        poller.add(child.pipe, .read) { [unowned self, unowned child] _ in hear(child) }
        poller.add(process.descriptor, .read) { [unowned self, unowned child] _ in reap(child) }
        return child
    }

    private func hear(_ child: Child) {
        var buffer = [UInt8](repeating: 0, count: 64)
        let count = read(child.pipe, &buffer, buffer.count)
        if count <= 0 {
            if count == 0 || errno != EAGAIN { poller.remove(child.pipe) }
            return
        }
        guard !child.isReady else { return }
        child.isReady = true
        failures = 0
        if child !== current {
            // The new configuration serves: the worker of the old one takes no more and finishes.
            others.removeAll { $0 === child }
            if let old = current {
                old.isDraining = true
                old.process.signal(SIGUSR1)
                others.append(old)
            }
            current = child
            beforeReload = nil
            log.notice("reloaded", ["worker": "\(child.process.pid)"])
        }
        if !hasReported {
            hasReported = true
            onReady()
        }
    }

    private func reap(_ child: Child) {
        guard let exit = child.process.reap() else { return }
        poller.remove(child.process.descriptor)
        poller.remove(child.pipe)
        close(child.pipe)
        others.removeAll { $0 === child }
        if child === current {
            current = nil
            if !isStopping {
                log.error("worker-died", ["pid": "\(child.process.pid)", "reason": exit.description])
                scheduleRestart()
            }
        } else if !child.isDraining, !isStopping {
            log.error("reload-failed", ["pid": "\(child.process.pid)", "reason": exit.description])
            if let before = beforeReload { (settings, sockets) = before }
            beforeReload = nil
        }
    }

    /// At once for the first, then after 1, 2, 4, … 60 seconds while workers die before they serve.
    private func scheduleRestart() {
        let delay = failures == 0 ? 0 : min(60, 1 << min(failures - 1, 6))
        failures += 1
        restartAt = WorkerProgram.monotonicSeconds() + delay
    }

    // MARK: reload and stop

    /// A new worker with the new configuration; the old one goes on with its sessions. A bad configuration changes nothing.
    private func reload() {
        log.reopen()
        guard !isStopping else { return }
        // Their logs were rotated with ours, whatever becomes of the configuration. One that does not serve yet has just opened it.
        for child in others + (current.map { [$0] } ?? []) where child.isReady { child.process.signal(SIGHUP) }
        let fresh: Settings
        do throws(ConfigurationErrors) {
            fresh = try Settings.load(settings.options)
        } catch {
            for mistake in error.errors { log.error("configuration-refused", ["reason": mistake.description]) }
            return
        }
        let before = (settings: settings, sockets: sockets)
        do throws(ListenError) {
            sockets = try Self.bind(fresh, keeping: before.sockets)
        } catch {
            log.error("configuration-refused", ["reason": error.description])
            return
        }
        settings = fresh
        do throws(StartError) {
            let child = try spawn()
            if current == nil {
                current = child
            } else {
                others.append(child)
                beforeReload = before
            }
            restartAt = nil
        } catch {
            log.error("worker-not-started", ["reason": error.description])
            (settings, sockets) = before
        }
    }

    private func stop() {
        guard !isStopping else { return }
        isStopping = true
        restartAt = nil
        sockets = []
        let children = others + (current.map { [$0] } ?? [])
        for child in children { child.process.signal(SIGTERM) }
        for child in children {
            if child.process.wait(milliseconds: Int32(Self.stopDeadline * 1000)) == nil {
                log.error("worker-killed", ["pid": "\(child.process.pid)", "reason": "did not end after SIGTERM"])
                child.process.signal(SIGKILL)
                _ = child.process.wait(milliseconds: 1000)
            }
            poller.remove(child.process.descriptor)
            poller.remove(child.pipe)
            close(child.pipe)
        }
        others = []
        current = nil
    }
}

/// A process of ours that could not be started.
struct StartError: Error, CustomStringConvertible {
    let description: String
    init(_ description: String) { self.description = description }
}

/// Where a child tells that it serves.
enum StatusPipe {
    static func make() throws(StartError) -> (read: Int32, write: Int32) {
        var ends: [Int32] = [-1, -1]
        guard pipe(&ends) == 0 else { throw StartError("cannot make a pipe: \(String(cString: strerror(errno)))") }
        return (ends[0], ends[1])
    }
}

/// The identity that workers get when the master is root (`TRUSTEDUSER`).
enum TrustedUser {
    static func identity(_ environment: ZEnvironment) -> ChildRequest.Identity? {
        guard geteuid() == 0, let name = environment["TRUSTEDUSER"], let account = getpwnam(name) else { return nil }
        return ChildRequest.Identity(uid: account.pointee.pw_uid, gid: account.pointee.pw_gid)
    }

    /// Why `TRUSTEDUSER` cannot be used; `nil` if it can.
    static func problem(_ environment: ZEnvironment) -> String? {
        guard geteuid() == 0, let name = environment["TRUSTEDUSER"] else { return nil }
        return getpwnam(name) == nil ? "TRUSTEDUSER '\(name)' is no user of this system" : nil
    }
}
