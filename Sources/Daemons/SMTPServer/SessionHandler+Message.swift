import Configuration
import MailModel
import NIOCore
import PeerIdentity
import Policy
import PolicyAsking
import Postoffice
import SMTPProtocol
import SpoolFormat
import TransportSecurity

/// The content of messages, on its way to the spool.
extension SessionHandler {
    func beginMessage(_ transaction: Transaction, _ replies: inout [UInt8]) {
        let trace = trace(transaction)
        message = IncomingMessage(
            transaction, id: loop.intake.postoffice.newID(), trace: trace, date: loop.date,
            submission: submission, extras: messageExtras, policy: policy, begun: loop.now, intake: loop.intake)
        guard message != nil else {
            pendingReason = "memory for messages is used up"
            let text = "Requested action not taken: insufficient storage"
            session.answer(.reply(Reply(452, EnhancedStatusCode(4, 3, 1), text)), into: &replies)
            return
        }
        size.octets = ReceiveSize.message
        isActive(loop.timeouts.data)
        session.answer(.accept, into: &replies)
    }

    private var submission: MessageEnvelope.Submission? {
        if client.account != nil { return .local }
        if session.authenticatedUser != nil { return .authenticated }
        return policy.isSubmission ? .client : nil
    }

    private func trace(_ transaction: Transaction) -> Trace {
        let configuration = profile.configuration
        var trace = Trace(
            clientName: session.peer.name ?? client.literal, clientLiteral: client.literal, clientPort: client.port,
            hostFlags: hostFlags, hello: session.hello, hostName: loop.settings.hostName,
            protocolName: Trace.protocolName(
                hello: session.hello, isLMTP: configuration.isLMTP, isSMTPUTF8: transaction.mail.isSMTPUTF8,
                isSecure: tlsInfo != nil,
                // The A of RFC 3848 is for the command AUTH.
                isAuthenticated: session.authenticatedUser != nil && client.account == nil,
                isBSMTP: loop.settings.options.isBSMTP || session.isBatch))
        if let account = client.account {
            trace.clientName = "localhost"
            trace.clientLiteral = "user=\(account.name) via=local"
        }
        trace.ident = arrival.ident
        trace.whoson = arrival.whoson?.traceText
        trace.user = session.authenticatedUser
        trace.cipher = tlsInfo.map { "\($0.protocolName) \($0.cipher) \($0.secretBits)" }
        trace.peerCommonName = tlsInfo?.peer?.commonName
        trace.shown = configuration.shownInTrace
        trace.priority = transaction.mail.priority
        return trace
    }

    private var messageExtras: IncomingMessage.Extras {
        IncomingMessage.Extras(
            arrived: loop.unixTime, user: session.authenticatedUser, isTrusted: policy.isTrusted,
            via: client.account == nil ? nil : "local")
    }

    /// Nothing when `-g` lets us believe everybody.
    private var hostFlags: String? {
        guard !loop.settings.options.isGullible, let address = client.address else { return nil }
        return Trace.hostFlags(
            reverse: policy.reverseFlags, name: session.peer.name, address: address, hello: session.hello?.argument)
    }

    func contentArrived(_ replies: inout [UInt8]) {
        guard let message else { return }
        let elapsed = loop.now - message.begun
        let allowed = loop.timeouts.data + message.contentSize / loop.timeouts.minimumDataRate
        guard elapsed <= allowed else {
            terminate(
                Reply(421, EnhancedStatusCode(4, 4, 2), "\(loop.settings.hostName) too slow, closing"),
                reason: "less than \(loop.timeouts.minimumDataRate) octets/s")
            return
        }
        isActive(min(loop.timeouts.data, max(1, allowed - elapsed + 1)))
        if message.contentSize > ReceiveSize.message { size.octets = ReceiveSize.largeMessage }
        guard message.needsSpill else { return }
        isSpilling = true
        let intake = loop.intake
        let octets = message.takeOctets()
        let id = message.id
        let draft = message.draft
        message.draft = nil
        let bound = NIOLoopBound(self, eventLoop: loop.loop)
        let eventLoop = loop.loop
        intake.pool.submit {
            do throws(PostofficeError) {
                let written = try intake.spill(id, draft, octets)
                eventLoop.execute { bound.value.spilled(written, nil) }
            } catch {
                eventLoop.execute { bound.value.spilled(nil, error) }
            }
        }
    }

    private func spilled(_ draft: MessageDraft?, _ error: PostofficeError?) {
        isSpilling = false
        guard phase == .open else { return }
        message?.draft = draft
        if let error {
            message = nil
            let refusal = loop.intake.refusal(error, session: sessionID)
            pendingReason = error.description
            reply { session.messageFailed(refusal, into: &$0) }
        } else {
            pump()
        }
    }

    func dropMessage() {
        message = nil
        size.octets = ReceiveSize.commands
    }

    func endMessage(_ summary: MessageSummary, _ replies: inout [UInt8]) {
        guard let message else {
            session.messageFailed(Reply(451, EnhancedStatusCode(4, 3, 0), "Local error"), into: &replies)
            return
        }
        size.octets = ReceiveSize.commands
        if loop.intake.isSpaceLow {
            self.message = nil
            pendingReason = "min-availspace"
            let text = "Requested action not taken: insufficient storage"
            session.messageFailed(Reply(452, EnhancedStatusCode(4, 3, 1), text), into: &replies)
            return
        }
        let (octets, traits) = message.finish(summary)
        let record = message.record(session: sessionID, client: client.literal)
        if wantsFiltering(of: message) {
            beginFiltering(record, octets, traits: traits)
            return
        }
        isCommitting = true
        let draft = message.draft
        message.draft = nil
        let bound = NIOLoopBound(self, eventLoop: loop.loop)
        let eventLoop = loop.loop
        let id = message.id
        let sender = message.transaction.reversePath.mailbox?.description ?? ""
        loop.intake.commitLater(record, draft, octets, traits: traits) { error in
            eventLoop.execute { bound.value.committed(id, sender: sender, recipients: record.recipients, error) }
        }
    }

    func committed(
        _ id: SpoolID, sender: String, recipients: Int, _ error: PostofficeError?, told verdict: Reply? = nil
    ) {
        isCommitting = false
        message = nil
        if error == nil, !policy.isNeedless(.stored) {
            var stored = question(.stored, sender: sender)
            stored.count = recipients
            loop.policy.tell(stored)
        }
        guard phase == .open else { return }
        isActive(loop.timeouts.command)
        if let error {
            let refusal = loop.intake.refusal(error, session: sessionID)
            pendingReason = error.description
            reply { session.messageFailed(refusal, into: &$0) }
        } else {
            accepted += 1
            reply { replies in
                if let verdict {
                    session.messageDecided([verdict], into: &replies)
                } else {
                    session.messageStored(as: id.description, into: &replies)
                }
            }
        }
        if loop.isStopping { stop() }
    }
}
