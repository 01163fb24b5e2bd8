import AgentProtocol
import Configuration
import Glibc
import Postoffice
import Scheduling
import SpoolFormat
import Telemetry

extension SchedulerLoop {
    /// Messages of operations in a turn; jobs with the file workers up to which more are given to them.
    static let operationBudget = 2048
    private static let operationPortion = 16
    private static let maximumFileJobs = 2048

    /// For the queue socket.
    func begin(_ operation: QueueOperation, _ deliver: @escaping QueueSocket.Delivery) {
        begin(
            operation, operation.selection.ids.isEmpty ? core.messageIDs : operation.selection.ids.sorted(),
            progress: { deliver("{\"progress\":\($0),\"of\":\($1)}\n", false) },
            ended: { deliver(QueueJSON.line($0, $1), true) })
    }

    /// `ids`: those that can be meant.
    private func begin(
        _ operation: QueueOperation, _ ids: [SpoolID], progress: ((Int, Int) -> Void)?,
        ended: @escaping RunningOperation.Delivery
    ) {
        let new = RunningOperation(operation, ids, at: Self.monotonicMilliseconds(), progress: progress, ended: ended)
        guard !operations.isFull else {
            return new.tell(.refused("\(OperationQueue.maximum) operations are under way; try again later"))
        }
        operations.add(new)
    }

    /// A portion of the oldest; `false`: nothing could be done.
    func runOperations(_ budget: inout Int) -> Bool {
        guard let running = operations.first, budget > 0 else { return false }
        if running.touchesFiles, !hasRoomForOperations { return false }
        budget -= Self.operationPortion
        running.proceed(Self.operationPortion, with: core)
        let now = Self.monotonicMilliseconds()
        guard running.rest.isEmpty else {
            running.tellProgress(at: now)
            return true
        }
        if let ended = operations.endFirst() { end(ended, .durable) }
        return true
    }

    /// Removals are limited more: results of deliveries stand behind them.
    private var hasRoomForOperations: Bool {
        filesInFlight < Self.maximumFileJobs && !removals.holdUpOperators
    }

    /// There is something that need not wait for a result.
    var hasOperationToRun: Bool {
        guard let running = operations.first else { return false }
        return !running.touchesFiles || hasRoomForOperations
    }

    /// Makes durable what has been done for operators, when the workers are through with it: one call for the file system, since a
    /// hundred thousand files one by one would hold up results for minutes. Call it when the turn's jobs are with the workers.
    func settleOperations(at now: Int64) {
        operations.tellProgress(at: now)
        guard operations.beginSettling(besides: stuck.holds) else { return }
        filesInFlight += 1
        let postoffice = postoffice
        files.runBehindJobs {
            do throws(PostofficeError) {
                try postoffice.syncFileSystem()
                return [.operationsSynced(nil)]
            } catch {
                return [.operationsSynced(error.description)]
            }
        }
    }

    func operationsSynced(_ problem: String?) {
        if let problem { log.error("operations-not-synced", ["reason": problem]) }
        for (running, end) in operations.settled(problem) { self.end(running, end) }
    }

    private func end(_ running: RunningOperation, _ end: RunningOperation.End) {
        defer { running.tell(end) }
        let operation = running.operation
        guard operation.verb != .count, !operation.isDryRun else { return }
        log.notice(
            "operation",
            [
                "verb": running.verb, "by": operation.note.operatorName, "reason": operation.note.reason,
                "messages": "\(running.tally.messages)", "recipients": "\(running.tally.recipients)",
                "in-hand": "\(running.tally.inHand)",
            ])
    }

    /// What mailq asks for. The answer comes when it is done and durable.
    func act(
        _ deed: MailqServerSession.Deed, _ target: MailqServerSession.Target, origin: String,
        _ answer: @escaping (MailqServerSession.Outcome) -> Void
    ) {
        var selection = QueueSelection()
        let ids: [SpoolID]
        switch target {
        case .message(let id): ids = core.isOpen(id) ? [id] : []
        case .thread(let channel, let host):
            ids = core.messageIDs(channel: channel, host: host)
            selection.channels = [GlobPattern(literal: channel)]
            selection.hosts = [GlobPattern(literal: host)]
        }
        guard !ids.isEmpty else { return answer(.nothing) }
        let note = OperatorNote(operatorName: origin, reason: "mailq \(deed.rawValue)", time: core.wall)
        begin(QueueOperation(deed == .kill ? .remove : .reroute, selection, note), ids, progress: nil) { running, end in
            switch end {
            case .durable: answer(running.tally.recipients > running.tally.unchanged ? .done : .nothing)
            case .notDurable(let reason), .refused(let reason): answer(.problem(reason))
            case .stopped: answer(.problem("the scheduler ends"))
            }
        }
    }

    /// Before the first message is read. What fails is tried at the next start: its old message is kept out of nobody's way.
    func finishReroutes() {
        let router = NoticeSender(socketPath: "\(postoffice.root)/.router.notify", directory: "router")
        do throws(PostofficeError) {
            try FileWorker.finishReroutes(postoffice, router)
        } catch {
            log.error("reroutes-not-finished", ["reason": error.description])
        }
    }
}
