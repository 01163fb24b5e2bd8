import AgentKit
import Glibc
import MailModel
import SMTPProtocol
import SpoolFormat

/// A recipient and how SMTP names it.
struct EnvelopeEntry {
    let recipient: JobRecipient
    let command: ClientMessage.Recipient
}

/// The recipients of a job that can share transactions: those of one group of the control file, with one deliver-by-time.
struct Envelope {
    let recipients: [EnvelopeEntry]
    private let reversePath: ReversePath
    private let control: ControlFile
    private let deliverBy: DeliverByTime?
    /// The message from its first octet.
    let stream: ContentStream
    /// Some octet of header or body is above 127.
    let hasEightBitOctets: Bool

    /// Recipients and senders that are no addresses are reported here: no server needs to be asked.
    static func all(of job: DeliveryJob) -> [Envelope] {
        var envelopes: [Envelope] = []
        var index = 0
        while index < job.recipients.count {
            let first = job.recipients[index]
            let members = job.recipients[index...].prefix {
                $0.group == first.group && $0.recipient.deliverBy == first.recipient.deliverBy
            }
            index += members.count
            if let envelope = Envelope(Array(members), of: job) { envelopes.append(envelope) }
        }
        return envelopes
    }

    private init?(_ members: [JobRecipient], of job: DeliveryJob) {
        guard let first = members.first else { return nil }
        if let sender = job.sender(of: first) {
            guard let mailbox = Mailbox(sender) else {
                for member in members {
                    job.report(member, .failed(status: "5.1.7", text: "'\(sender)' is no sender's address"))
                }
                return nil
            }
            reversePath = .mailbox(mailbox)
        } else {
            reversePath = .null
        }
        var entries: [EnvelopeEntry] = []
        for member in members {
            guard let path = Self.forwardPath(member.address) else {
                job.report(member, .failed(status: "5.1.3", text: "'\(member.address)' is no recipient's address"))
                continue
            }
            let recipient = ClientMessage.Recipient(
                path, notify: SMTPProtocol.Notify(member.recipient.notify.text),
                originalRecipient: member.recipient.originalRecipient)
            entries.append(EnvelopeEntry(recipient: member, command: recipient))
        }
        if entries.isEmpty { return nil }
        recipients = entries
        control = job.control
        deliverBy = first.recipient.deliverBy
        let header = job.header(of: first)
        stream = ContentStream(job.content, header: header)
        hasEightBitOctets = job.content.traits.hasEightBit || header?.contains { $0 >= 0x80 } == true
    }

    private static func forwardPath(_ address: String) -> ForwardPath? {
        if let mailbox = Mailbox(address) { return .mailbox(mailbox) }
        return asciiLowercased(address) == "postmaster" ? .postmaster : nil
    }

    /// It has 8-bit octets, or its sender has said that it may.
    var mayHaveEightBit: Bool { hasEightBitOctets || control.bodyType == BodyType.eightBitMIME.rawValue }

    /// It was accepted with SMTPUTF8.
    var isInternationalized: Bool { control.isInternationalized }

    func message(
        to batch: ArraySlice<EnvelopeEntry>, _ content: PreparedContent, requiresTLS: Bool
    ) -> ClientMessage {
        var message = ClientMessage(
            reversePath: reversePath, recipients: batch.map(\.command), size: content.stream.size)
        message.has8Bit = content.hasEightBit
        message.needsSMTPUTF8 = content.needsSMTPUTF8
        message.ret = control.notaryReturn.flatMap { ReturnContent(rawValue: $0.rawValue) }
        message.envelopeID = control.envelopeID
        message.isWireFormat = content.stream.isWireFormat
        message.deliverBy = deliverBy?.fromNow
        message.priority = control.priority?.value
        message.requiresTLS = requiresTLS
        return message
    }
}

extension DeliverByTime {
    /// MAIL is about to be sent: what is left of the time now (RFC 2852 §4.1.4).
    fileprivate var fromNow: ClientMessage.DeliverBy {
        let mode: ClientMessage.DeliverBy.Mode =
            switch self.mode {
            case .return: .return
            case .notify: .notify
            }
        return ClientMessage.DeliverBy(remaining: Int(time - Int64(Glibc.time(nil))), mode: mode, isTraced: isTraced)
    }
}

extension NextHop {
    var isUnixSocket: Bool {
        switch destination {
        case .unixSocket: true
        case .address, .domain: false
        }
    }
}
