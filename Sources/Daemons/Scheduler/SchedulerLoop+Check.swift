import Configuration
import Glibc
import ProgramKit
import Scheduling
import SpoolCheck
import SpoolFormat
import Synchronization
import Telemetry

/// The check of the queue by the scheduler itself (docs/spool.md §7): on a thread of its own, which asks this loop as any other program would.
final class QueueChecks: Sendable {
    /// Milliseconds from the start to the first: the router is up by then, and the queue known.
    static let firstDelay: Int64 = 300_000

    private let isRunning = Atomic<Bool>(false)

    /// Runs `work` unless the last one has not ended.
    func once(_ work: () -> Void) {
        guard !isRunning.exchange(true, ordering: .acquiring) else { return }
        work()
        isRunning.store(false, ordering: .releasing)
    }
}

extension SchedulerLoop {
    /// Starts a check. - Returns: when the next is due, in milliseconds of the steady clock.
    func checkQueue(at now: Int64) -> Int64 {
        guard let interval = keeping.checkInterval else { return .max }
        let keeper = QueueKeeper(postoffice, keeping, hostName: hostName, log: log)
        let (checks, metrics) = (checks, metrics)
        files.runAside {
            checks.once {
                if let summary = keeper.runOnOwnThread() { metrics.strays.set(summary.open) }
            }
            return []
        }
        return now + interval * 1000
    }

    /// `audit`: all messages, and what is missing for those that would wait for ever (docs/protocols.md §5).
    static func audit(_ scheduler: DeliveryScheduler, _ intake: Intake) -> QueueSocket.Answer {
        var ids = scheduler.messageIDs[...]
        var arriving = intake.ids[...]
        var hasEnded = false
        return {
            // What has gone meanwhile is passed over.
            while let id = ids.popFirst() {
                guard let message = scheduler.describe(id) else { continue }
                return AuditLine.message(id, problem: problem(message)).text
            }
            if let id = arriving.popFirst() { return AuditLine.message(id, problem: nil).text }
            defer { hasEnded = true }
            return hasEnded ? nil : AuditLine.end(isLoading: !intake.hasListed).text
        }
    }

    /// A recipient has an agent at work, or a next attempt, or waits for somebody's word (ETRN, release) until it expires.
    private static func problem(_ message: MessageDescription) -> String? {
        let endless = message.recipients.count {
            switch $0.state {
            case .delivered, .failed, .active: false
            default: $0.expires == nil
            }
        }
        guard endless > 0 else { return nil }
        return "recipients that no clause of scheduler.conf has a command for: \(endless)"
    }
}
