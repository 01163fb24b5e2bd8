import MailModel

/// `channel host user attributes` (router.md §6): where mail comes from or goes to.
public struct Quad: Hashable, Sendable {
    /// No blanks.
    public var channel: String
    /// No blanks; `-` when there is none.
    public var host: String
    /// An address or local part; may be quoted and hold blanks.
    public var user: String
    /// The uid under which files and programs are written and run.
    public var privilege: Int

    public init(channel: String, host: String, user: String, privilege: Int) {
        self.channel = channel
        self.host = host
        self.user = user
        self.privilege = privilege
    }
}

/// One recipient of a control file: an `r` line and its `N` line.
public struct ControlRecipient: Hashable, Sendable {
    /// The second byte of the `r` line.
    public enum Tag: UInt8, Hashable, Sendable {
        case pending = 0x20
        case locked = 0x7e
        case delivered = 0x2b
        case failed = 0x2d
    }
    public var tag: Tag
    /// The pid of a foreign agent that holds it; ours never write it.
    public var lockHolder: Int?
    public var quad: Quad
    public var notify: Notify
    /// `type;xtext`.
    public var originalRecipient: String?
    /// The envelope recipient from which routing made this one; the same in every expansion of an alias.
    public var envelopeRecipient: String?
    /// The `BY=` of its `N` line: what the sender has asked for with DELIVERBY, as far as it concerns this recipient.
    public var deliverBy: DeliverByTime?
    /// Byte offset of its `r`: the identity of the recipient within the message (spool.md §5). Set by parsing and encoding.
    public var offset: Int
    /// Byte offset of its `N` line, −1 if it has none.
    public var notaryOffset: Int

    public init(
        quad: Quad, notify: Notify = .standard, originalRecipient: String? = nil, envelopeRecipient: String? = nil
    ) {
        self.tag = .pending
        self.lockHolder = nil
        self.quad = quad
        self.notify = notify
        self.originalRecipient = originalRecipient
        self.envelopeRecipient = envelopeRecipient
        self.deliverBy = nil
        self.offset = 0
        self.notaryOffset = -1
    }
}

/// Recipients that share a sender, an error address and a header.
public struct ControlGroup: Hashable, Sendable {
    public var sender: Quad
    /// Where reports go; `nil`: nowhere (the message is a report itself).
    public var errorsTo: String?
    public var recipients: [ControlRecipient]
    /// A header that replaces the message's own, CRLF lines without the empty line; `nil`: the message file's header is used.
    public var header: [UInt8]?
    /// Byte offset of the header block's first octet, −1 if there is none.
    public var headerOffset: Int

    public init(sender: Quad, errorsTo: String?, recipients: [ControlRecipient], header: [UInt8]? = nil) {
        self.sender = sender
        self.errorsTo = errorsTo
        self.recipients = recipients
        self.header = header
        self.headerOffset = -1
    }
}

/// A control file: a head derived from the message file, and the records that the scheduler appends (docs/spool.md §3).
public struct ControlFile: Hashable, Sendable {
    /// The message file's name in `queue/`.
    public var id: SpoolID
    /// Octets in front of the header section of the message file.
    public var headerStart: Int
    /// Offset of the body: the first octet behind the empty line.
    public var bodyOffset: Int
    /// Octets of the message file: a shorter one is not the file that was routed.
    public var messageSize: Int
    /// The Message-Id, or empty.
    public var logID: String
    public var envelopeID: String?
    public var notaryReturn: NotaryReturn?
    public var format: MessageEnvelope.LineFormat
    public var traits: MessageTraits
    public var isInternationalized: Bool
    public var isErrorMessage: Bool
    public var bodyType: String?
    /// `E holduntil`.
    public var release: FutureRelease?
    /// `E mtpriority`.
    public var priority: MessagePriority?
    /// `E requiretls`.
    public var requiresTLS: Bool
    /// `E smtpauth`.
    public var submitter: Submitter?
    public var groups: [ControlGroup]
    /// Lines `E name value` that this version does not know.
    public var extensions: [String]
    public var records: [ResultRecord]

    public init(
        id: SpoolID, headerStart: Int, bodyOffset: Int, messageSize: Int, logID: String, groups: [ControlGroup]
    ) {
        self.id = id
        self.headerStart = headerStart
        self.bodyOffset = bodyOffset
        self.messageSize = messageSize
        self.logID = logID
        self.envelopeID = nil
        self.notaryReturn = nil
        self.format = .crlf
        self.traits = MessageTraits()
        self.isInternationalized = false
        self.isErrorMessage = false
        self.bodyType = nil
        self.release = nil
        self.priority = nil
        self.requiresTLS = false
        self.submitter = nil
        self.groups = groups
        self.extensions = []
        self.records = []
    }

    /// The newest format that is read here.
    public static let version = 2

    /// The format that a reader must know. Whoever does not know 2 would deliver too early, too late or in clear text what its
    /// sender wanted otherwise; he has to leave it alone. All other messages stay readable for versions before it.
    var neededVersion: Int {
        let isPromise =
            release != nil || requiresTLS || recipients.contains { $0.deliverBy.map { $0.mode == .return } ?? false }
        return isPromise ? 2 : 1
    }

    public var recipients: some Sequence<ControlRecipient> { groups.lazy.flatMap(\.recipients) }

    /// The group and recipient whose `r` is at `offset`.
    public func recipient(at offset: Int) -> (group: ControlGroup, recipient: ControlRecipient)? {
        for group in groups {
            for recipient in group.recipients where recipient.offset == offset { return (group, recipient) }
        }
        return nil
    }
}

public enum ControlFileError: Error, Hashable, Sendable, CustomStringConvertible {
    /// The head has no valid checksum line: route the message again.
    case torn
    /// A newer version or a flag that must be understood.
    case unsupported(String)
    case syntax(line: Int, reason: String)

    public var description: String {
        switch self {
        case .torn: "the head is torn (no valid checksum)"
        case .unsupported(let what): "not supported: \(what)"
        case .syntax(let line, let reason): "line \(line): \(reason)"
        }
    }
}
