import Glibc
import MailModel
import Postoffice
import SpoolFormat

/// Gives recipients of a routed message back to the router as a message of its own: same sender, envelope id and wishes for reports, same
/// header and body, octet for octet, with a `Received` field on top, by which rounds are counted. It is durable when ``submit(_:_:)``
/// returns; whoever dies between that and the report of its recipients has made a duplicate, which no name could prevent: the first copy
/// may be delivered and gone before the second is made.
public struct Resubmission: Sendable {
    private let postoffice: Postoffice
    private let notice: NoticeSender
    private let hostName: String
    /// `via` of the envelope and of the field: `suspension`.
    private let via: String

    public struct Failure: Error, Hashable, Sendable {
        /// `4.3.1` (RFC 3463 §3.4).
        public let status: String
        public let text: String

        /// Temporary, whatever it is: it is the trouble of this host.
        public var result: RecipientResult { .deferred(status: status, text: text) }
    }

    public init(postoffice: Postoffice, notice: NoticeSender, hostName: String, via: String) {
        self.postoffice = postoffice
        self.notice = notice
        self.hostName = hostName
        self.via = via
    }

    /// Those who can be recipients of one message: of one sender and header, with one time to be delivered by.
    public static func parts(_ recipients: [JobRecipient]) -> [[JobRecipient]] {
        struct Key: Hashable {
            let group: Int
            let deliverBy: DeliverByTime?
        }
        var parts: [[JobRecipient]] = []
        var positions: [Key: Int] = [:]
        for recipient in recipients {
            let key = Key(group: recipient.group, deliverBy: recipient.recipient.deliverBy)
            if let position = positions[key] {
                parts[position].append(recipient)
            } else {
                positions[key] = parts.count
                parts.append([recipient])
            }
        }
        return parts
    }

    /// One message for `recipients`, which must be one of ``parts(_:)``; `reason` is told in the `Received` field.
    public func submit(
        _ job: DeliveryJob, _ recipients: [JobRecipient], reason: String
    ) throws(Failure) -> SpoolID {
        let id = postoffice.newID()
        do throws(Trouble) {
            let draft = try Trouble.of { () throws(PostofficeError) in try postoffice.draft(id) }
            try write(job, recipients, id, reason, to: draft)
            try Trouble.of { () throws(PostofficeError) in try draft.commit() }
        } catch {
            switch error {
            case .store(let error):
                throw Failure(
                    status: error.kind == .full ? "4.3.1" : "4.3.0", text: "the message cannot be stored: \(error)")
            case .content(let error):
                throw Failure(status: "4.3.0", text: "message file: \(error)")
            }
        }
        notice.send(id)
        return id
    }

    private enum Trouble: Error {
        case store(PostofficeError)
        case content(FileError)

        static func of<Value>(_ body: () throws(PostofficeError) -> Value) throws(Trouble) -> Value {
            do throws(PostofficeError) { return try body() } catch { throw .store(error) }
        }

        static func of<Value>(_ body: () throws(FileError) -> Value) throws(Trouble) -> Value {
            do throws(FileError) { return try body() } catch { throw .content(error) }
        }
    }

    /// Octets that are copied at a time.
    private static let pieceSize = 128 << 10

    private func write(
        _ job: DeliveryJob, _ recipients: [JobRecipient], _ id: SpoolID, _ reason: String, to draft: MessageDraft
    ) throws(Trouble) {
        let content = job.content
        let field = Self.lines(traceField(job, id, reason), content.format)
        let header = recipients.first.flatMap { job.header(of: $0) }.map { header in
            Self.lines(header + (header.last == 0x0a ? [0x0a] : [0x0a, 0x0a]), content.format)
        }
        let start = header == nil ? 0 : content.headerCount
        var envelope = try Trouble.of { () throws(FileError) in try content.envelope() } ?? MessageEnvelope()
        prepare(&envelope, job, recipients)
        envelope.traits = MessageTraits(
            size: field.count + (header?.count ?? 0) + content.count - start,
            hasDotLines: content.traits.hasDotLines, hasEightBit: content.traits.hasEightBit,
            longestLine: max(content.traits.longestLine, Self.longestLine(field + (header ?? []))))
        try Trouble.of { () throws(PostofficeError) in
            try draft.append(pieces: [envelope.encoded(), field, header ?? []])
        }
        var offset = start
        while offset < content.count {
            let range = offset..<min(content.count, offset + Self.pieceSize)
            let piece = try Trouble.of { () throws(FileError) in try content.octets(in: range) }
            // A file that has become shorter is not the message.
            guard piece.count == range.count else {
                throw .content(FileError(call: "read", path: "\(job.id)", code: EIO))
            }
            try Trouble.of { () throws(PostofficeError) in try draft.append(piece) }
            offset = range.upperBound
        }
    }

    /// What the message file says of where the message came from stays; what it asks for is that of the control file.
    private func prepare(_ envelope: inout MessageEnvelope, _ job: DeliveryJob, _ recipients: [JobRecipient]) {
        let control = job.control
        envelope.format = job.content.format
        envelope.sender = recipients.first.flatMap { job.sender(of: $0) }
        envelope.recipients = recipients.map {
            EnvelopeRecipient(
                address: $0.address, notify: $0.recipient.notify, originalRecipient: $0.recipient.originalRecipient)
        }
        envelope.via = via
        envelope.isErrorMessage = control.isErrorMessage
        envelope.envelopeID = control.envelopeID
        envelope.notaryReturn = control.notaryReturn
        envelope.bodyType = control.bodyType
        envelope.isInternationalized = control.isInternationalized
        envelope.priority = control.priority
        envelope.requiresTLS = control.requiresTLS
        envelope.submitter = control.submitter
        envelope.deliverBy = recipients.first?.recipient.deliverBy
        // Its time has come, and its header is complete.
        envelope.release = nil
        envelope.submission = nil
    }

    /// RFC 5321 §4.4; the waiting is a comment.
    private func traceField(_ job: DeliveryJob, _ id: SpoolID, _ reason: String) -> [UInt8] {
        let comment = ReportText.cleaned(reason, maximumLength: 200).filter { !"()\\".contains($0) }
        let date = CalendarDate(unixTime: id.unixTime).rfc5322
        return Array("Received: by \(hostName) via \(via) id \(id)\n\t(\(job.id) \(comment)); \(date)\n".utf8)
    }

    /// CRLF and LF lines with the line ends of `format`.
    private static func lines(_ octets: [UInt8], _ format: MessageEnvelope.LineFormat) -> [UInt8] {
        var out: [UInt8] = []
        out.reserveCapacity(octets.count + octets.count / 16)
        for (index, octet) in octets.enumerated() {
            let isLineEnd = octet == 0x0d && index + 1 < octets.count && octets[index + 1] == 0x0a
            if isLineEnd { continue }
            if octet == 0x0a, format == .crlf { out.append(0x0d) }
            out.append(octet)
        }
        return out
    }

    private static func longestLine(_ octets: [UInt8]) -> Int {
        Octets.split(octets[...], at: 0x0a).map { $0.last == 0x0d ? $0.count - 1 : $0.count }.max() ?? 0
    }
}
