import MailModel
import SMTPProtocol
import SpoolFormat

/// The envelope of a message file from a mail transaction (docs/spool.md §2).
enum MessageHead {
    static func envelope(
        _ transaction: Transaction, trace: Trace, submission: MessageEnvelope.Submission?,
        extras: IncomingMessage.Extras, comments: [String] = []
    ) -> MessageEnvelope {
        var envelope = MessageEnvelope()
        envelope.isExternal = true
        // Larger than any file until the message has ended: what a power cut leaves of it is never taken for a message.
        envelope.traits = MessageTraits(size: .max)
        envelope.receivedFrom = trace.receivedFrom
        envelope.comments = comments + [trace.findings].compactMap { $0 }
        envelope.identInfo = trace.ident
        envelope.bodyType = transaction.mail.body?.rawValue
        envelope.with = trace.protocolName
        envelope.via = extras.via
        envelope.isInternationalized = transaction.mail.isSMTPUTF8
        envelope.submission = submission
        envelope.sender = transaction.reversePath.mailbox?.description
        envelope.envelopeID = transaction.mail.envelopeID
        envelope.notaryReturn =
            switch transaction.mail.ret {
            case .full?: .full
            case .headers?: .headers
            case nil: nil
            }
        apply(transaction.mail, extras, to: &envelope)
        envelope.recipients = transaction.recipients.map { recipient in
            EnvelopeRecipient(
                address: recipient.forwardPath.address, notify: notify(recipient.notify),
                originalRecipient: recipient.originalRecipient)
        }
        return envelope
    }

    /// What extensions of SMTP ask for.
    private static func apply(
        _ mail: MailCommand, _ extras: IncomingMessage.Extras, to envelope: inout MessageEnvelope
    ) {
        switch mail.hold {
        case .seconds(let seconds)?:
            envelope.release = FutureRelease(at: extras.arrived + Int64(seconds), interval: seconds)
        case .until(let time)?:
            envelope.release = FutureRelease(at: time)
        case nil:
            break
        }
        if let by = mail.deliverBy {
            envelope.deliverBy = DeliverByTime(
                extras.arrived + Int64(by.seconds), by.mode == .return ? .return : .notify, isTraced: by.isTraced)
        }
        // Strangers may stand back, and not push in (RFC 6710 §5.1).
        let isTrusted = extras.user != nil || extras.isTrusted
        envelope.priority = mail.priority.map { MessagePriority(isTrusted ? $0 : min($0, 0)) }
        envelope.requiresTLS = mail.requiresTLS
        envelope.authenticatedUser = extras.user
        // Of others the claim is worth nothing: "not known" is what is passed on (RFC 4954 §5).
        if let auth = mail.auth { envelope.submitter = Submitter(extras.user != nil || extras.isTrusted ? auth : "<>") }
    }

    /// What DATA or BDAT said, which the spool's readers need not find out again. `head` counts the `Received:` field.
    static func traits(_ summary: MessageSummary, received: [UInt8]) -> MessageTraits {
        var longest = summary.longestLine
        var line = 0
        var hasEightBit = summary.has8Bit
        for octet in received {
            if octet >= 0x80 { hasEightBit = true }
            if octet == 0x0a {
                longest = max(longest, line - 1)
                line = 0
            } else {
                line += 1
            }
        }
        return MessageTraits(
            size: summary.octets + received.count, hasDotLines: summary.dotLines > 0, hasEightBit: hasEightBit,
            longestLine: longest)
    }

    /// A field with its line end, in lines of 78 octets where its blanks allow that (RFC 5322 §2.1.1, §2.2.3), none
    /// longer than 998.
    static func folded(_ field: String) -> String {
        var lines: [String] = []
        var line = ""
        for word in field.split(separator: " ") {
            if !line.isEmpty, line.utf8.count + 1 + word.utf8.count > 78 {
                lines.append(line)
                line = "\t"
            } else if !line.isEmpty {
                line += " "
            }
            // No word of ours is that long; a stranger's address is at most 254 octets.
            line += word.utf8.count > 900 ? "-" : String(word)
        }
        lines.append(line)
        return lines.joined(separator: "\r\n") + "\r\n"
    }

    private static func notify(_ notify: SMTPProtocol.Notify?) -> SpoolFormat.Notify {
        guard let notify else { return .standard }
        var value: SpoolFormat.Notify = []
        if notify.contains(.success) { value.insert(.success) }
        if notify.contains(.failure) { value.insert(.failure) }
        if notify.contains(.delay) { value.insert(.delay) }
        return value
    }
}
