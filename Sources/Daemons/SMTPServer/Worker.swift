import ChildProcesses
import Configuration
import Glibc
import NIOCore
import NIOPosix
import Postoffice
import ProgramKit
import Telemetry

/// A worker's event loops and the sessions on them.
final class Worker: Sendable {
    /// Descriptors kept for files, the policy service and the runtime.
    private static let reservedDescriptors = 128

    let settings: Settings
    let intake: Intake
    let log: EventLog
    let sessions = SessionCount()
    private let pool: BlockingPool
    private let group: MultiThreadedEventLoopGroup
    private let contexts: [ObjectIdentifier: NIOLoopBound<LoopContext>]
    private let maximumSessions: Int

    /// Event loops: a processor is left to the policy service and the writing of files. On two processors one loop refuses half as
    /// many recipients again as two do, at two thirds of their cost: fewer threads wake each other up.
    static let defaultLoops = max(1, System.coreCount - 1)

    init(
        _ settings: Settings, log: EventLog, sessionLog: SessionLog?, timeouts: Timeouts = Timeouts(),
        threads: Int = defaultLoops, poolThreads: Int = BlockingPool.defaultThreads,
        maximumWaiting: Int = PolicyClient.defaultMaximumWaiting
    ) throws(PostofficeError) {
        self.settings = settings
        self.log = log
        maximumSessions = max(16, Self.raiseDescriptorLimit() - Self.reservedDescriptors)
        pool = BlockingPool(threads: poolThreads)
        let intake = try Intake(settings, pool: pool, log: log)
        self.intake = intake
        intake.conditions.look(countsQueue: true)
        group = MultiThreadedEventLoopGroup(numberOfThreads: threads)
        var contexts: [ObjectIdentifier: NIOLoopBound<LoopContext>] = [:]
        for loop in group.makeIterator() {
            let sessions = sessions
            let made = loop.submit {
                let context = LoopContext(
                    loop: loop, settings: settings, intake: intake, log: log, sessionLog: sessionLog,
                    sessionCount: sessions, timeouts: timeouts, maximumWaiting: maximumWaiting)
                context.begin()
                return NIOLoopBound(context, eventLoop: loop)
            }
            // A closure that does not throw, on a loop that runs.
            guard let context = try? made.wait() else { preconditionFailure("an event loop did not start") }
            contexts[ObjectIdentifier(loop)] = context
        }
        self.contexts = contexts
        let conditions = intake.conditions
        let pool = pool
        let round = NIOLoopBoundBox.makeBoxSendingValue(0, eventLoop: group.next())
        round.eventLoop.scheduleRepeatedTask(initialDelay: .seconds(1), delay: .seconds(1)) { _ in
            round.value += 1
            let countsQueue = round.value % 3 == 0
            pool.submit { conditions.look(countsQueue: countsQueue) }
        }
    }

    /// Serves a socket that is bound and listens.
    func serve(_ socket: Int32) throws -> any Channel {
        let contexts = contexts
        let log = log
        let sessions = sessions
        let limit = maximumSessions
        let channel = try ServerBootstrap(group: group)
            .serverChannelOption(.maxMessagesPerRead, value: 16)
            .childChannelOption(.maxMessagesPerRead, value: 1)
            // Many a script sends all it has to say, closes its side, and waits for the answers.
            .childChannelOption(.allowRemoteHalfClosure, value: true)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    guard sessions.now < limit, let context = contexts[ObjectIdentifier(channel.eventLoop)] else {
                        log.warning("no-descriptors", ["sessions": "\(sessions.now)"])
                        throw ChannelError.eof
                    }
                    let size = ReceiveSize()
                    try channel.syncOptions?.setOption(.recvAllocator, value: SessionReceiveAllocator(size: size))
                    let handler = SessionHandler(context.value, client: ClientAddress(channel), size: size)
                    try channel.pipeline.syncOperations.addHandler(handler)
                }
            }
            .withBoundSocket(socket).wait()
        // NIO has called listen(2) with 128, whatever its backlog option says about a socket that it was given.
        _ = listen(socket, Int32(settings.configuration.listenQueueSize))
        return channel
    }

    /// Ends every session with 421, those that store a message after its answer.
    func stopSessions() {
        for context in contexts.values {
            context.eventLoop.execute {
                context.value.isStopping = true
                for session in context.value.wheel.all { session.stop() }
            }
        }
    }

    /// Writes the lines that the loops have collected.
    func flushLog() {
        for context in contexts.values { try? context.eventLoop.submit { context.value.refusals.flush() }.wait() }
    }

    /// Whether nothing is left to be done.
    var isIdle: Bool { sessions.now == 0 && !intake.isStoring }

    /// Ends the loops and threads; no session may be left.
    func shutDown() {
        for context in contexts.values {
            try? context.eventLoop.submit {
                context.value.policy.stop()
                context.value.refusals.flush()
            }.wait()
        }
        pool.stop()
        try? group.syncShutdownGracefully()
    }

    /// To the hard limit; the descriptors that this process may have.
    private static func raiseDescriptorLimit() -> Int {
        var limit = rlimit()
        guard getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0 else { return 1024 }
        let wanted = min(limit.rlim_max, 1 << 20)
        if limit.rlim_cur < wanted {
            limit.rlim_cur = wanted
            _ = setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
            _ = getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
        }
        return Int(clamping: limit.rlim_cur)
    }
}

/// `smtpserver --worker`: serves sockets of its master until it is told to end.
enum WorkerProgram {
    /// The first inherited socket.
    static let firstSocket: Int32 = 3
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
        let worker: Worker
        let sessionLog: SessionLog?
        var channels: [any Channel] = []
        do {
            sessionLog =
                options.logFile == nil && !options.logsToSyslog
                ? nil : try SessionLog(path: options.logFile, usesSyslog: options.logsToSyslog)
            worker = try Worker(settings, log: log, sessionLog: sessionLog)
            for index in 0..<sockets { channels.append(try worker.serve(firstSocket + Int32(index))) }
        } catch {
            log.error("worker-failed", ["reason": "\(error)"])
            Program.fail("smtpserver: \(error)", .osError)
        }
        log.notice("worker-started", ["sockets": "\(sockets)", "postoffice": settings.postoffice])
        Program.print("ready")
        let poller = Poller()
        poller.add(signals.descriptor, .read) { _ in }
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
