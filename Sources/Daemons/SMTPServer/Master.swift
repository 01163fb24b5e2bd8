import ChildProcesses
import Configuration
import Glibc
import ProgramKit
import Telemetry
import TransportSecurity

/// The master: holds the listening sockets and a worker that serves them; reads no octet from the network.
///
/// The sockets stay open while a dead worker is replaced, so that clients wait instead of being turned away.
final class Master {
    /// Milliseconds that a daemon whose place we take gets to end.
    static let takeOverDeadline: Int64 = 20_000
    /// Seconds that a port may still be held by a worker of a master that has just died.
    static let bindDeadline = 10
    /// Milliseconds for content filters to end by themselves when the last worker has ended.
    private static let filterDeadline: Int64 = 1000
    /// Seconds that a worker gets to end after SIGTERM.
    static let stopDeadline = 12

    private final class Child {
        let process: ChildProcess
        /// Its standard output: `ready`.
        let pipe: Int32
        /// Our end of the ``WorkerLink``.
        let link: Int32
        let recorder: FlightRecorder
        /// Of the configuration that it was started with.
        let tlsPlan: TLSPlan
        var isReady = false
        var isDraining = false

        init(process: ChildProcess, pipe: Int32, link: Int32, recorder: FlightRecorder, tlsPlan: TLSPlan) {
            self.process = process
            self.pipe = pipe
            self.link = link
            self.recorder = recorder
            self.tlsPlan = tlsPlan
        }

        deinit {
            close(pipe)
            close(link)
        }
    }

    private struct Before {
        let settings: Settings
        let sockets: Sockets
        let tlsPlan: TLSPlan
        let tlsBundle: TLSBundle
    }

    private typealias Sockets = [(point: ListenPoint, socket: ListeningSocket)]
    /// Milliseconds between looks at the files of certificates.
    private static let certificateInterval: Int64 = 5000

    private var settings: Settings
    private let log: EventLog
    private let signals: SignalSource
    private let pidFile: PidFile
    private let poller = Poller()
    private var sockets: Sockets = []
    /// What systemd has given us; it listens already.
    private let activated: Sockets
    private var current: Child?
    /// Workers of an older configuration that finish their sessions, and one that is to replace the current.
    private var others: [Child] = []
    /// What holds again if the worker of a new configuration does not come to serve.
    private var beforeReload: Before?
    private var tlsPlan: TLSPlan
    private var tlsBundle: TLSBundle
    private var tlsSignature: [TLSMaterial.Signature]
    private var nextCertificateLook: Int64 = 0
    private var credentials: CredentialService?
    /// Of all filters that a worker may know; by program.
    private var filters: [String: FilterService] = [:]
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
        tlsPlan = TLSPlan(settings)
        tlsSignature = tlsPlan.signature
        do throws(TLSFailure) {
            tlsBundle = try tlsPlan.read()
        } catch {
            throw ListenError("TLS: \(error)", .configuration)
        }
        activated = try ActivatedSockets.take(settings)
        sockets = try Self.bind(settings, activated, keeping: [], log: log)
        for warning in tlsPlan.warnings(tlsBundle) { log.warning("certificate", ["problem": warning]) }
        serveCredentials()
        serveFilters()
    }

    /// A socket for each content filter. Those of an older configuration stay: a worker that finishes its sessions may need them.
    private func serveFilters() {
        for problem in FilterPlace.problems(settings) { log.warning("filter-unusable", ["reason": problem]) }
        for program in settings.filterPrograms where filters[program] == nil {
            do throws(StartError) {
                filters[program] = try FilterService(poller, program: program, log: log) { [unowned self] in settings }
            } catch {
                log.error("filter-not-served", ["filter": program, "reason": error.description])
            }
        }
    }

    /// A socket for questions about passwords while somebody may ask them.
    private func serveCredentials() {
        // It stays when a new configuration has no use for it: workers of the old one may.
        guard settings.offersAuthentication, credentials == nil else { return }
        do throws(StartError) {
            credentials = try CredentialService(
                poller, path: settings.credentialSocket, log: log
            ) { [unowned self] in settings }
        } catch {
            log.error("credentials-not-served", ["reason": error.description])
        }
    }

    /// What the service manager has given us stands for all network addresses.
    private static func bind(
        _ settings: Settings, _ activated: Sockets, keeping old: Sockets, log: EventLog
    ) throws(ListenError) -> Sockets {
        var result = activated
        let limit = WorkerProgram.monotonicSeconds() + bindDeadline
        let points =
            activated.isEmpty
            ? try ListenPlan.points(settings) : [ListenPlan.submission(settings)].compactMap { $0 }
        for point in points {
            if let kept = old.first(where: { $0.point.place == point.place }) {
                result.append((point, kept.socket))
                continue
            }
            while true {
                do throws(ListenError) {
                    let groups = [settings.configuration] + settings.configuration.groups
                    result.append((point, try ListeningSocket(point.place, groups[point.role.group])))
                    break
                } catch {
                    if case .local = point.place {
                        // Mail from the network goes on without it.
                        log.error("no-submission-socket", ["reason": error.description])
                        break
                    }
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
        for (point, _) in sockets {
            log.notice("listening", ["address": "\(point.place)", "service": point.role.service.rawValue])
        }
        current = start()
        while !(isStopping && current == nil && others.isEmpty) {
            poller.wait(milliseconds: pause)
            credentials?.tick()
            for filter in filters.values { filter.tick() }
            lookAtCertificates()
            if let due = restartAt, WorkerProgram.monotonicSeconds() >= due, !isStopping {
                restartAt = nil
                current = start()
            }
        }
        endFilters()
        pidFile.remove()
        log.notice("stopped", ["pid": "\(getpid())"])
    }

    /// They have read the end of their input when the workers ended.
    private func endFilters() {
        let limit = SteadyClock.milliseconds + Self.filterDeadline
        while filters.values.contains(where: { !$0.isIdle }), SteadyClock.milliseconds < limit {
            poller.wait(milliseconds: 100)
        }
        for filter in filters.values { filter.killAll() }
    }

    /// Milliseconds until something is due; −1: nothing is.
    private var pause: Int32 {
        let restart = restartAt.map { Int64(max(0, $0 - WorkerProgram.monotonicSeconds())) * 1000 + 10 }
        let now = SteadyClock.milliseconds
        let look = tlsPlan.isEmpty ? nil : max(0, nextCertificateLook - now)
        let checker = credentials?.nextDeadline.map { max(0, $0 - now) }
        let filter = filters.values.compactMap(\.nextDeadline).min().map { max(0, $0 - now) }
        return [restart, look, checker, filter].compactMap { $0 }.min().map { Int32(clamping: $0) } ?? -1
    }

    // MARK: certificates

    /// Files that have changed are read, tried, and given to the worker; what cannot be used changes nothing.
    private func lookAtCertificates() {
        let now = SteadyClock.milliseconds
        guard !tlsPlan.isEmpty, now >= nextCertificateLook, !isStopping else { return }
        nextCertificateLook = now + Self.certificateInterval
        let signature = tlsPlan.signature
        guard signature != tlsSignature else { return }
        tlsSignature = signature
        do throws(TLSFailure) {
            tlsBundle = try tlsPlan.read()
        } catch {
            log.error("certificates-refused", ["reason": error.description, "in-use": "those before"])
            return
        }
        for warning in tlsPlan.warnings(tlsBundle) { log.warning("certificate", ["problem": warning]) }
        for child in others + (current.map { [$0] } ?? []) where !child.tlsPlan.isEmpty && !child.isDraining {
            send(tlsBundle, to: child)
        }
    }

    private func send(_ bundle: TLSBundle, to child: Child) {
        do throws(WorkerLink.Broken) {
            try WorkerLink.send(bundle, to: child.link)
        } catch {
            log.error("certificates-not-sent", ["worker": "\(child.process.pid)", "reason": error.description])
        }
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
        let memory: SharedMemory
        let link: (ours: Int32, theirs: Int32)
        do {
            memory = try SharedMemory(size: FlightRecorder.size)
            link = try UnixSocket.pair()
        } catch {
            close(ends.read)
            throw StartError("\(error)")
        }
        defer { close(link.theirs) }
        var request = ChildRequest(
            path: Program.executablePath(),
            arguments: Array(CommandLine.arguments.dropFirst()).filter { $0 != "--detached" }
                + ["--worker", String(sockets.count)],
            environment: WorkerEnvironment.variables(settings, roles: sockets.map(\.point.role)))
        // Detached: nothing of the terminal is kept open.
        request.descriptors =
            [null, ends.write, settings.options.isDetached ? null : 2, link.theirs, memory.descriptor]
            + sockets.map { $0.socket.descriptor }
        request.identity = TrustedUser.identity(settings.environment)
        request.parentDeathSignal = SIGTERM
        let process: ChildProcess
        do throws(SpawnError) {
            process = try ChildProcess.spawn(request)
        } catch {
            close(ends.read)
            close(link.ours)
            throw StartError(error.description)
        }
        let child = Child(
            process: process, pipe: ends.read, link: link.ours, recorder: FlightRecorder(memory), tlsPlan: tlsPlan)
        if !tlsPlan.isEmpty { send(tlsBundle, to: child) }
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
        others.removeAll { $0 === child }
        if child === current {
            current = nil
            if !isStopping {
                log.error("worker-died", ["pid": "\(child.process.pid)", "reason": exit.description])
                tellLastCommands(of: child)
                scheduleRestart()
            }
        } else if !child.isDraining, !isStopping {
            log.error("reload-failed", ["pid": "\(child.process.pid)", "reason": exit.description])
            if let before = beforeReload { restore(before) }
            beforeReload = nil
        }
    }

    /// What its sessions had said last: the crash was at one of them, if it was at a command.
    private func tellLastCommands(of child: Child) {
        for entry in child.recorder.entries {
            log.error(
                "worker-last-command",
                [
                    "pid": "\(child.process.pid)", "session": entry.session, "client": entry.client,
                    "command": entry.command,
                ])
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
        let before = Before(settings: settings, sockets: sockets, tlsPlan: tlsPlan, tlsBundle: tlsBundle)
        let plan = TLSPlan(fresh)
        do {
            let signature = plan.signature
            let bundle = try plan.read()
            sockets = try Self.bind(fresh, activated, keeping: before.sockets, log: log)
            (tlsPlan, tlsBundle, tlsSignature) = (plan, bundle, signature)
        } catch {
            log.error("configuration-refused", ["reason": "\(error)"])
            return
        }
        settings = fresh
        serveCredentials()
        serveFilters()
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
            restore(before)
        }
    }

    private func restore(_ before: Before) {
        (settings, sockets) = (before.settings, before.sockets)
        (tlsPlan, tlsBundle) = (before.tlsPlan, before.tlsBundle)
        // Looked at again soon: the files may be other ones than those that were in use.
        tlsSignature = []
        nextCertificateLook = 0
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
        }
        others = []
        current = nil
        credentials = nil
    }
}
