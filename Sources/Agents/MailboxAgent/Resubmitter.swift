import AgentKit
import ChildProcesses
import Glibc
import MailModel
import Postoffice
import SpoolFormat

/// Puts a user's mail back into `router/` for the addresses of his `.forward`: the message as it is, with a trace of him in front.
/// Durable when it returns.
final class Resubmitter: Sendable {
    private let postoffice: Postoffice
    private let notice: NoticeSender
    private let hostName: String
    /// Under which spool files are made; `nil`: the agent's own.
    private let owner: ChildRequest.Identity?

    /// As root the files are made as the spool's owner: the router must be able to read them.
    init(postoffice: Postoffice, notice: NoticeSender, hostName: String) {
        self.postoffice = postoffice
        self.notice = notice
        self.hostName = hostName
        var information = stat()
        let hasOwner = geteuid() == 0 && stat(postoffice.root, &information) == 0 && information.st_uid != 0
        owner = hasOwner ? ChildRequest.Identity(uid: information.st_uid, gid: information.st_gid) : nil
    }

    var root: String { postoffice.root }

    /// The new message for `addresses`. `user`: in whose name; `mark`: what is found in it when it comes back to him.
    func submit(
        _ job: DeliveryJob, _ recipient: JobRecipient, to addresses: [String], user: String, mark: String,
        notify: Notify
    ) throws(DeliveryProblem) -> SpoolID {
        let id = postoffice.newID()
        var envelope = Self.envelope(job, recipient, addresses, notify)
        envelope.authenticatedUser = user
        let content = Content(job, recipient, trace: trace(id, recipient, user, mark))
        envelope.traits = content.traits
        try asOwner { () throws(DeliveryProblem) in try self.write(id, envelope, content) }
        notice.send(id)
        return id
    }

    private func write(_ id: SpoolID, _ envelope: MessageEnvelope, _ content: Content) throws(DeliveryProblem) {
        do throws(PostofficeError) {
            let draft = try postoffice.draft(id)
            try draft.append(pieces: [envelope.encoded(), content.front])
            var failure: FileError?
            try content.forEachPiece({ failure = $0 }) { (piece) throws(PostofficeError) in try draft.append(piece) }
            if let failure { throw PostofficeError(.system, failure.path, failure.description) }
            try draft.commit()
        } catch {
            throw .temporary(
                error.kind == .full ? "4.3.1" : "4.3.0", "the forwarded message cannot be stored: \(error)")
        }
    }

    func asOwner(_ body: () throws(DeliveryProblem) -> Void) throws(DeliveryProblem) {
        try Identity.perform(as: owner, body)
    }

    /// RFC 3461 §5.2.7: an alias, not a list: the sender stays, and what he has asked for goes along.
    private static func envelope(
        _ job: DeliveryJob, _ recipient: JobRecipient, _ addresses: [String], _ notify: Notify
    ) -> MessageEnvelope {
        let control = job.control
        var envelope = MessageEnvelope()
        envelope.format = control.format
        envelope.sender = job.sender(of: recipient)
        envelope.isErrorMessage = control.isErrorMessage
        envelope.bodyType = control.bodyType
        envelope.via = "forward"
        envelope.isInternationalized = control.isInternationalized
        envelope.envelopeID = control.envelopeID
        envelope.notaryReturn = control.notaryReturn
        envelope.deliverBy = recipient.recipient.deliverBy
        envelope.priority = control.priority
        envelope.requiresTLS = control.requiresTLS
        envelope.submitter = control.submitter
        let original = recipient.recipient.originalRecipient ?? Self.original(recipient.recipient.envelopeRecipient)
        envelope.recipients = addresses.map {
            EnvelopeRecipient(address: $0, notify: notify, originalRecipient: original)
        }
        return envelope
    }

    /// So that a report names the address that the sender knows.
    private static func original(_ address: String?) -> String? {
        guard let address, address.utf8.allSatisfy({ $0 < 0x80 }) else { return nil }
        return "rfc822;\(XText.encode(address.utf8))"
    }

    /// CRLF lines. The `Received` field makes every turn of a circle count.
    private func trace(_ id: SpoolID, _ recipient: JobRecipient, _ user: String, _ mark: String) -> String {
        var text = ""
        for address in Set([recipient.recipient.envelopeRecipient, mark].compactMap(\.self)).sorted() {
            text += "Delivered-To: \(TraceFields.clean(address))\r\n"
        }
        let date = CalendarDate(unixTime: SystemTime.milliseconds / 1000).rfc5322
        let by = String(user.unicodeScalars.map { "()\\".unicodeScalars.contains($0) ? "_" : Character($0) })
        return text + "Received: by \(hostName) (.forward of \(TraceFields.clean(by)))\r\n\tid \(id); \(date)\r\n"
    }

    /// The octets behind the envelope.
    private struct Content {
        private let source: MessageContent
        /// Trace, and a header that replaces the message's own.
        let front: [UInt8]
        /// Of ``source``, behind `front`.
        private let start: Int
        private(set) var traits: MessageTraits

        init(_ job: DeliveryJob, _ recipient: JobRecipient, trace: String) {
            source = job.content
            var octets = Array(trace.utf8)
            if let header = job.header(of: recipient) {
                octets += header + [0x0d, 0x0a]
                start = source.headerCount
            } else {
                start = 0
            }
            if source.format == .lf {
                let count = octets.withUnsafeMutableBytes { Octets.removeCarriageReturns($0) }
                octets.removeLast(octets.count - count)
            }
            front = octets
            traits = source.traits
            traits.size = front.count + source.count - start
            traits.hasEightBit = traits.hasEightBit || front.contains { $0 >= 0x80 }
            for line in front.split(separator: 0x0a) {
                traits.longestLine = max(traits.longestLine, line.count - (line.last == 0x0d ? 1 : 0))
                traits.hasDotLines = traits.hasDotLines || line.first == UInt8(ascii: ".")
            }
        }

        func forEachPiece(
            _ failed: (FileError) -> Void, _ body: (UnsafeRawBufferPointer) throws(PostofficeError) -> Void
        ) throws(PostofficeError) {
            let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: LocalCopy.pieceSize, alignment: 16)
            defer { buffer.deallocate() }
            var offset = start
            while offset < source.count {
                let count: Int
                do throws(FileError) {
                    count = try source.read(into: buffer, at: offset)
                    if count == 0 { throw FileError(call: "read", path: "message file", code: EIO) }
                } catch {
                    return failed(error)
                }
                try body(UnsafeRawBufferPointer(rebasing: buffer[..<count]))
                offset += count
            }
        }
    }
}
