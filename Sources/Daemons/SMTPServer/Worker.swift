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
    private let accounts: LocalAccounts
    private let pool: BlockingPool
    private let filters: ContentFilters
    private let group: MultiThreadedEventLoopGroup
    private let contexts: [ObjectIdentifier: NIOLoopBound<LoopContext>]
    private let maximumSessions: Int

    /// Event loops: a processor is left to the policy service and the writing of files. On two processors one loop refuses half as
    /// many recipients again as two do, at two thirds of their cost: fewer threads wake each other up.
    static let defaultLoops = max(1, System.coreCount - 1)

    init(
        _ settings: Settings, log: EventLog, sessionLog: SessionLog?, timeouts: Timeouts = Timeouts(),
        threads: Int = defaultLoops, poolThreads: Int = BlockingPool.defaultThreads,
        maximumWaiting: Int = PolicyClient.defaultMaximumWaiting, tls: TLSContexts? = nil,
        recorder: FlightRecorder? = nil,
        loadAverage: @escaping HostConditions.LoadAverage = HostConditions.systemLoadAverage,
        accountLookUp: LocalAccounts.LookUp? = nil
    ) throws(PostofficeError) {
        self.settings = settings
        self.log = log
        maximumSessions = max(16, Self.raiseDescriptorLimit() - Self.reservedDescriptors)
        pool = BlockingPool(threads: poolThreads)
        let intake = try Intake(settings, pool: pool, loadAverage: loadAverage, log: log)
        self.intake = intake
        if !settings.filterPrograms.isEmpty { try intake.postoffice.admitFilters() }
        intake.conditions.look(countsQueue: true)
        group = MultiThreadedEventLoopGroup(numberOfThreads: threads)
        let filters = ContentFilters(settings, loop: group.next(), log: log)
        self.filters = filters
        let lookUp: LocalAccounts.LookUp = { LocalAccount.lookedUp($0, settings) }
        let accounts = LocalAccounts(accountLookUp ?? lookUp)
        self.accounts = accounts
        var contexts: [ObjectIdentifier: NIOLoopBound<LoopContext>] = [:]
        for (index, loop) in group.makeIterator().enumerated() {
            let sessions = sessions
            let made = loop.submit {
                let context = LoopContext(
                    loop: loop, settings: settings, intake: intake, log: log, sessionLog: sessionLog,
                    sessionCount: sessions, accounts: accounts, timeouts: timeouts,
                    maximumWaiting: maximumWaiting, tls: tls,
                    recorder: recorder?.slot(index), filters: filters)
                context.begin()
                return NIOLoopBound(context, eventLoop: loop)
            }
            // A closure that does not throw, on a loop that runs.
            guard let context = try? made.wait() else { preconditionFailure("an event loop did not start") }
            contexts[ObjectIdentifier(loop)] = context
        }
        self.contexts = contexts
        filters.begin()
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
    func serve(_ socket: Int32, _ role: ListenerRole = ListenerRole()) throws -> any Channel {
        let profile = settings.profile(role)
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
                    try Self.begin(channel, context.value, profile)
                }
            }
            .withBoundSocket(socket).wait()
        // NIO has called listen(2) with 128, whatever its backlog option says about a socket that it was given.
        _ = listen(socket, Int32(profile.configuration.listenQueueSize))
        return channel
    }

    private static func begin(_ channel: any Channel, _ context: LoopContext, _ profile: SessionProfile) throws {
        let size = ReceiveSize()
        try channel.syncOptions?.setOption(.recvAllocator, value: SessionReceiveAllocator(size: size))
        let client: ClientAddress
        if profile.role.service == .local {
            let peer = try channel.pipeline.syncOperations.withUnsafeTransportIfAvailable(
                of: NIOBSDSocket.Handle.self
            ) { LocalAccount.peer(of: $0) }
            // Who cannot be told is not served.
            guard let uid = peer ?? nil else { throw ChannelError.eof }
            client = ClientAddress(LocalAccount(uid: uid))
        } else {
            client = ClientAddress(channel)
        }
        try channel.pipeline.syncOperations.addHandler(
            SessionHandler(context, profile, client: client, size: size))
    }

    /// The one session of a connected socket (`-n`); the result is there when it has ended.
    func converse(_ socket: Int32, _ role: ListenerRole) throws -> EventLoopFuture<Void> {
        let profile = settings.profile(role)
        let contexts = contexts
        return try ClientBootstrap(group: group)
            .channelOption(.maxMessagesPerRead, value: 1)
            .channelOption(.allowRemoteHalfClosure, value: true)
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    guard let context = contexts[ObjectIdentifier(channel.eventLoop)] else { throw ChannelError.eof }
                    try Self.begin(channel, context.value, profile)
                }
            }
            .withConnectedSocket(socket).wait().closeFuture
    }

    /// No new sessions come.
    func drain() { filters.drain() }

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

    /// Tells our metrics at a socket in POSTOFFICE; mail is taken without it, too.
    func serveMetrics() {
        if !MetricServer.serve(intake.metrics.metrics, of: "smtpserver", in: settings.postoffice) {
            log.error("no-metrics", ["reason": String(cString: strerror(errno))])
        }
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
        filters.stop()
        accounts.stop()
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
