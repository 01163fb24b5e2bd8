import MailModel
import SpoolFormat

/// What the core must know of a control file.
public struct LoadedMessage: Sendable {
    public var id: SpoolID
    public var arrived: UnixTime
    /// Octets of the message file.
    public var size: Int
    /// Empty for `<>`.
    public var sender: String
    /// No report is ever made about it.
    public var isErrorMessage: Bool
    public var recipients: [LoadedRecipient]

    public init(
        id: SpoolID, arrived: UnixTime, size: Int, sender: String, isErrorMessage: Bool, recipients: [LoadedRecipient]
    ) {
        self.id = id
        self.arrived = arrived
        self.size = size
        self.sender = sender
        self.isErrorMessage = isErrorMessage
        self.recipients = recipients
    }

    /// The sender of the first group is the message's; `arrived` is when the spool name was made.
    public init(_ file: ControlFile) {
        let sender = file.groups.first?.sender
        let isError = file.isErrorMessage || sender?.channel == "error" || (sender?.user.isEmpty ?? true)
        self.init(
            id: file.id, arrived: file.id.unixTime, size: file.messageSize,
            sender: isError ? "" : sender?.user ?? "", isErrorMessage: isError, recipients: [])
        // Results by recipient: the last one counts, delays are counted.
        var results: [Int: (last: ResultRecord, delays: Int)] = [:]
        for record in file.records {
            let delays = (results[record.offset]?.delays ?? 0) + (record.notary.action == .delayed ? 1 : 0)
            results[record.offset] = (record, delays)
        }
        for group in file.groups {
            for recipient in group.recipients {
                recipients.append(
                    LoadedRecipient(
                        recipient, headerOffset: group.headerOffset, hasErrorAddress: group.errorsTo != nil,
                        result: results[recipient.offset]))
            }
        }
    }
}

public struct LoadedRecipient: Sendable {
    public enum Outcome: Hashable, Sendable {
        case pending
        case delivered
        case failed
    }
    /// Identity within the message: the offset of its `r`.
    public var offset: Int
    public var headerOffset: Int
    public var notaryOffset: Int
    public var channel: String
    public var host: String
    public var address: String
    /// The envelope recipient if routing made another address of it.
    public var original: String?
    public var notify: Notify
    /// Whether there is anybody to report to.
    public var hasErrorAddress: Bool
    /// A lower bound after a restart (docs/spool.md §5).
    public var attempts: Int
    public var lastAttempt: UnixTime
    public var status: String
    public var problem: String
    public var outcome: Outcome
    /// The result stands in the file and its report has not been sent.
    public var isUnreported: Bool

    public init(
        offset: Int, channel: String, host: String, address: String, original: String? = nil,
        notify: Notify = .standard, hasErrorAddress: Bool = true
    ) {
        self.offset = offset
        headerOffset = -1
        notaryOffset = -1
        self.channel = channel
        self.host = host
        self.address = address
        self.original = original
        self.notify = notify
        self.hasErrorAddress = hasErrorAddress
        attempts = 0
        lastAttempt = 0
        status = ""
        problem = ""
        outcome = .pending
        isUnreported = false
    }

    init(
        _ recipient: ControlRecipient, headerOffset: Int, hasErrorAddress: Bool,
        result: (last: ResultRecord, delays: Int)?
    ) {
        self.init(
            offset: recipient.offset, channel: recipient.quad.channel, host: recipient.quad.host,
            address: recipient.quad.user, original: recipient.envelopeRecipient, notify: recipient.notify,
            hasErrorAddress: hasErrorAddress)
        if original == address { original = nil }
        self.headerOffset = headerOffset
        notaryOffset = recipient.notaryOffset
        switch recipient.tag {
        case .pending, .locked: outcome = .pending
        case .delivered: outcome = .delivered
        case .failed: outcome = .failed
        }
        guard let result else { return }
        status = result.last.notary.status
        problem = result.last.message
        // The record is the result; the tag only says it a second time.
        switch result.last.notary.action {
        case .delivered, .relayed, .expanded:
            outcome = .delivered
            isUnreported = !result.last.isReported
        case .failed:
            outcome = .failed
            isUnreported = !result.last.isReported
        case .delayed:
            // The k-th record of a delay was written at attempt 2^(k-1).
            attempts = 1 << min(20, max(0, result.delays - 1))
            lastAttempt = result.last.time
        }
    }
}
