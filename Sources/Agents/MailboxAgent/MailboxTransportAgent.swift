import AgentKit
import Glibc

/// Delivers to mailboxes, files and programs of this host (transport-agents.md §3).
final class MailboxTransportAgent: TransportAgent {
    private let settings: MailboxSettings
    private let resubmitter: Resubmitter?
    private let gate: DeliveryGate
    /// Milliseconds since 1970.
    private let started = SystemTime.milliseconds

    /// `resubmitter`: for `.forward`; without it what is to be forwarded waits.
    init(_ settings: MailboxSettings, resubmitter: Resubmitter? = nil, gate: DeliveryGate = DeliveryGate()) {
        self.settings = settings
        self.resubmitter = resubmitter
        self.gate = gate
    }

    func deliver(_ job: DeliveryJob) {
        for (index, recipient) in job.recipients.enumerated() {
            let delivery = LocalDelivery(
                settings: settings, gate: gate, started: started, resubmitter: resubmitter, job: job,
                recipient: recipient)
            let result: RecipientResult
            do throws(DeliveryProblem) { result = try delivery.run() } catch { result = settings.final(error) }
            job.report(recipient, result, relay: "local")
            // A crash repeats little, and a long list is not written line by line.
            if index % 16 == 15 { job.flush() }
        }
    }
}
