import AgentProtocol
import ChildProcesses
import Configuration
import DequeModule
import Forms
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
    private var jobTimes = JobTimes()
    private var nextDescription: Int64 = 0
    private var nextCheck: Int64
    let started: UnixTime
    var active: ActiveConfiguration
    let configurationPath: String
    private let signals: SignalSource?
    private let notices: NoticeReceiver
    private var queueSocket: QueueSocket?
    private(set) var mailq: MailqService?
    var etrns = ETRNRequests()
    var operations = OperationQueue()
    private let statistics: StatisticsLog?
    var isStoringSuspensions = false
    /// They hear what went wrong with it, if anything.
    var waitingForSuspensions: [(String?) -> Void] = []
    var storedFor: [(String?) -> Void] = []
    var agents: [Int: AgentProcess] = [:]
    private var pendingAgents: [AgentProcess] = []
    /// Handed to the workers at the end of the turn.
    private var jobs: [FileJob] = []
    /// Messages with records that are not synced.
    private var unsynced: Set<SpoolID> = []
    private var nextSync: Int64 = .max
    private(set) var stuck = StuckJobs()
    private var nextRetry: Int64 = .max
    var loading = Intake()
    private var nextScan: Int64 = 0
    private var scanStarted: Int64 = 0
    private var shutdownDeadline: Int64 = .max
    var stops: Bool { shutdownDeadline != .max }
    private let buffer = UnsafeMutableRawPointer.allocate(byteCount: bufferSize, alignment: 16)

    static let bufferSize = 65536
    /// Milliseconds: between the sync of one result and the next; until what has failed is tried again; between two looks
    /// through the directory; until agents that do not end are ended.
    private static let syncInterval: Int64 = 1000
    private static let retryInterval: Int64 = 5000
    private static let scanInterval: Int64 = 15000
    private static let shutdownTime: Int64 = 20000
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
    /// Messages that are delivered and not yet removed. If we die now they are delivered again: while the disk is behind, nothing new is begun.
    private var removals = 0
    /// Likewise, because operators want it: they hold up nothing.
    private(set) var operatorRemovals: Set<SpoolID> = []
    private var isOperating = false
    private static let maximumRemovals = 64
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

    private func turn() {
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

    private func noteRemoval(_ id: SpoolID) {
        guard operatorRemovals.remove(id) == nil else { return }
        removals -= 1
        core.isPaused = removals > Self.maximumRemovals
    }

    private func describeQueue(at now: Int64) {
        metrics.describe(core, isLoading: loading.isBusy)
        let spent = Self.monotonicMilliseconds() - now
        nextDescription = now + max(SchedulerMetrics.interval, 20 * spent)
    }

    private func submitJobs() {
        guard !jobs.isEmpty else { return }
        filesInFlight += jobs.count
        files.submit(jobs)
        jobs.removeAll(keepingCapacity: true)
    }

    private func perform(_ action: SchedulerAction) {
        switch action {
        case .startAgent(let number, let channel, let host): startAgent(number, channel: channel, host: host)
        case .feed(let number, let id, let host, let messages):
            agents[number].map { agent in
                let limits = AgentJobLimits(messagesPerConnection: messages)
                agent.send(.deliver(file: id, host: host, limits: limits))
                jobTimes.fed(id, to: number, at: Self.monotonicMilliseconds())
                touch(agent)
            }
        case .closeAgent(let number):
            agents[number].map { agent in
                agent.closeInput()
                touch(agent)
            }
        case .killAgent(let number): agents[number]?.child.signal(SIGKILL)
        case .append(let id, let vertex, let record, let tag):
            if tag != nil {
                unsynced.insert(id)
                if nextSync == .max { nextSync = Self.monotonicMilliseconds() + Self.syncInterval }
            }
            submit(.append(id, vertex: vertex, record, tag))
        case .report(let id):
            unsynced.remove(id)
            submit(.report(id))
        case .finish(let id, let ending):
            if isOperating {
                operatorRemovals.insert(id)
            } else {
                removals += 1
                core.isPaused = removals > Self.maximumRemovals
            }
            submit(.finish(id, ending, isUnsynced: unsynced.remove(id) != nil))
        case .reread(let id): submit(.reread(id))
        case .move(let id, let offsets, let channel, let host, let note):
            log.info(
                "move",
                ["queue-id": "\(id)", "to": "\(channel)/\(host)", "by": note.operatorName, "reason": note.reason])
            submit(.move(id, offsets: offsets, channel: channel, host: host))
        case .reroute(let id, let offsets, let note):
            log.info("reroute", ["queue-id": "\(id)", "by": note.operatorName, "reason": note.reason])
            submit(.reroute(id, offsets: offsets))
        case .log(let event):
            write(event)
            statistics?.add(event)
        }
    }

    private func touch(_ agent: AgentProcess) {
        guard !agent.isPending else { return }
        agent.isPending = true
        pendingAgents.append(agent)
    }

    func submit(_ job: FileJob) {
        if stuck.holds(job.id) { hold(job) } else { jobs.append(job) }
    }

    private func syncAll() {
        for id in unsynced { submit(.sync(id)) }
        unsynced.removeAll(keepingCapacity: true)
        nextSync = .max
    }

    // MARK: Results of file work

    private func take(_ result: FileResult) {
        filesInFlight -= 1
        switch result {
        case .loaded(let message):
            if loading.ended(message.id) { core.load(message) } else { core.reload(message) }
        case .absent(let id):
            if !loading.ended(id) { core.forget(id) }
        case .rerouted(let id, let reason):
            forget(id)
            log.warning("routed-again", ["queue-id": "\(id)", "reason": reason])
        case .setAside(let id, let reason):
            forget(id)
            log.error("set-aside", ["queue-id": "\(id)", "reason": reason])
        case .cleared(let id):
            forget(id)
            log.notice("cleared", ["queue-id": "\(id)", "reason": "its removal had begun before the restart"])
        case .recorded(let id, let vertex): core.recorded(id, vertex: vertex)
        case .synced: break
        case .moved(let message, let remark):
            log.info("moved", ["queue-id": "\(message.id)", "text": remark])
            core.moved(message)
        case .suspensionsStored(let problem): suspensionsStored(problem)
        case .operationsSynced(let problem): operationsSynced(problem)
        case .reported(let id, let reports):
            note(reports, of: id)
            core.reported(id, count: reports.reduce(0) { $0 + $1.records })
        case .finished(let id, let reports):
            note(reports, of: id)
            core.finished(id)
            noteRemoval(id)
        case .failed(let job, let reason): halt(job, reason)
        case .listing(let ids):
            filesInFlight += 1
            loading.listed(ids)
            scheduleScan()
        case .etrns(let requests):
            filesInFlight += 1
            take(requests)
        case .listingFailed(let reason):
            filesInFlight += 1
            log.error("scan-failed", ["reason": reason])
            scheduleScan()
        }
        if core.isFrozen, !options.isFrozen, !loading.isBusy, loading.hasListed { core.isFrozen = false }
    }

    private func forget(_ id: SpoolID) {
        if !loading.ended(id) { core.forget(id) }
    }

    private func note(_ reports: [SentReport], of id: SpoolID) {
        let reports = reports.filter { $0.recipients > 0 }
        for report in reports {
            metrics.reports.add()
            log.info(
                "report",
                [
                    "queue-id": "\(id)", "report-id": "\(report.id)", "to": report.to,
                    "recipients": "\(report.recipients)",
                ])
        }
    }

    private func halt(_ job: FileJob, _ reason: String) {
        // One line for all that fail together.
        if stuck.isEmpty {
            log.error("spool-trouble", ["queue-id": "\(job.id)", "reason": reason, "next-try": "in 5 s"])
        }
        hold(job)
        if nextRetry == .max { nextRetry = Self.monotonicMilliseconds() + Self.retryInterval }
    }

    /// What waits for its next try must not hold up everything else.
    private func hold(_ job: FileJob) {
        if case .finish(let id, _, _) = job { noteRemoval(id) }
        stuck.add(job)
    }

    private func retryStuck() {
        for job in stuck.takeAll() {
            switch job {
            case .finish: removals += 1
            // It has no result.
            case .resume: filesInFlight -= 1
            case .load, .reread, .append, .sync, .report, .move, .reroute: break
            }
            jobs.append(job)
        }
        nextRetry = .max
    }

    // MARK: New messages

    private func takeNotices() {
        for notice in notices.receive() {
            switch notice {
            case .scan: nextScan = 0
            case .new(_, let ids): loading.announced(ids)
            }
        }
    }

    private func scan() {
        nextScan = .max
        scanStarted = Self.monotonicMilliseconds()
        let postoffice = postoffice
        let isFirst = !loading.hasListed
        files.runAside { SpoolScan.run(postoffice, includingOrphans: isFirst) }
    }

    /// A look at a large directory takes its time: it is not taken more than a twentieth of all time.
    private func scheduleScan() {
        let now = Self.monotonicMilliseconds()
        nextScan = now + max(Self.scanInterval, 20 * (now - scanStarted))
    }

    private func loadMore() {
        guard !stops else { return }
        while let (id, isUrgent) = loading.next(isKnown: core.knows) { submit(.load(id, isUrgent: isUrgent)) }
    }

    // MARK: Signals

    private func takeSignals(_ signals: SignalSource) {
        while let signal = signals.next() {
            switch signal {
            case SIGTERM, SIGINT, SIGQUIT: shutDown(reason: "signal \(signal)")
            case SIGHUP: hangUp()
            case SIGUSR1: reload()
            case SIGUSR2: writeState()
            case SIGALRM: nextScan = 0
            default: log.debug("signal", ["number": "\(signal)"])
            }
        }
    }

    private func writeState() {
        log.notice(
            "state",
            [
                "messages": "\(core.messageCount)", "recipients": "\(core.recipientCount)",
                "threads": "\(core.threadCount)", "agents": "\(core.agentCount)", "active": "\(core.activeJobs)",
            ])
    }

    /// The files that it writes may have been renamed.
    func hangUp() {
        log.reopen()
        statistics?.reopen(log)
        reload()
    }

    func reload() {
        do throws(ConfigurationErrors) {
            active = try ActiveConfiguration.read(
                configurationPath, environment: environment, onlyThread: options.onlyThread)
            ReportSettings.shared.set(active.configuration)
            for mistake in FormLibrary.mistakes(environment) {
                log.error("form-mistake", ["reason": mistake.description])
            }
            core.configure(reportInterval: active.reportInterval, rules: active.rules)
            mailq?.configure(
                active.configuration.parameters.mailqSocket, active.accounts, at: Self.monotonicMilliseconds())
            log.notice("reloaded", ["file": configurationPath])
        } catch {
            for mistake in error.errors { log.error("reload-refused", ["reason": mistake.description]) }
        }
    }

    /// Feeds nothing more and ends when the agents have reported.
    func shutDown(reason: String) {
        guard !stops else { return }
        log.notice("stopping", ["reason": reason, "agents": "\(agents.count)"])
        core.stop()
        for running in operations.stop() { running.tell(.stopped) }
        shutdownDeadline = Self.monotonicMilliseconds() + Self.shutdownTime
        nextScan = .max
    }

    /// What they had in hand is tried again after the next start.
    private func endAgents() {
        log.warning("agents-killed", ["agents": "\(agents.count)", "reason": "still at work after 20 s"])
        for agent in agents.values { agent.child.signal(SIGKILL) }
        // If even that does not end them, or files cannot be written, waiting longer helps nobody.
        shutdownDeadline = Self.monotonicMilliseconds() + 5000
        if isLastWarning {
            agents = [:]
            jobs = []
            filesInFlight = 0
        }
        isLastWarning = true
    }
    private var isLastWarning = false
}

extension SchedulerLoop: AgentHost {
    func fillBuffer(from descriptor: Int32) -> Int { read(descriptor, buffer, Self.bufferSize) }

    func filled(_ count: Int) -> UnsafeRawBufferPointer { UnsafeRawBufferPointer(start: buffer, count: count) }

    func agent(_ number: Int, wrote message: AgentMessage) {
        switch message {
        case .remark(let text): log.info("agent-remark", ["agent": name(number), "text": text])
        case .report(let report):
            if let spent = jobTimes.reported(report.file, by: number, at: Self.monotonicMilliseconds()) {
                metrics.attemptTime.observe(milliseconds: spent)
            }
        case .hungry, .resync: break
        }
        core.received(message, from: number)
    }

    func agent(_ number: Int, complained text: String) {
        log.warning("agent-output", ["agent": name(number), "text": text])
    }

    func agentEnded(_ number: Int, _ exit: ChildProcess.Exit) {
        if exit == .code(0) {
            log.debug("agent-ended", ["agent": name(number)])
        } else {
            metrics.agentDeaths.add()
            log.warning("agent-died", ["agent": name(number), "reason": exit.description])
        }
        agents[number] = nil
        jobTimes.ended(number)
        core.agentEnded(number)
    }

    private func name(_ number: Int) -> String { agents[number]?.name ?? "#\(number)" }
}
