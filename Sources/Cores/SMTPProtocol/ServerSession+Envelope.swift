import MailModel

/// MAIL and RCPT (RFC 5321 §4.1.1.2–3).
extension ServerSession {
    func waiting(for what: String) -> Reply {
        Reply(503, EnhancedStatusCode(5, 5, 1), "Hello \(peer.literal), Waiting for \(what) command")
    }

    /// Whether HELO or EHLO must come first.
    var isGreetingDue: Bool {
        guard case .awaitingHello = state else { return false }
        return configuration.values.requiresHello && !style.contains(.sloppy)
    }

    /// Octets of content that are taken.
    var contentLimit: Int { maximumMessageSize > 0 ? maximumMessageSize : .max }

    mutating func receiveMail(_ mail: MailCommand, into replies: inout [UInt8]) -> Action? {
        if isGreetingDue {
            tell(waiting(for: "HELO/EHLO"), to: &replies)
            return nil
        }
        switch state {
        case .awaitingHello, .idle, .senderRefused, .chunksFailed:
            break
        case .greeting, .refused, .askingHello, .askingSender, .transaction, .asking, .startingTLS, .authenticating,
            .opening, .data, .chunk,
            .betweenChunks, .discarding, .committing, .closed, .modifying:
            tell(waiting(for: "RCPT"), to: &replies)
            return nil
        }
        let limit = min(contentLimit, Self.sizeCeiling)
        if let size = mail.size, size > limit {
            let text = "Message of \(size) octets exceeds the maximum of \(limit) octets"
            refuseSender(Reply(552, EnhancedStatusCode(5, 3, 4), text), &replies)
            return nil
        }
        if let obstacle = obstacle(to: mail) {
            refuseSender(obstacle, &replies)
            return nil
        }
        state = .askingSender(mail)
        return .ask(.sender(mail))
    }

    /// For a reason of its own, whatever became of a sender before it.
    private mutating func refuseSender(_ reply: Reply, _ replies: inout [UInt8]) {
        state = .idle
        tell(reply, to: &replies)
        state = .senderRefused(isTransient: false)
    }

    /// What is asked for in time must be something that we can do.
    private func obstacle(to mail: MailCommand) -> Reply? {
        let values = configuration.values
        let held: Int64? =
            switch mail.hold {
            case .seconds(let seconds)?: Int64(seconds)
            case .until(let time)?: time - surroundings.unixTime
            case nil: nil
            }
        if let held, held > values.maximumHold {
            let text = "A message can be held for \(values.maximumHold) seconds at most"
            return Reply(501, EnhancedStatusCode(5, 5, 4), text)
        }
        if let by = mail.deliverBy, by.mode == .return, by.seconds < values.minimumDeliverBy {
            return Reply(553, EnhancedStatusCode(5, 7, 1), "BY must be \(values.minimumDeliverBy) seconds at least")
        }
        return nil
    }

    /// RFC 4865 is for submission: a stranger's mail is not kept for him.
    var offersHold: Bool {
        configuration.values.extensions.contains(.futureRelease)
            && (configuration.values.requiresAuthentication || authenticatedUser != nil || surroundings.isTrusted)
    }

    mutating func answerSender(_ mail: MailCommand, _ answer: Answer, into replies: inout [UInt8]) {
        switch answer {
        case .accept, .acceptStyle, .challenge, .authenticated:
            state = .transaction(Transaction(mail), pending: [])
            if mail.sourceRoute != nil, !configuration.values.keepsSourceRoute {
                configuration.encoder.encode(250, "2.1.0", "Sender syntax Ok, source route ignored", into: &replies)
            } else {
                configuration.encoder.encode(250, "2.1.0", "Sender syntax Ok", into: &replies)
            }
        case .reply(let reply), .close(let reply):
            tell(reply, to: &replies)
            if reply.isPositive {
                state = .transaction(Transaction(mail), pending: [])
            } else {
                state = .senderRefused(isTransient: reply.isPersistentTransient)
            }
        }
    }

    /// Recipients that the transaction may have.
    func recipientLimit(_ transaction: Transaction) -> Int {
        let values = configuration.values
        guard transaction.reversePath == .null else { return values.maximumRecipients }
        return min(values.maximumRecipients, values.maximumErrorRecipients)
    }

    mutating func receiveRecipient(_ recipient: RecipientCommand, into replies: inout [UInt8]) -> Action? {
        switch state {
        case .transaction(let transaction, var pending):
            guard transaction.recipients.count + pending.count < recipientLimit(transaction) else {
                tell(tooManyRecipients(transaction, 552), to: &replies)
                return nil
            }
            var recipient = recipient
            if configuration.values.forcesNotifyNever { recipient.notify = .never }
            state = .modifying
            pending.append(recipient)
            state = .transaction(transaction, pending: pending)
            return .ask(.recipient(transaction.mail, recipient))
        case .senderRefused(let isTransient):
            let text = "Hello \(peer.literal), access denied by the policy analysis functions by earlier rejection"
            let reply =
                isTransient
                ? Reply(450, EnhancedStatusCode(4, 7, 1), text) : Reply(550, EnhancedStatusCode(5, 7, 1), text)
            tell(reply, to: &replies)
        case .greeting, .refused, .awaitingHello, .askingHello, .idle, .askingSender, .asking, .startingTLS,
            .authenticating, .opening, .data, .chunk,
            .betweenChunks,
            .discarding, .chunksFailed, .committing, .closed, .modifying:
            tell(waiting(for: isGreetingDue ? "HELO/EHLO" : "MAIL"), to: &replies)
        }
        return nil
    }

    private func tooManyRecipients(_ transaction: Transaction, _ code: Int) -> Reply {
        let limit = configuration.values.maximumErrorRecipients
        if transaction.reversePath == .null, limit < configuration.values.maximumRecipients {
            return Reply(
                code, EnhancedStatusCode(5, 7, 1), "SPAM trap -- too many recipients for an empty source address!")
        }
        return Reply(452, EnhancedStatusCode(4, 5, 3), "Too many recipients in one go!")
    }

    mutating func answerRecipient(_ answer: Answer, into replies: inout [UInt8]) {
        guard case .transaction(var transaction, var pending) = state, !pending.isEmpty else { return }
        state = .modifying
        let command = pending.removeFirst()
        switch answer {
        case .accept, .acceptStyle, .challenge, .authenticated:
            transaction.recipients.append(Recipient(command))
            writeAccepted(command, size: transaction.mail.size, into: &replies)
        case .reply(let reply), .close(let reply):
            if reply.isPositive { transaction.recipients.append(Recipient(command)) }
            tell(reply, to: &replies)
        }
        state = .transaction(transaction, pending: pending)
    }

    private func writeAccepted(_ command: RecipientCommand, size: Int?, into replies: inout [UInt8]) {
        let text: String
        if let size {
            text = "Ok; can accomodate \(size) byte message for \(command.forwardPath)"
        } else if command.sourceRoute != nil, !configuration.values.keepsSourceRoute {
            text = "Recipient address syntax Ok, source route ignored; rcpt=\(command.forwardPath)"
        } else {
            text = "Recipient address syntax Ok; rcpt=\(command.forwardPath)"
        }
        configuration.encoder.line(250, EnhancedStatusCode(2, 1, 5), text, isLast: true, into: &replies)
    }
}
