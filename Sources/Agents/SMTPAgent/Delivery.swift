import AgentKit
import AgentProtocol
import Glibc
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

    /// One result for each entry, in order.
    func report(
        _ entries: ArraySlice<EnvelopeEntry>, _ results: [SMTPProtocol.RecipientResult], of connection: SMTPConnection
    ) {
        for (entry, result) in zip(entries, results) {
            var report = report(result, connection.endpoint)
            report.tls = connection.tlsText
            let recipient = entry.recipient.recipient
            report.tellsSender = report.action == .relayed && isRelayToBeTold(recipient, connection.capabilities)
            // The server got the sender's NOTIFY.
            report.isReportedElsewhere =
                connection.capabilities.hasDSN && report.result == .ok && recipient.notify.contains(.success)
                && !report.tellsSender
            job.report(entry.recipient, report, relay: connection.endpoint.relay)
        }
    }

    /// What sessions with this hop are kept for.
    var use: ConnectionPool.Use { ConnectionPool.Use(hop: hop, demand: demand) }

    /// RFC 2852 §4.1.4: each relay if it is traced; else the one after which nobody keeps the time in mind.
    private func isRelayToBeTold(_ recipient: ControlRecipient, _ capabilities: ServerCapabilities) -> Bool {
        guard let deliverBy = recipient.deliverBy, recipient.notify != .never else { return false }
        if deliverBy.isTraced { return true }
        return deliverBy.mode == .notify && !capabilities.hasDeliverBy && deliverBy.time > Int64(time(nil))
    }

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
                isAboutTheHost(result) ? .deferredAll : .deferred, status: status(result, class: 4),
                text: explanation(result, host, summary), diagnostic: diagnostic,
                remoteHost: host)
        case .usage, .protocolError, .noUser, .unavailable:
            return .failed(
                status: status(result, class: 5), text: explanation(result, host, summary), diagnostic: diagnostic,
                remoteHost: host)
        }
    }

    /// 421 before anything was said of recipients and content: the host has no time for anybody (RFC 5321 §3.8). Later it may be
    /// this message that it does not like, and the others of the thread are not to wait for it; nor for what only MAIL was
    /// refused with, which is about its sender and size.
    private func isAboutTheHost(_ result: SMTPProtocol.RecipientResult) -> Bool {
        result.reply.code == 421 && result.stage == .mail && !result.isLocal
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
