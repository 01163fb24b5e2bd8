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

    /// - Parameter clock: nanoseconds that never go back; for how long sessions are kept idle.
    init(
        _ options: SMTPAgentOptions, connector: Connector<Names>,
        clock: @escaping @Sendable () -> Int64 = { Deadline.now }
    ) {
        self.options = options
        self.connector = connector
        pool = ConnectionPool(limit: options.maximumJobs, idleTime: options.timeouts.idle, now: clock)
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
        if let open = connection, isWornOut(open, delivery) {
            open.quit()
            connection = nil
        }
        if options.onlyConnects {
            test(job, delivery, connection)
            pool.giveBack(nil, for: delivery.use)
            return
        }
        for envelope in Envelope.all(of: job) {
            connection = send(envelope, delivery, connection)
        }
        if let open = connection, !open.isOpen || isWornOut(open, delivery) {
            open.quit()
            connection = nil
        }
        pool.giveBack(connection, for: delivery.use)
    }

    /// Whether the connection has carried as many messages as it may: one with `-1`, else what the job's clause says (`maxmsgs`).
    private func isWornOut(_ connection: SMTPConnection, _ delivery: Delivery) -> Bool {
        let limit = options.sendsOneMessagePerConnection ? 1 : delivery.job.limits.messagesPerConnection
        return limit.map { connection.completedMessages >= $0 } ?? false
    }

    /// Sends to all recipients of one envelope, in as many transactions as the server wants. Returns the session for the next.
    private func send(_ envelope: Envelope, _ delivery: Delivery, _ first: SMTPConnection?) -> SMTPConnection? {
        var connection = first
        var rest = envelope.recipients[...]
        var mayRepeat = true
        var hasChecked = false
        while !rest.isEmpty {
            if let open = connection, !open.isOpen || isWornOut(open, delivery) {
                open.quit()
                connection = nil
            }
            if connection == nil { connection = connect(delivery, rest) }
            guard let open = connection else { return nil }
            let batch = rest.prefix(max(1, open.recipientLimit ?? Self.defaultRecipientLimit))
            let wasUsed = open.completedMessages > 0
            if options.checksExchangers, !hasChecked {
                hasChecked = true
                rest = withoutObjection(rest, delivery, open)
                continue
            }
            guard let content = prepare(envelope, rest, delivery, open) else { return open }
            let message = envelope.message(to: batch, content, requiresTLS: delivery.demand != .none)
            let outcome = open.send(message, content.stream, until: delivery.end)
            note(outcome, of: open)
            if outcome.mayRepeat, wasUsed, mayRepeat {
                // An idle session died under us: nothing was said about this message, so a fresh one is asked, once.
                mayRepeat = false
                continue
            }
            let surplus = open.isOpen ? Self.surplus(batch, outcome.results) : []
            rest = rest.dropFirst(batch.count)
            if surplus.isEmpty {
                delivery.report(batch, outcome.results, of: open)
            } else {
                // RFC 5321 §4.5.3.1.10: the others go in a transaction of their own, at once.
                open.recipientLimit = batch.count - surplus.count
                let left = Set(surplus)
                let decided = batch.indices.filter { !left.contains($0) }
                delivery.report(
                    decided.map { batch[$0] }[...], decided.map { outcome.results[$0 - batch.startIndex] }, of: open)
                rest = (surplus.map { batch[$0] } + rest)[...]
            }
            if !rest.isEmpty { delivery.job.flush() }
        }
        return connection
    }

    /// What the connection has shown of its place.
    private func note(_ outcome: SMTPConnection.Outcome, of connection: SMTPConnection) {
        if outcome.hasStalled { connector.health.pipeliningFailed(connection.endpoint.place) }
        if !connection.isOpen, connection.hasBroken { connector.health.failed(connection.endpoint.place) }
    }

    /// `-D`: a session, and nothing over it.
    private func test(_ job: DeliveryJob, _ delivery: Delivery, _ kept: SMTPConnection?) {
        var relay = delivery.hop.description
        var connection = kept
        if connection == nil {
            switch connector.connect(delivery.hop, delivery.demand, until: delivery.end) {
            case .connected(let open): connection = open
            case .permanentFailure(let status, let text):
                for recipient in job.recipients {
                    job.report(
                        recipient, .deferred(status: "4.\(status.subject).\(status.detail)", text: text), relay: relay)
                }
                return
            case .temporaryFailure(let failure):
                for recipient in job.recipients {
                    job.report(recipient, .deferred(status: failure.status, text: failure.text), relay: relay)
                }
                return
            }
        }
        guard let connection else { return }
        relay = connection.endpoint.relay
        let result = AgentKit.RecipientResult.deferred(
            status: "4.0.0", text: "connection test alone (-D): \(relay) answers, TLS \(connection.tlsText)")
        for recipient in job.recipients { job.report(recipient, result, relay: relay) }
        connection.quit()
    }

    /// `-e`: those whose domain names the connected host; the others are told to wait.
    private func withoutObjection(
        _ entries: ArraySlice<EnvelopeEntry>, _ delivery: Delivery, _ connection: SMTPConnection
    ) -> ArraySlice<EnvelopeEntry> {
        var check = ExchangerCheck(connector.finder, connection.endpoint)
        var kept: [EnvelopeEntry] = []
        for entry in entries {
            if let objection = check.objection(to: entry) {
                delivery.job.report(
                    entry.recipient, .deferred(status: objection.status, text: objection.text),
                    relay: connection.endpoint.relay)
            } else {
                kept.append(entry)
            }
        }
        return kept[...]
    }

    /// The content in a form that the server takes; `nil`: there is none, and the recipients have been told so.
    private func prepare(
        _ envelope: Envelope, _ recipients: ArraySlice<EnvelopeEntry>, _ delivery: Delivery,
        _ connection: SMTPConnection
    ) -> PreparedContent? {
        do throws(FileError) {
            switch try options.conversion.prepare(envelope, for: connection.capabilities) {
            case .content(let content): return content
            case .refused(let reason):
                let text = "\(connection.endpoint): the message cannot be sent there: \(reason)"
                delivery.report(recipients, .failed(status: "5.6.3", text: text))
            }
        } catch {
            delivery.report(recipients, .deferred(status: "4.3.0", text: "message file cannot be read: \(error)"))
        }
        return nil
    }

    /// The indices of those in `batch` that were one too many for a transaction which was asked for others too; none unless each
    /// round leaves fewer to do.
    private static func surplus(
        _ batch: ArraySlice<EnvelopeEntry>, _ results: [SMTPProtocol.RecipientResult]
    ) -> [Int] {
        guard results.count == batch.count, results.contains(where: { $0.stage != .recipient }) else { return [] }
        return batch.indices.filter { results[$0 - batch.startIndex].isTooManyRecipients }
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
