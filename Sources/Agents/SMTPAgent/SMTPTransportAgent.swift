import AgentKit
import AgentProtocol
import MailModel
import Resolver
import SMTPProtocol
import SpoolFormat

/// The agent of channel `smtp`: delivers by SMTP or LMTP, over sessions that it keeps for the next message.
final class SMTPTransportAgent<Names: NameService>: TransportAgent {
    private let options: SMTPAgentOptions
    private let connector: Connector<Names>
    private let pool: ConnectionPool

    /// Recipients of one transaction where the server does not say otherwise (RFC 5321 §4.5.3.1.8 guarantees 100).
    private static var defaultRecipientLimit: Int { 100 }

    init(_ options: SMTPAgentOptions, connector: Connector<Names>) {
        self.options = options
        self.connector = connector
        pool = ConnectionPool(limit: options.maximumJobs, idleTime: options.timeouts.idle)
    }

    func tick() { pool.closeExpired() }
    func finish() { pool.closeAll() }

    func deliver(_ job: DeliveryJob) {
        if options.showsProgress { ProcessName.set("smtp \(job.host)") }
        guard let hop = options.punt ?? NextHop(job.host) else {
            let text = "'\(job.host)' is no next hop: valid are HOST, [ADDRESS], either with :PORT, and UNIX:/PATH"
            for recipient in job.recipients { job.report(recipient, .failed(status: "5.1.2", text: text)) }
            return
        }
        if options.isLMTP, hop.port ?? options.port == HostFinder<Names>.smtpPort, !hop.isUnixSocket {
            // RFC 2033 §5.
            let text = "LMTP is not spoken on port 25; give another with -p, -F or in the route"
            for recipient in job.recipients { job.report(recipient, .deferred(status: "4.3.5", text: text)) }
            return
        }
        let delivery = Delivery(
            job: job, hop: hop, isLMTP: options.isLMTP, demand: TLSDemand(job, to: hop),
            end: Deadline(after: options.timeouts.job))
        var connection = pool.take(delivery.use)
        for envelope in Envelope.all(of: job) {
            connection = send(envelope, delivery, connection)
        }
        let keeps = connection?.isOpen == true && !options.sendsOneMessagePerConnection
        if !keeps { connection?.quit() }
        pool.giveBack(keeps ? connection : nil, for: delivery.use)
    }

    /// Sends to all recipients of one envelope, in as many transactions as the server wants. Returns the session for the next.
    private func send(_ envelope: Envelope, _ delivery: Delivery, _ first: SMTPConnection?) -> SMTPConnection? {
        var connection = first
        var rest = envelope.recipients[...]
        var mayRepeat = true
        while !rest.isEmpty {
            if connection?.isOpen != true || (options.sendsOneMessagePerConnection && connection.isUsed) {
                connection?.quit()
                connection = connect(delivery, rest)
            }
            guard let open = connection else { return nil }
            let limit = max(1, open.capabilities.recipientLimit ?? Self.defaultRecipientLimit)
            let batch = rest.prefix(limit)
            let wasUsed = open.completedMessages > 0
            let stream = envelope.stream
            let message = envelope.message(to: batch, size: stream.size, requiresTLS: delivery.demand != .none)
            let outcome = open.send(message, stream, until: delivery.end)
            if outcome.mayRepeat, wasUsed, mayRepeat {
                // An idle session died under us: nothing was said about this message, so a fresh one is asked, once.
                mayRepeat = false
                continue
            }
            delivery.report(batch, outcome.results, of: open)
            rest = rest.dropFirst(batch.count)
            if !rest.isEmpty { delivery.job.flush() }
        }
        return connection
    }

    /// A new session; `nil` when there is none to be had, and the recipients have been told so.
    private func connect(_ delivery: Delivery, _ recipients: ArraySlice<EnvelopeEntry>) -> SMTPConnection? {
        switch connector.connect(delivery.hop, delivery.demand, until: delivery.end) {
        case .connected(let connection):
            return connection
        case .permanentFailure(let status, let text):
            delivery.report(recipients, .failed(status: status.description, text: text))
        case .temporaryFailure(let failure):
            // A host that takes no further connection while it serves us on others is no reason to stop the whole thread.
            let isBusy = failure.cause == .refusal && pool.hasOthers(delivery.use)
            // What a message with REQUIRETLS lacks, the others of its thread may not need.
            let isItsOwn = isBusy || delivery.demand != .none
            delivery.report(
                recipients,
                .deferred(isItsOwn ? .deferred : .deferredAll, status: failure.status, text: failure.text))
        }
        return nil
    }
}

extension SMTPConnection? {
    /// Whether it has carried a message.
    fileprivate var isUsed: Bool { (self?.completedMessages ?? 0) > 0 }
}
