import AgentKit
import AgentProtocol
import SpoolFormat
import Telemetry

/// Puts recipients that wait in the queue back through the router (transport-agents.md §7): after a change of routes or aliases. What
/// is done already stays done; the others go as a new message, and their age begins anew.
final class RerouteTransportAgent: TransportAgent {
    private let resubmission: Resubmission
    private let log: EventLog?

    init(resubmission: Resubmission, log: EventLog? = nil) {
        self.resubmission = resubmission
        self.log = log
    }

    func deliver(_ job: DeliveryJob) {
        var addressed: [JobRecipient] = []
        for recipient in job.recipients {
            if Self.isAddress(recipient) {
                addressed.append(recipient)
            } else {
                job.report(
                    recipient,
                    .deferred(status: "4.3.2", text: "a file or program of a table is no address that could be routed"))
            }
        }
        for part in Resubmission.parts(addressed) {
            do throws(Resubmission.Failure) {
                let id = try resubmission.submit(
                    job, part, reason: "routed again, was \(part[0].recipient.quad.channel)")
                log?.info(
                    "rerouted", ["queue-id": "\(job.id)", "new-id": "\(id)", "recipients": "\(part.count)"])
                for recipient in part { job.report(recipient, Self.relayed(id)) }
            } catch {
                for recipient in part { job.report(recipient, error.result) }
            }
            // The new message is durable: a crash from here on must not make another one.
            job.flush()
        }
    }

    /// The router makes hosts `file.alias` and `pipe.alias` of what a table names; an address never has these.
    private static func isAddress(_ recipient: JobRecipient) -> Bool {
        let quad = recipient.recipient.quad
        return quad.channel != "local" || !(quad.host.hasPrefix("file.") || quad.host.hasPrefix("pipe."))
    }

    /// The sender's wishes for reports went along (RFC 3461 §5.2.1).
    private static func relayed(_ id: SpoolID) -> RecipientResult {
        var result = RecipientResult(
            .ok, .relayed, status: "2.2.0", text: "Rerouted as \(id)", diagnostic: "x-local; 250 2.2.0 (Rerouted)")
        result.isReportedElsewhere = true
        return result
    }
}
