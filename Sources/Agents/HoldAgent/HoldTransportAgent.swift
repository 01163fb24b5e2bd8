import AgentKit
import AgentProtocol
import Glibc
import SpoolFormat
import Telemetry

/// Keeps mail until a condition is met and gives it to the router then (transport-agents.md §5).
final class HoldTransportAgent: TransportAgent {
    private let judge: HoldJudge
    private let resubmission: Resubmission
    private let log: EventLog?

    init(judge: HoldJudge, resubmission: Resubmission, log: EventLog? = nil) {
        self.judge = judge
        self.resubmission = resubmission
        self.log = log
    }

    /// Host of one job is one condition: it is looked at once.
    func deliver(_ job: DeliveryJob) {
        guard let condition = HoldCondition(job.host) else {
            // The operator can put it right; until then nothing is lost.
            let result = RecipientResult.deferred(
                status: "4.3.5", text: "'\(job.host)' is no condition to wait for; \(HoldCondition.valid)")
            for recipient in job.recipients { job.report(recipient, result) }
            return
        }
        switch judge.verdict(condition, arrival: job.id.unixTime, now: Int64(time(nil))) {
        case .met(let reason): release(job, reason)
        case .waiting(let reason, let seconds):
            let result = seconds.map { DeliveryResult.retry(afterSeconds: $0) } ?? .deferred
            for recipient in job.recipients {
                job.report(recipient, .deferred(result, status: "4.2.0", text: reason))
            }
        }
    }

    private func release(_ job: DeliveryJob, _ reason: String) {
        for part in Resubmission.parts(job.recipients) {
            do throws(Resubmission.Failure) {
                let id = try resubmission.submit(job, part, reason: "held for \(job.host)")
                log?.info(
                    "released",
                    [
                        "queue-id": "\(job.id)", "new-id": "\(id)", "recipients": "\(part.count)",
                        "condition": job.host, "reason": reason,
                    ])
                for recipient in part { job.report(recipient, Self.relayed(id)) }
            } catch {
                for recipient in part { job.report(recipient, error.result) }
            }
            // The new message is durable: a crash from here on must not make another one.
            job.flush()
        }
    }

    /// The sender's wishes for reports went along (RFC 3461 §5.2.1).
    private static func relayed(_ id: SpoolID) -> RecipientResult {
        var result = RecipientResult(
            .ok, .relayed, status: "2.2.0", text: "Relayed via deferral channel as \(id)",
            diagnostic: "x-local; 250 2.2.0 (Relayed via deferral channel)")
        result.isReportedElsewhere = true
        return result
    }
}
