import AgentProtocol
import ChildProcesses
import Configuration
import Glibc
import Postoffice
import Scheduling
import SpoolFormat
import Telemetry

/// The scheduler's one loop: pipes of agents, notices, the queue socket, signals, results of file work. It never touches a spool file.
final class SchedulerLoop {
    let environment: ZEnvironment
    let options: SchedulerOptions
    let log: EventLog
    let poller = Poller()
    let core: DeliveryScheduler
    let files: FileWorkers
    let postoffice: Postoffice
    let owner: SpoolOwner
    let keeping: HouseKeeping
    let hostName: String
    let checks = QueueChecks()
    let metrics = SchedulerMetrics()
    var jobTimes = JobTimes()
    private var nextDescription: Int64 = 0
    private var nextCheck: Int64
    let started: UnixTime
    var active: ActiveConfiguration
    let configurationPath: String
    private let signals: SignalSource?
    let notices: NoticeReceiver
    private var queueSocket: QueueSocket?
    private(set) var mailq: MailqService?
    var etrns = ETRNRequests()
    var operations = OperationQueue()
    let statistics: StatisticsLog?
    var isStoringSuspensions = false
    /// They hear what went wrong with it, if anything.
    var waitingForSuspensions: [(String?) -> Void] = []
    var storedFor: [(String?) -> Void] = []
    var agents: [Int: AgentProcess] = [:]
    var pendingAgents: [AgentProcess] = []
    /// Handed to the workers at the end of the turn.
    var jobs: [FileJob] = []
    /// Messages with records that are not synced.
    var unsynced: Set<SpoolID> = []
    var nextSync: Int64 = .max
    var stuck = StuckJobs()
    var nextRetry: Int64 = .max
    var loading = Intake()
    var nextScan: Int64 = 0
    var scanStarted: Int64 = 0
    var shutdownDeadline: Int64 = .max
    /// Agents have been killed already.
    var isLastWarning = false
    var stops: Bool { shutdownDeadline != .max }
    let buffer = UnsafeMutableRawPointer.allocate(byteCount: bufferSize, alignment: 16)

    static let bufferSize = 65536
    /// Milliseconds: between the sync of one result and the next; until what has failed is tried again; between two looks
    /// through the directory; until agents that do not end are ended.
    static let syncInterval: Int64 = 1000
    static let retryInterval: Int64 = 5000
    static let scanInterval: Int64 = 15000
    static let shutdownTime: Int64 = 20000
    /// Milliseconds until results that do not wake the loop are looked at.
    private static let quietInterval: Int64 = 50

    init(
        environment: ZEnvironment, options: SchedulerOptions, active: ActiveConfiguration, configurationPath: String,
        log: EventLog, signals: SignalSource?, notices: NoticeReceiver, postoffice: Postoffice,
        owner: SpoolOwner, files: FileWorkers, keeping: HouseKeeping = HouseKeeping(), hostName: String = "localhost"
    ) {
        self.keeping = keeping
        self.hostName = hostName
        nextCheck =
            keeping.checkInterval.map { Self.monotonicMilliseconds() + min(QueueChecks.firstDelay, $0 * 1000) } ?? .max
        self.environment = environment
        self.options = options
        self.active = active
        self.configurationPath = configurationPath
        self.log = log
        self.signals = signals
        self.notices = notices
        self.postoffice = postoffice
        self.owner = owner
        self.files = files
        statistics = options.statisticsFile.map(StatisticsLog.init)
        started = Self.milliseconds() / 1000
        core = DeliveryScheduler(
            now: started, seed: UInt64.random(in: .min ... .max), reportInterval: active.reportInterval,
            rules: active.rules)
        core.isFrozen = options.isFrozen || options.isSynchronous
    }

    deinit { buffer.deallocate() }

    // MARK: The loop

    /// Returns after SIGTERM, when the agents have ended.
    func run() throws(QueueSocket.Failure) {
        let reports = mailqReports()
        restoreSuspensions()
        finishReroutes()
        var answers = QueueAnswers(
            scheduler: core, started: started, etrn: { [unowned self] in etrn($0, origin: $1) },
            isLoading: { [unowned self] in loading.isBusy },
            begin: { [unowned self] in begin($0, $1) }, suspend: { [unowned self] in suspend($0, $1) },
            resume: { [unowned self] in resume(by: $0, where: $1, $2) }, report: { reports.answer($0) })
        answers.audit = { [unowned self] in Self.audit(core, loading) }
        let path = "\(postoffice.root)/.scheduler.mailq"
        queueSocket = try QueueSocket(path: path, owner: owner.uid, poller: poller, answer: answers.answer)
        owner.own(path)
        if let signals { poller.add(signals.descriptor, .read) { [unowned self] _ in takeSignals(signals) } }
        poller.add(notices.descriptor, .read) { [unowned self] _ in takeNotices() }
        poller.add(files.descriptor, .read) { [unowned self] _ in files.takeAnnounced().forEach(take) }
        mailq = MailqService(
            poller: poller, log: log,
            handlers: MailqService.Handlers(
                list: reports.answer,
                etrn: { [unowned self] in (etrn($0, origin: $1)?.started ?? 0) > 0 },
                act: { [unowned self] in act($0, $1, origin: $2, $3) }, dump: { MailqDump.pieces(reports) },
                version: options.mailqVersion))
        mailq?.configure(
            active.configuration.parameters.mailqSocket, active.accounts, at: Self.monotonicMilliseconds())
        if !MetricServer.serve(metrics.metrics, of: "scheduler", in: postoffice.root) {
            log.error("no-metrics", ["reason": String(cString: strerror(errno))])
        }
        while true {
            // What the last wait has brought must be acted upon before the end.
            turn()
            if isDone { break }
            poller.wait(milliseconds: timeout())
        }
        queueSocket?.shutDown()
        mailq?.shutDown()
        unlink(path)
    }

    private var isDone: Bool { stops && agents.isEmpty && jobs.isEmpty && filesInFlight == 0 }
    var removals = PendingRemovals()
    /// What the core wants just now an operator has asked for.
    private(set) var isOperating = false
    /// Jobs with the workers whose results have not come.
    var filesInFlight = 0

    private func timeout() -> Int32 {
        let now = Self.monotonicMilliseconds()
        var next =
            min(
                nextSync, nextRetry, nextScan, nextCheck, shutdownDeadline, etrns.due, mailq?.due ?? .max) - now
        if filesInFlight > 0 { next = min(next, Self.quietInterval) }
        if core.isSweeping || core.isBehind || hasOperationToRun { next = 0 }
        if let event = core.nextEvent { next = min(next, event * 1000 - Self.milliseconds()) }
        return Int32(clamping: max(0, next))
    }

    func turn() {
        let now = Self.monotonicMilliseconds()
        if filesInFlight > 0 { files.takeQuiet().forEach(take) }
        core.advance(to: Self.milliseconds() / 1000)
        if now >= nextSync { syncAll() }
        if now >= nextRetry { retryStuck() }
        if now >= nextScan { scan() }
        if now >= nextDescription, metrics.takeWish() { describeQueue(at: now) }
        if now >= nextCheck { nextCheck = stops ? .max : checkQueue(at: now) }
        if now >= shutdownDeadline { endAgents() }
        mailq?.advance(to: now)
        startETRNs(at: now)
        loadMore()
        // Each message is compared with each suspension.
        core.sweep(Self.operationBudget / (1 + core.suspensions.entries.count / 8))
        // What agents have reported meanwhile is no operator's.
        for action in core.takeActions() { perform(action) }
        var budget = Self.operationBudget
        while true {
            let hasOperated = runOperations(&budget)
            let actions = core.takeActions()
            if actions.isEmpty, !hasOperated { break }
            isOperating = hasOperated
            for action in actions { perform(action) }
            isOperating = false
            // Pipes and results come first.
            if core.isBehind { break }
        }
        storeSuspensions()
        statistics?.flush(log)
        for agent in pendingAgents {
            agent.isPending = false
            agent.flush()
        }
        pendingAgents.removeAll(keepingCapacity: true)
        submitJobs()
        settleOperations(at: now)
    }

    private func describeQueue(at now: Int64) {
        metrics.describe(core, isLoading: loading.isBusy)
        let spent = Self.monotonicMilliseconds() - now
        nextDescription = now + max(SchedulerMetrics.interval, 20 * spent)
    }
}
