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
    /// Not to be delivered before (RFC 4865).
    public var heldUntil: UnixTime?
    /// When what its recipients' ``LoadedRecipient/deadline`` says is to be done (RFC 2852).
    public var deliverBy: UnixTime?
    /// −9...9 (RFC 6710).
    public var priority: Int
    /// An operator keeps it back.
    public var hold: OperatorNote?

    public init(
        id: SpoolID, arrived: UnixTime, size: Int, sender: String, isErrorMessage: Bool, recipients: [LoadedRecipient],
        heldUntil: UnixTime? = nil, deliverBy: UnixTime? = nil, priority: Int = 0
    ) {
        self.heldUntil = heldUntil
        self.deliverBy = deliverBy
        self.priority = priority
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
            sender: isError ? "" : sender?.user ?? "", isErrorMessage: isError, recipients: [],
            heldUntil: file.release?.time, deliverBy: file.recipients.lazy.compactMap { $0.deliverBy?.time }.min(),
            priority: file.priority?.value ?? 0)
        var histories: [Int: RecipientHistory] = [:]
        for record in file.records { histories[record.offset, default: RecipientHistory()].add(record) }
        for group in file.groups {
            for recipient in group.recipients {
                recipients.append(
                    LoadedRecipient(
                        recipient, headerOffset: group.headerOffset, hasErrorAddress: group.errorsTo != nil,
                        history: histories[recipient.offset]))
            }
        }
        hold = Self.hold(file.records)
    }
}

extension LoadedMessage {
    /// Of holds and releases the last one counts.
    private static func hold(_ records: [ResultRecord]) -> OperatorNote? {
        guard let last = records.last(where: { $0.wish == .hold || $0.wish == .release }), last.wish == .hold else {
            return nil
        }
        return OperatorNote(last)
    }
}

/// The records of one recipient: the last result counts, delays are counted.
struct RecipientHistory {
    var last: ResultRecord?
    var delays = 0
    /// Its sender was, or is to be, told that it is late.
    var notice: ResultRecord?
    var end: LoadedRecipient.Wish?
    var move: LoadedRecipient.Wish?

    mutating func add(_ record: ResultRecord) {
        if let kind = record.wish {
            let wish = LoadedRecipient.Wish(kind: kind, note: OperatorNote(record))
            switch kind {
            case .remove, .bounce: end = wish
            case .move, .reroute: move = wish
            // They are the message's.
            case .hold, .release: break
            }
            return
        }
        if record.isDelayNotice {
            notice = record
            return
        }
        last = record
        if record.notary.action == .delayed { delays += 1 }
    }
}

public struct LoadedRecipient: Sendable {
    /// What an operator has asked for while an agent had it.
    public struct Wish: Hashable, Sendable {
        public var kind: OperatorWish
        public var note: OperatorNote
    }
    /// What is to be done when the deliver-by-time comes (RFC 2852 §4.1.3).
    public enum Deadline: UInt8, Sendable {
        /// Nothing, or nothing any more.
        case none
        /// It goes back.
        case `return`
        /// The sender is told.
        case notify
    }
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
    /// Likewise that it is late.
    public var hasUntoldDelay: Bool
    public var deadline: Deadline
    /// When the last record says that its sender was told that it is late; 0: never.
    public var toldAt: UnixTime
    /// That it is to go, and another destination; an end comes first.
    public var end: Wish?
    public var move: Wish?

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
        hasUntoldDelay = false
        deadline = .none
        toldAt = 0
    }

    init(
        _ recipient: ControlRecipient, headerOffset: Int, hasErrorAddress: Bool,
        history: RecipientHistory?
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
        deadline =
            switch recipient.deliverBy?.mode {
            case .return?: .return
            case .notify?: .notify
            case nil: .none
            }
        if let notice = history?.notice {
            // Of a time that came later the sender has not been told.
            if deadline == .notify, let time = recipient.deliverBy?.time, notice.time >= time { deadline = .none }
            toldAt = notice.time
            hasUntoldDelay = !notice.isReported
        }
        end = history?.end
        move = history?.move
        guard let history, let last = history.last else { return }
        status = last.notary.status
        problem = last.message
        // The record is the result; the tag only says it a second time.
        switch last.notary.action {
        case .delivered, .relayed, .expanded:
            outcome = .delivered
            isUnreported = !last.isReported
        case .failed:
            outcome = .failed
            isUnreported = !last.isReported
        case .delayed:
            // The k-th record of a delay was written at attempt 2^(k-1).
            attempts = 1 << min(20, max(0, history.delays - 1))
            lastAttempt = last.time
        }
    }
}
