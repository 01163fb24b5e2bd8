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
    private static let maximumOperatorRemovals = 512
    /// Operations that may wait.
    static let maximumOperations = 32

    /// `ids`: those that are known to be meant; `nil`: the selection finds them.
    func begin(_ operation: QueueOperation, ids: [SpoolID]? = nil, _ deliver: @escaping QueueSocket.Delivery) {
        guard operations.count < Self.maximumOperations else {
            return deliver("{\"error\":\"\(operations.count) operations are under way; try again later\"}\n", true)
        }
        let ids = ids ?? (operation.selection.ids.isEmpty ? core.messageIDs : operation.selection.ids.sorted())
        operations.append(RunningOperation(operation, ids, at: Self.monotonicMilliseconds(), deliver))
    }

    /// A portion of the oldest; `false`: nothing could be done.
    func runOperations(_ budget: inout Int) -> Bool {
        guard let running = operations.first, budget > 0 else { return false }
        if running.touchesFiles, !hasRoomForOperations { return false }
        budget -= Self.operationPortion
        for id in running.rest.prefix(Self.operationPortion) { core.apply(running.operation, to: id, &running.tally) }
        running.rest = running.rest.dropFirst(Self.operationPortion)
        let now = Self.monotonicMilliseconds()
        guard running.rest.isEmpty else {
            running.tellProgress(at: now)
            return true
        }
        operations.removeFirst()
        write(running)
        running.tellEnd()
        return true
    }

    /// Removals are limited more: results of deliveries stand behind them.
    private var hasRoomForOperations: Bool {
        filesInFlight < Self.maximumFileJobs && operatorRemovals.count < Self.maximumOperatorRemovals
    }

    /// There is something that need not wait for a result.
    var hasOperationToRun: Bool {
        guard let running = operations.first else { return false }
        return !running.touchesFiles || hasRoomForOperations
    }

    func endOperations() {
        for running in operations { running.tellStopped() }
        operations = []
    }

    /// Milliseconds until what operators have asked for is made durable: once for all messages of an operation.
    private static let wishSyncInterval: Int64 = 1000

    func wishWritten() {
        if nextWishSync == .max { nextWishSync = Self.monotonicMilliseconds() + Self.wishSyncInterval }
    }

    /// One call for the file system: a hundred thousand files one by one would hold up results for minutes. While there is more to be
    /// written it waits.
    func syncWishes(at now: Int64) {
        guard operations.isEmpty, !isSyncingWishes else {
            nextWishSync = now + Self.wishSyncInterval
            return
        }
        nextWishSync = .max
        isSyncingWishes = true
        filesInFlight += 1
        let postoffice = postoffice
        files.runAside {
            do throws(PostofficeError) {
                try postoffice.syncFileSystem()
                return [.wishesSynced(nil)]
            } catch {
                return [.wishesSynced(error.description)]
            }
        }
    }

    func wishesSynced(_ problem: String?) {
        isSyncingWishes = false
        if let problem { log.error("operations-not-synced", ["reason": problem]) }
    }

    private func write(_ running: RunningOperation) {
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

    /// What mailq asks for. The answer says whether there is something; the work is done in portions.
    func act(
        _ deed: MailqServerSession.Deed, _ target: MailqServerSession.Target, origin: String
    ) -> Bool {
        var selection = QueueSelection()
        let ids: [SpoolID]
        switch target {
        case .message(let id): ids = core.isOpen(id) ? [id] : []
        case .thread(let channel, let host):
            ids = core.messageIDs(channel: channel, host: host)
            selection.channels = [GlobPattern(literal: channel)]
            selection.hosts = [GlobPattern(literal: host)]
        }
        guard !ids.isEmpty, operations.count < Self.maximumOperations else { return false }
        let note = OperatorNote(operatorName: origin, reason: "mailq \(deed.rawValue)", time: core.wall)
        begin(QueueOperation(deed == .kill ? .remove : .reroute, selection, note), ids: ids) { _, _ in }
        return true
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

    // MARK: Suspensions

    var suspensionsPath: String { "\(postoffice.root)/.suspensions" }

    func restoreSuspensions() {
        do throws(SuspensionFile.Failure) {
            guard let (suspensions, unreadable) = try SuspensionFile.read(suspensionsPath) else { return }
            if unreadable > 0 {
                log.error("suspensions-unreadable", ["file": suspensionsPath, "lines": "\(unreadable)"])
            }
            core.restore(suspensions)
            log.notice("suspensions", ["count": "\(suspensions.entries.count)"])
        } catch {
            log.error("suspensions-unreadable", ["file": suspensionsPath, "reason": error.description])
        }
    }

    /// Off the loop, one at a time; who asked for a change hears when it is written.
    func storeSuspensions() {
        guard !isStoringSuspensions, let suspensions = core.takeSuspensions() else { return }
        isStoringSuspensions = true
        storedFor = waitingForSuspensions
        waitingForSuspensions = []
        filesInFlight += 1
        let path = suspensionsPath
        let owner = owner
        files.runAside {
            do throws(SuspensionFile.Failure) {
                try SuspensionFile.write(suspensions, to: path, owner: owner)
                return [.suspensionsStored(nil)]
            } catch {
                return [.suspensionsStored(error.description)]
            }
        }
    }

    func suspensionsStored(_ problem: String?) {
        isStoringSuspensions = false
        if let problem { log.error("suspensions-not-stored", ["reason": problem]) }
        let waiting = storedFor
        storedFor = []
        for deliver in waiting { deliver(problem) }
    }

    func suspend(_ suspension: Suspension, _ deliver: @escaping QueueSocket.Delivery) {
        guard let number = core.suspend(suspension) else {
            let text = "there are \(Suspensions.maximum) suspensions; end one with zmailer queue resume"
            return deliver("{\"error\":\"\(text)\"}\n", true)
        }
        log.notice(
            "suspended",
            [
                "number": "\(number)", "target": suspension.target, "until": suspension.until.map(String.init) ?? "-",
                "by": suspension.operatorName, "reason": suspension.reason,
            ])
        var stored = suspension
        stored.number = number
        waitingForSuspensions.append { problem in
            deliver(QueueJSON.line(stored, counts: nil, problem: problem), true)
        }
    }

    func resume(
        by note: OperatorNote, where isMeant: (Suspension) -> Bool, _ deliver: @escaping QueueSocket.Delivery
    ) {
        let ended = core.resume(where: isMeant)
        guard !ended.isEmpty else {
            return deliver("{\"error\":\"there is no such suspension; zmailer queue suspensions shows them\"}\n", true)
        }
        for suspension in ended {
            log.notice(
                "resumed",
                [
                    "number": "\(suspension.number)", "target": suspension.target, "by": note.operatorName,
                    "reason": note.reason,
                ])
        }
        waitingForSuspensions.append { problem in
            deliver(ended.map { QueueJSON.line($0, counts: nil, problem: problem) }.joined(), true)
        }
    }
}
