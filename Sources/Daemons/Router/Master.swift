import AgentProtocol
import ChildProcesses
import Configuration
import Glibc
import PolicyEngine
import Postoffice
import ProgramKit
import SpoolFormat
import Telemetry

/// The router's master: finds what is to be routed, gives it to workers, keeps the children alive. One thread.
final class Master {
    /// Milliseconds between two looks at `router/`.
    static let scanInterval: Int64 = 15_000
    /// With more than that waiting, nothing is gained by a look.
    static let scanLimit = 50_000
    /// Milliseconds for the children to finish.
    static let stopTime: Int64 = 10_000
    private let postoffice: Postoffice
    private let configuration: MailConfiguration
    private let signals: SignalSource
    private let log: EventLog
    private let poller = Poller()
    private let receiver: NoticeReceiver
    private var sockets: RouterSockets?
    private let metrics = RouterMetrics()
    private let policy: ManagedChild
    private let freezer: ManagedChild
    private var workers: [ManagedChild] = []
    private var splitters: [LineSplitter] = []
    private var queue = WorkQueue()
    private var deferred = DeferredSchedule()
    private var nextScan: Int64 = 0
    private var nextDeferred: Int64 = 0
    private var nextFreezer: Int64 = 0
    private var isStopping = false
    private var buffer = [UInt8](repeating: 0, count: 65536)

    /// `request`: how a role of this program is started.
    init(
        postoffice: Postoffice, configuration: MailConfiguration, workers count: Int, signals: SignalSource,
        log: EventLog, request: (String) -> ChildRequest
    ) throws(PostofficeError) {
        self.postoffice = postoffice
        self.configuration = configuration
        self.signals = signals
        self.log = log
        receiver = try NoticeReceiver(socketPath: "\(postoffice.root)/.router.notify")
        policy = ManagedChild("policy", request("policy"), poller: poller, log: log)
        freezer = ManagedChild("freezer", request("freezer"), poller: poller, log: log, runsOnce: true)
        for index in 0..<count {
            let worker = ManagedChild("worker \(index + 1)", request("worker"), poller: poller, log: log)
            worker.onData = { [unowned self] in receive(index) }
            worker.onStart = { [unowned self] in
                splitters[index] = LineSplitter(maximumLineLength: 1024)
                queue.added(index)
            }
            worker.onEnd = { [unowned self] exit in ended(index, exit) }
            workers.append(worker)
            splitters.append(LineSplitter(maximumLineLength: 1024))
        }
        policy.onData = { [unowned self] in discard(policy.socket) }
        freezer.onData = { [unowned self] in discard(freezer.socket) }
    }

    private var children: [ManagedChild] { [policy, freezer] + workers }

    /// Returns when all is stopped.
    func run() {
        poller.add(signals.descriptor, .read) { [unowned self] _ in takeSignals() }
        poller.add(receiver.descriptor, .read) { [unowned self] _ in takeNotices() }
        openSockets()
        recover()
        var stopBy: Int64?
        while true {
            let now = SteadyClock.milliseconds
            if isStopping {
                let limit = stopBy ?? now + Self.stopTime
                if stopBy == nil { for child in children { child.stop() } }
                stopBy = limit
                guard children.contains(where: \.isRunning), now < limit else { break }
                poller.wait(milliseconds: Int32(clamping: limit - now))
                continue
            }
            if now >= nextFreezer {
                freezer.run(at: now)
                nextFreezer = now + freezerInterval
            }
            for child in children { if let due = child.startDue, due <= now { child.start(now) } }
            if now >= nextScan { scan(now) }
            if now >= nextDeferred { retryDeferred(now) }
            feed()
            metrics.waiting.set(queue.waiting)
            let events = [nextScan, nextDeferred, nextFreezer] + children.compactMap(\.startDue)
            let wake = events.min() ?? now
            poller.wait(milliseconds: Int32(clamping: max(0, wake - SteadyClock.milliseconds)))
        }
        for child in children where child.isRunning {
            log.warning("killed", ["child": child.name])
            child.signal(SIGKILL)
        }
    }

    // MARK: finding work

    /// Milliseconds between two looks into the freezer: an hour, unless mail gets too old sooner.
    private var freezerInterval: Int64 {
        let age = configuration.freezerAgeing?.maximumAge ?? 36_000
        return min(3_600_000, max(1000, age * 100))
    }

    private func takeSignals() {
        while let signal = signals.next() {
            if signal == SIGHUP {
                log.notice("reload")
                log.reopen()
                for child in children { child.signal(SIGHUP) }
                nextScan = 0
                nextDeferred = 0
                nextFreezer = 0
            } else {
                isStopping = true
            }
        }
    }

    private func takeNotices() {
        for notice in receiver.receive() {
            switch notice {
            case .scan: nextScan = 0
            case .new(_, let ids): for id in ids { queue.offer(id) }
            }
        }
    }

    private func scan(_ now: Int64) {
        nextScan = now + Self.scanInterval
        guard queue.waiting < Self.scanLimit else { return }
        queue.age()
        do throws(PostofficeError) {
            let present = try postoffice.entries(.router)
            metrics.sawOldest(present.first)
            for id in present { queue.offer(id) }
        } catch {
            log.error("scan", ["reason": error.description])
        }
    }

    private func retryDeferred(_ now: Int64) {
        nextDeferred = now + DeferredSchedule.interval * 1000
        do throws(PostofficeError) {
            let present = try postoffice.entries(.deferred)
            metrics.deferred.set(present.count)
            for id in deferred.take(present, now: Int64(time(nil))) {
                try postoffice.move(id, from: .deferred, to: .router)
                queue.offer(id)
            }
        } catch {
            log.error("deferred", ["reason": error.description])
        }
    }

    /// What a crash has left: a queued message without a control file, and drafts that nobody finishes.
    private func recover() {
        do throws(PostofficeError) {
            let orphans = try Recovery.orphans(postoffice)
            for id in orphans {
                do throws(PostofficeError) {
                    try postoffice.requeue(id)
                } catch  where error.kind == .notFound {
                    // Delivered and removed since we looked.
                    continue
                }
                queue.offer(id)
            }
            if !orphans.isEmpty {
                log.warning("requeued", ["messages": "\(orphans.count)", "reason": "no control file"])
            }
            for name in try Recovery.removeLeftovers(
                postoffice, olderThan: Int64(time(nil)) - configuration.houseKeeping.publicAge)
            {
                log.notice("removed", ["file": "public/\(name)", "reason": "older than PUBLICMAXAGE"])
            }
        } catch {
            log.error("recovery", ["reason": error.description])
        }
    }

    /// Without its sockets mail is routed all the same.
    private func openSockets() {
        sockets = RouterSockets(postoffice, configuration, poller, metrics, log) { [unowned self] in
            // With so much to do it does not look what else there is.
            (queue.ids, queue.waiting >= Self.scanLimit)
        }
    }

    // MARK: workers

    private func feed() {
        var lines: [Int: String] = [:]
        while let (worker, id) = queue.next() { lines[worker, default: ""] += "\(id)\n" }
        for (worker, text) in lines {
            let octets = Array(text.utf8)
            // A worker has at most a window of short lines, far less than its socket holds.
            guard send(workers[worker].socket, octets, octets.count, Int32(MSG_NOSIGNAL)) == octets.count else {
                // It is dead but not yet reaped: these jobs never reached it, so none of them is to blame.
                if errno != EPIPE {
                    log.error(
                        "worker-stuck", ["child": workers[worker].name, "reason": String(cString: strerror(errno))])
                }
                workers[worker].signal(SIGKILL)
                _ = queue.died(worker, peacefully: true)
                continue
            }
        }
    }

    private func receive(_ index: Int) {
        while true {
            let socket = workers[index].socket
            guard socket >= 0 else { return }
            let count = read(socket, &buffer, buffer.count)
            if count == 0 {
                // It will be reaped in a moment; until then there is nothing to read.
                poller.remove(socket)
                return
            }
            guard count > 0 else {
                if errno == EINTR { continue }
                return
            }
            // As names of messages have it: by the clock of the machine.
            let now = WallClock.milliseconds
            buffer.withUnsafeBytes { raw in
                splitters[index].append(UnsafeRawBufferPointer(rebasing: raw[0..<count])) { answered($0, index, now) }
            }
            if count < buffer.count { return }
        }
    }

    private func discard(_ socket: Int32) {
        guard socket >= 0, read(socket, &buffer, buffer.count) == 0 else { return }
        poller.remove(socket)
    }

    private func answered(_ line: String, _ index: Int, _ now: Int64) {
        let words = line.split(separator: " ", maxSplits: 2)
        guard words.count >= 2, let id = SpoolID(words[1]) else { return }
        workers[index].prospered()
        switch words[0] {
        case "done", "gone": queue.finished(id, worker: index, .settled)
        case "deferred", "failed": queue.finished(id, worker: index, .forgotten)
        default: return log.warning("worker-said", ["line": line])
        }
        let outcome = RouterMetrics.Outcome(rawValue: String(words[0])) ?? .routed
        metrics.answered(id, outcome, milliseconds: now)
    }

    private func ended(_ index: Int, _ exit: ChildProcess.Exit) {
        for id in queue.died(index, peacefully: exit == .code(0)) {
            metrics.poison.add()
            quarantine(id)
        }
    }

    /// Two workers died of it.
    private func quarantine(_ id: SpoolID) {
        do throws(PostofficeError) {
            if try Recovery.hasControl(postoffice, id) {
                // It was routed; what killed the workers came behind.
                guard try postoffice.claimForQueue(id) != .gone else { return }
                try postoffice.settle([id])
                log.error("poison", ["queue-id": "\(id)", "reason": "workers died after it was routed"])
                return
            }
            // A claim that stays would be taken for a message to be routed again.
            unlink(postoffice.path(.queue, id))
            unlink(postoffice.path(.transport, id))
            try postoffice.move(id, from: .router, to: .postman, suffix: ":poison")
            let own = postoffice.newID()
            log.error(
                "poison",
                [
                    "queue-id": "\(id)", "moved-to": "postman/\(id):poison", "report-id": "\(own)",
                    "reason": "two workers died of it",
                ])
            let message = PoisonReport.message(
                about: id, as: own, hostName: configuration.hostName, time: Int64(time(nil)))
            try postoffice.submit(own, [message])
            queue.offer(own)
        } catch {
            log.error("poison", ["queue-id": "\(id)", "reason": error.description])
        }
    }
}
