import AgentKit
import AgentProtocol
import MailModel
import SpoolFormat

/// Ends what waits in the queue, because an administrator says so (transport-agents.md §7). Delivers nothing.
final class ExpirerTransportAgent: TransportAgent {
    struct Settings: Hashable, Sendable {
        /// `-u`: only recipients of this address.
        var address: String?
        /// `-m`: told to the sender.
        var text = "deleted by the administrator"
        /// `-n`: nothing happens, all stay in the queue.
        var isDryRun = false
        /// `-s`: nobody is told.
        var isSilent = false
    }

    private let settings: Settings

    init(_ settings: Settings) { self.settings = settings }

    func deliver(_ job: DeliveryJob) {
        for recipient in job.recipients { job.report(recipient, result(recipient)) }
    }

    private func result(_ recipient: JobRecipient) -> RecipientResult {
        if let address = settings.address, !Self.isSame(address, recipient.address) {
            return .deferred(status: "4.3.2", text: "is not to be deleted: only \(address) is")
        }
        if settings.isDryRun { return .deferred(status: "4.3.2", text: "would be deleted: \(settings.text)") }
        if settings.isSilent {
            var result = RecipientResult(.ok, .delivered, status: "2.0.0", text: "deleted silently: \(settings.text)")
            result.isReportedElsewhere = true
            return result
        }
        return .failed(
            status: "5.7.0", text: settings.text,
            diagnostic: "x-local; 500 5.7.0 (Administrative deletion command) \(settings.text)")
    }

    /// Domains have no case (RFC 5321 §2.4), local parts may.
    static func isSame(_ one: String, _ other: String) -> Bool {
        guard let left = Mailbox(one), let right = Mailbox(other) else { return one == other }
        return left.localPart == right.localPart && left.domain.key == right.domain.key
    }
}
