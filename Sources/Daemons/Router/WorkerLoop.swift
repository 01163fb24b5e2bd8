import AgentProtocol
import ChildProcesses
import Glibc
import PolicyEngine
import Postoffice
import SpoolFormat
import Telemetry

/// The routing worker's process: jobs come and answers go on descriptor 0 (docs/protocols.md §4). One thread.
final class WorkerLoop {
    /// Answers that are collected while there is more to do.
    private static let answerBatch = 8

    private let postoffice: Postoffice
    private let worker: RoutingWorker
    private let tables: MailTables
    private let signals: SignalSource
    private let log: EventLog
    private let scheduler: NoticeSender
    private var splitter = LineSplitter(maximumLineLength: 64)
    private var jobs: [SpoolID] = []
    private var nextJob = 0
    private var answers: [UInt8] = []
    private var answerCount = 0
    private var routed: [SpoolID] = []
    private var settlement = Settlement()
    private var isEnding = false
    private var buffer = [UInt8](repeating: 0, count: 4096)

    init(
        postoffice: Postoffice, configuration: MailConfiguration, tables: MailTables, signals: SignalSource,
        log: EventLog
    ) {
        self.postoffice = postoffice
        self.tables = tables
        self.signals = signals
        self.log = log
        worker = RoutingWorker(postoffice: postoffice, tables: tables, hostName: configuration.hostName, log: log)
        scheduler = NoticeSender(socketPath: "\(postoffice.root)/.scheduler.notify", directory: "transport")
    }

    func run() -> Never {
        answer("#hungry")
        flush()
        while true {
            let now = SteadyClock.milliseconds
            tables.now = now
            if nextJob < jobs.count {
                let id = jobs[nextJob]
                nextJob += 1
                work(id, now)
            } else {
                jobs.removeAll(keepingCapacity: true)
                nextJob = 0
                flush()
                if isEnding { break }
                wait(now)
            }
            if settlement.isDue(now) {
                flush()
                settlement.settle(postoffice, log, now: now)
            }
        }
        settlement.settle(postoffice, log, now: SteadyClock.milliseconds)
        exit(0)
    }

    private func work(_ id: SpoolID, _ now: Int64) {
        switch worker.process(id) {
        case .done:
            routed.append(id)
            settlement.add(id, now: now)
            answer("done \(id)")
        case .deferred(let reason): answer("deferred \(id) \(reason)")
        case .gone: answer("gone \(id)")
        case .failed(let reason): answer("failed \(id) \(reason)")
        }
        if answerCount >= Self.answerBatch { flush() }
    }

    private func answer(_ line: String) {
        answers.append(contentsOf: SpoolText.field(line).utf8)
        answers.append(0x0a)
        answerCount += 1
    }

    /// The scheduler hears of the messages before the router counts them as done.
    private func flush() {
        if !routed.isEmpty {
            scheduler.send(routed)
            routed.removeAll(keepingCapacity: true)
        }
        var done = 0
        while done < answers.count {
            let count = answers.withUnsafeBytes { write(0, $0.baseAddress?.advanced(by: done), $0.count - done) }
            if count > 0 {
                done += count
            } else if errno != EINTR {
                isEnding = true
                break
            }
        }
        answers.removeAll(keepingCapacity: true)
        answerCount = 0
    }

    private func wait(_ now: Int64) {
        var entries = [
            pollfd(fd: 0, events: Int16(POLLIN), revents: 0),
            pollfd(fd: signals.descriptor, events: Int16(POLLIN), revents: 0),
        ]
        let timeout = settlement.deadline.map { Int32(clamping: max(0, $0 - now)) } ?? -1
        guard poll(&entries, 2, timeout) > 0 else { return }
        if entries[1].revents != 0 { takeSignals() }
        if entries[0].revents != 0 { receive() }
    }

    private func takeSignals() {
        while let signal = signals.next() {
            switch signal {
            case SIGHUP:
                tables.lookAgain()
                log.reopen()
            case SIGTERM: isEnding = true
            default: continue
            }
        }
    }

    private func receive() {
        let count = read(0, &buffer, buffer.count)
        guard count > 0 else {
            // The master is gone.
            if count == 0 || errno != EINTR { isEnding = true }
            return
        }
        buffer.withUnsafeBytes { raw in
            splitter.append(UnsafeRawBufferPointer(rebasing: raw[0..<count])) { line in
                if let id = SpoolID(line) { jobs.append(id) }
            }
        }
    }
}
