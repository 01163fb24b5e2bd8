import ChildProcesses
import Configuration
import Glibc
import NIOCore
import Postoffice
import ProgramKit
import Telemetry
import TransportSecurity

/// `smtpserver --worker`: serves sockets of its master until it is told to end.
enum WorkerProgram {
    /// What a worker inherits beside 0, 1 and 2: its end of the ``WorkerLink``, the ``FlightRecorder``, and sockets.
    static let linkDescriptor: Int32 = 3
    static let recorderDescriptor: Int32 = 4
    static let firstSocket: Int32 = 5
    /// Seconds that a worker gets after SIGUSR1 for the sessions it has.
    static let drainDeadline = 600
    /// Seconds that sessions get after SIGTERM to store what they have.
    static let stopDeadline = 8

    static func run(_ settings: Settings, sockets: Int) -> Never {
        let signals = SignalSource([SIGTERM, SIGINT, SIGHUP, SIGUSR1])
        let options = settings.options
        let log = Program.log(
            "smtpserver", settings.environment, file: options.eventLogFile, isForeground: options.isForeground,
            debug: options.debugLevel > 0)
        // Its memory holds keys and, for moments, passwords.
        ProcessIdentity.forbidDumps()
        let worker: Worker
        let sessionLog: SessionLog?
        let tls: TLSContexts?
        var channels: [any Channel] = []
        do {
            sessionLog = try SessionLog.wanted(by: settings)
            let plan = TLSPlan(settings)
            tls =
                plan.isEmpty
                ? nil
                : try TLSContexts(plan, try WorkerLink.receive(from: linkDescriptor), threads: System.coreCount)
            tls?.logCertificates(log)
            let recorder = FlightRecorder(
                try SharedMemory(descriptor: recorderDescriptor, size: FlightRecorder.size))
            worker = try Worker(
                settings, log: log, sessionLog: sessionLog, timeouts: Timeouts(settings.configuration), tls: tls,
                recorder: recorder)
            for (index, role) in WorkerEnvironment.roles.prefix(sockets).enumerated() {
                channels.append(try worker.serve(firstSocket + Int32(index), role))
            }
        } catch {
            log.error("worker-failed", ["reason": "\(error)"])
            Program.fail("smtpserver: \(error)", .osError)
        }
        worker.serveMetrics()
        log.notice("worker-started", ["sockets": "\(sockets)", "postoffice": settings.postoffice])
        Program.print("ready")
        let poller = Poller()
        poller.add(signals.descriptor, .read) { _ in }
        if let tls { poller.add(linkDescriptor, .read) { [unowned poller] _ in takeCertificates(tls, log, poller) } }
        var isDraining = false
        var deadline = 0
        while true {
            poller.wait(milliseconds: isDraining ? 100 : -1)
            switch signals.next() {
            case SIGHUP?:
                log.reopen()
                sessionLog?.reopen()
            case SIGUSR1?:
                guard !isDraining else { continue }
                isDraining = true
                worker.drain()
                log.reopen()
                log.notice("worker-draining", ["sessions": "\(worker.sessions.now)"])
                close(channels)
                channels = []
                deadline = monotonicSeconds() + drainDeadline
            case SIGINT?:
                break  // From a terminal it reaches the master too, which tells us.
            case SIGTERM?:
                close(channels)
                end(worker, log)
            default:
                break
            }
            if isDraining, worker.isIdle || monotonicSeconds() > deadline { end(worker, log) }
        }
    }

    /// The master has found other keys or certificates in their files.
    private static func takeCertificates(_ tls: TLSContexts, _ log: EventLog, _ poller: Poller) {
        do {
            try tls.replace(try WorkerLink.receive(from: linkDescriptor))
            log.notice("certificates-reloaded")
            tls.logCertificates(log)
        } catch let error as WorkerLink.Broken {
            // The master is gone; who takes its place starts a worker of its own.
            log.warning("master-lost", ["reason": error.description])
            poller.remove(linkDescriptor)
        } catch {
            log.error("certificates-refused", ["reason": "\(error)"])
        }
    }

    private static func close(_ channels: [any Channel]) {
        for channel in channels { try? channel.close().wait() }
    }

    private static func end(_ worker: Worker, _ log: EventLog) -> Never {
        worker.stopSessions()
        let limit = monotonicSeconds() + stopDeadline
        while !worker.isIdle, monotonicSeconds() < limit { usleep(5000) }
        worker.flushLog()
        log.notice("worker-ended", ["sessions": "\(worker.sessions.now)"])
        exit(0)
    }

    static func monotonicSeconds() -> Int {
        var now = timespec()
        clock_gettime(CLOCK_MONOTONIC, &now)
        return now.tv_sec
    }
}
