import ChildProcesses
import Configuration
import ContentFiltering
import DequeModule
import Glibc
import NIOCore
import NIOPosix
import Telemetry

/// What became of a message at one filter.
enum FilterOutcome: Sendable {
    case answered(FilterAnswer)
    /// No valid result, and why.
    case failed(String)
    /// Too many messages wait.
    case busy(String)
    /// The message, not the filter, seems to be the trouble.
    case poison(String)
}

/// A message for one filter. Confined to the filter queue's event loop.
final class FilterJob {
    let number: Int
    let path: String
    /// Equal for a message that is sent again.
    let fingerprint: Int
    private let done: (FilterOutcome) -> Void
    var deadline: Scheduled<Void>?
    weak var process: FilterProcess?
    /// A process has died while it had it, perhaps because of another one that it had too: it is given alone from now on.
    var isSuspect = false
    /// Of processes that had nothing else.
    var deaths = 0

    init(number: Int, path: String, fingerprint: Int, done: @escaping (FilterOutcome) -> Void) {
        self.number = number
        self.path = path
        self.fingerprint = fingerprint
        self.done = done
    }

    func finish(_ outcome: FilterOutcome) {
        deadline?.cancel()
        done(outcome)
    }
}

/// One content filter: its processes, and the messages that wait for one. Confined to one event loop.
///
/// A process is started by connecting to the master's socket for it; one that hangs, dies or talks nonsense is given up, and costs
/// the messages that it had.
final class FilterQueue {
    /// Seconds after which a process that is not needed is let go; one stays.
    private static let idleTime = 600
    /// Deaths of a filter at the same message, sent again or not, before it is the message's fault.
    private static let maximumDeaths = 2
    /// Fingerprints of messages that a filter has died at.
    private static let maximumSuspects = 1000
    /// For so long.
    private static let suspicion = TimeAmount.hours(1)
    /// Messages that wait for a process.
    private static let maximumWaiting = 1000

    private struct Suspect {
        var deaths = 0
        /// Messages that had been answered before the first death.
        let answered: Int
        let since = NIODeadline.now()
    }

    /// As the configuration has it.
    let name: String
    let log: EventLog
    let startTimeout: Int
    private let answerTimeout: Int
    private let maximumProcesses: Int
    private let loop: any EventLoop
    /// The master's, where a connection is a process of the program.
    private let startSocket: String
    private let trace: EventLog?
    private var processes: [FilterProcess] = []
    private var connecting = 0
    /// Processes that messages have needed: one that is lost is replaced before the next message needs it.
    private var wanted = 1
    private var waiting = Deque<FilterJob>()
    private var given: [Int: FilterJob] = [:]
    /// Messages that have got a result.
    private var answered = 0
    /// Starts that have failed since the last that did not.
    private var failures = 0
    private var retryAt = NIODeadline.now()
    private var suspects: [Int: Suspect] = [:]
    private var signature: [Int]
    private var isDraining = false
    private var isStopped = false

    init(
        _ name: String, startSocket: String, settings: Settings, loop: any EventLoop, log: EventLog
    ) {
        self.name = name
        self.startSocket = startSocket
        self.loop = loop
        self.log = log
        let filtering = settings.configuration.contentFiltering
        startTimeout = filtering.startTimeout
        answerTimeout = filtering.answerTimeout
        maximumProcesses = filtering.maximumProcesses
        trace = filtering.isTraced ? log : nil
        signature = Self.signature(name)
    }

    /// Calls `done` once, on this loop, within `contentfilter-timeout`; not at all if the job is withdrawn before it is given.
    func submit(_ number: Int, path: String, fingerprint: Int, done: @escaping (FilterOutcome) -> Void) {
        let job = FilterJob(number: number, path: path, fingerprint: fingerprint, done: done)
        guard waiting.count < Self.maximumWaiting else {
            job.finish(.busy("\(Self.maximumWaiting) messages wait for \(name)"))
            return
        }
        let bound = NIOLoopBound((self, job), eventLoop: loop)
        job.deadline = loop.scheduleTask(in: .seconds(Int64(answerTimeout))) { bound.value.0.expired(bound.value.1) }
        waiting.append(job)
        dispatch()
    }

    /// Nobody waits for it any more.
    func withdraw(_ number: Int) {
        guard let index = waiting.firstIndex(where: { $0.number == number }) else { return }
        waiting.remove(at: index).deadline?.cancel()
    }

    private func dispatch() {
        guard !isStopped else { return }
        var index = 0
        while index < waiting.count, let process = processes.first(where: \.isFree) {
            let job = waiting[index]
            guard let taker = job.isSuspect ? processes.first(where: { $0.isFree && $0.isIdle }) : process else {
                index += 1
                continue
            }
            waiting.remove(at: index)
            given[job.number] = job
            job.process = taker
            taker.isExclusive = job.isSuspect
            taker.give(job)
        }
        let count = connecting + processes.count { !$0.isRetiring }
        let coming = connecting + processes.count { !$0.isRetiring && !$0.dialogue.hasStarted }
        // A process that is starting may say that it takes several.
        if coming < waiting.count, count < maximumProcesses { wanted = max(wanted, count + 1) }
        guard count < wanted, coming < max(1, waiting.count), !isDraining || !waiting.isEmpty else { return }
        if NIODeadline.now() >= retryAt {
            connect()
        } else if count == 0 {
            failWaiting("\(name) cannot be started")
        }
    }

    private func failWaiting(_ reason: String) {
        let jobs = waiting
        waiting = []
        for job in jobs { job.finish(.failed(reason)) }
    }

    private func expired(_ job: FilterJob) {
        if let index = waiting.firstIndex(where: { $0 === job }) {
            waiting.remove(at: index)
            job.finish(.failed("no process of \(name) was free within \(answerTimeout) s"))
            return
        }
        guard given.removeValue(forKey: job.number) != nil else { return }
        let reason = "no answer of \(name) within \(answerTimeout) s"
        log.warning("filter-timeout", ["filter": name, "file": job.path])
        job.process?.forget(job.number)
        job.finish(isPoison(job) ? .poison(reason) : .failed(reason))
        dispatch()
    }

    /// One more process has come to grief at this message. It is the message's fault if the filter has been able to answer others
    /// since the first time: else the filter is broken.
    private func isPoison(_ job: FilterJob) -> Bool {
        let limit = NIODeadline.now() - Self.suspicion
        if suspects.count >= Self.maximumSuspects { suspects = suspects.filter { $0.value.since > limit } }
        if suspects.count >= Self.maximumSuspects { suspects = [:] }
        var suspect = suspects[job.fingerprint] ?? Suspect(answered: answered)
        if suspect.since < limit { suspect = Suspect(answered: answered) }
        suspect.deaths += 1
        suspects[job.fingerprint] = suspect
        return suspect.deaths >= Self.maximumDeaths && answered > suspect.answered
    }

    // MARK: processes

    /// One is there before the first message is.
    func warmUp() {
        if processes.isEmpty, connecting == 0 { connect() }
    }

    private func connect() {
        connecting += 1
        let bound = NIOLoopBound(self, eventLoop: loop)
        let process = NIOLoopBound(FilterProcess(self, trace: trace), eventLoop: loop)
        ClientBootstrap(group: loop)
            .connectTimeout(.seconds(Int64(startTimeout)))
            .channelOption(.allowRemoteHalfClosure, value: false)
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandler(process.value)
                }
            }
            .connect(unixDomainSocketPath: SocketPath.reachable(FilterPlace.socket(of: name) ?? startSocket))
            .hop(to: loop)
            .whenComplete { result in
                let queue = bound.value
                queue.connecting -= 1
                switch result {
                case .success: queue.connected(process.value)
                case .failure(let error): queue.startFailed("\(error)")
                }
            }
    }

    private func connected(_ process: FilterProcess) {
        guard !process.isOver else { return }
        processes.append(process)
        dispatch()
    }

    func processStarted(_ process: FilterProcess) {
        failures = 0
        retryAt = .now()
        processChanged(process)
    }

    /// It may have a credit more, or nothing left to do.
    func processChanged(_ process: FilterProcess) {
        if process.isIdle, process.isRetiring || isDraining && waiting.isEmpty {
            process.dismiss("retired")
        } else {
            dispatch()
        }
    }

    func finished(_ number: Int, _ answer: FilterAnswer) {
        guard let job = given.removeValue(forKey: number) else { return }
        if job.isSuspect { job.process?.isExclusive = false }
        if answer.verdict != nil {
            answered += 1
            suspects[job.fingerprint] = nil
        }
        job.finish(answer.verdict == nil ? .failed("\(name): \(answer.problem)") : .answered(answer))
    }

    func processEnded(_ process: FilterProcess, reason: String) {
        processes.removeAll { $0 === process }
        let jobs = process.dialogue.openJobs.compactMap { given.removeValue(forKey: $0) }
        if process.hasFailedToStart {
            startFailed(reason)
            return
        }
        if !jobs.isEmpty {
            log.warning("filter-died", ["filter": name, "reason": reason, "messages": "\(jobs.count)"])
        }
        for job in jobs.reversed() {
            if process.dialogue.isBroken || isStopped {
                job.finish(.failed("no result of \(name)"))
                continue
            }
            // With several messages it is not known which of them it was: each goes on alone.
            if jobs.count == 1 {
                job.deaths += 1
                if isPoison(job) {
                    job.finish(.poison("\(name) has died at it \(Self.maximumDeaths) times"))
                    continue
                }
                if job.deaths >= Self.maximumDeaths {
                    job.finish(.failed("\(name) has died \(Self.maximumDeaths) times"))
                    continue
                }
            }
            job.isSuspect = true
            waiting.prepend(job)
        }
        dispatch()
    }

    private func startFailed(_ reason: String) {
        // Several that were started together fail together: that is one failure.
        if NIODeadline.now() >= retryAt { failures += 1 }
        let delay = min(60, 1 << min(max(failures, 1) - 1, 6))
        retryAt = .now() + .seconds(Int64(delay))
        log.error("filter-not-started", ["filter": name, "reason": reason, "next-try": "\(delay) s"])
        let bound = NIOLoopBound(self, eventLoop: loop)
        loop.scheduleTask(in: .seconds(Int64(delay))) { bound.value.dispatch() }
        dispatch()
    }

    // MARK: now and then

    /// Once a second: processes of a program that has changed, and those that nobody needs, are let go.
    func look() {
        let now = Self.signature(name)
        if !now.isEmpty, now != signature {
            signature = now
            failures = 0
            retryAt = .now()
            if !processes.isEmpty { log.notice("filter-changed", ["filter": name]) }
            retireAll()
            if !isDraining { warmUp() }
        }
        let limit = NIODeadline.now() - .seconds(Int64(Self.idleTime))
        let unused = processes.filter { $0.isIdle && $0.lastUse < limit }
        for process in unused.dropFirst(unused.count == processes.count ? 1 : 0) {
            wanted = max(1, wanted - 1)
            process.dismiss("idle")
        }
    }

    private func retireAll() {
        for process in processes {
            process.isRetiring = true
            if process.isIdle { process.dismiss("retired") }
        }
    }

    /// The sessions that are left may still need it.
    func drain() {
        isDraining = true
        for process in processes where process.isIdle { process.dismiss("retired") }
    }

    func stop() {
        isDraining = true
        isStopped = true
        failWaiting("the server ends")
        for process in processes { process.dismiss("the server ends") }
    }

    /// Of a program. Empty: it cannot be looked at, or is none.
    private static func signature(_ path: String) -> [Int] {
        var info = stat()
        guard stat(path, &info) == 0 else { return [] }
        return [
            Int(info.st_ino), Int(info.st_size), info.st_mtim.tv_sec, info.st_mtim.tv_nsec, info.st_ctim.tv_sec,
            info.st_ctim.tv_nsec,
        ]
    }
}
