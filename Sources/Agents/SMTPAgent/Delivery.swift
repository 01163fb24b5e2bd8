import AgentKit
import AgentProtocol
import MailModel
import SMTPProtocol
import SpoolFormat

/// Turns what servers say into reports.
struct Delivery {
    let job: DeliveryJob
    let hop: NextHop
    let isLMTP: Bool
    let demand: TLSDemand
    /// What is not done by then is deferred.
    let end: Deadline

    /// The same for all: no session.
    func report(_ entries: ArraySlice<EnvelopeEntry>, _ result: AgentKit.RecipientResult) {
        for entry in entries { job.report(entry.recipient, result, relay: hop.description) }
    }

    /// One result for each entry, in order. `passesDSN`: the server got the sender's NOTIFY.
    func report(
        _ entries: ArraySlice<EnvelopeEntry>, _ results: [SMTPProtocol.RecipientResult], _ endpoint: Endpoint,
        passesDSN: Bool, tls: String
    ) {
        for (entry, result) in zip(entries, results) {
            var report = report(result, endpoint)
            report.tls = tls
            report.isReportedElsewhere =
                passesDSN && report.result == .ok && entry.recipient.recipient.notify.contains(.success)
            job.report(entry.recipient, report, relay: endpoint.relay)
        }
    }

    /// What sessions with this hop are kept for.
    var use: ConnectionPool.Use { ConnectionPool.Use(hop: hop, demand: demand) }

    func report(_ result: SMTPProtocol.RecipientResult, _ endpoint: Endpoint) -> AgentKit.RecipientResult {
        let summary = result.reply.summary
        let host = endpoint.description
        let diagnostic = result.isLocal ? "" : "smtp; \(summary)"
        switch result.disposition {
        case .success:
            return RecipientResult(
                .ok, isLMTP ? .delivered : .relayed, status: status(result, class: 2), text: summary,
                diagnostic: diagnostic, remoteHost: host)
        case .temporary:
            return .deferred(
                status: status(result, class: 4), text: explanation(result, host, summary), diagnostic: diagnostic,
                remoteHost: host)
        case .usage, .protocolError, .noUser, .unavailable:
            return .failed(
                status: status(result, class: 5), text: explanation(result, host, summary), diagnostic: diagnostic,
                remoteHost: host)
        }
    }

    private func explanation(
        _ result: SMTPProtocol.RecipientResult, _ host: String, _ summary: String
    ) -> String {
        result.isLocal ? "\(host): \(summary)" : "\(host) said: \(summary) (in reply to \(result.stage.command))"
    }

    /// The reply's own status where its class is ours, else its subject and detail, else X.0.0 (RFC 3463 §3.1).
    private func status(_ result: SMTPProtocol.RecipientResult, class: Int) -> String {
        guard let status = result.reply.status else { return "\(`class`).0.0" }
        return "\(`class`).\(status.subject).\(status.detail)"
    }
}
