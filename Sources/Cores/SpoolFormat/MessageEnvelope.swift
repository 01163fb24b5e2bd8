/// What was seen while the message was received, so that a sender need not scan it again.
public struct MessageTraits: Hashable, Sendable {
    /// Octets of the content behind `env-end`, trace lines included.
    public var size: Int
    /// Whether any line begins with a dot.
    public var hasDotLines: Bool
    /// Whether any octet is above 127.
    public var hasEightBit: Bool
    /// Octets of the longest line, without its line end.
    public var longestLine: Int

    public init(size: Int = 0, hasDotLines: Bool = false, hasEightBit: Bool = false, longestLine: Int = 0) {
        self.size = size
        self.hasDotLines = hasDotLines
        self.hasEightBit = hasEightBit
        self.longestLine = longestLine
    }
}

/// One `to` with its `todsn`.
public struct EnvelopeRecipient: Hashable, Sendable {
    /// Without angle brackets: `local@domain`, or a bare local part such as `postmaster`.
    public var address: String
    public var notify: Notify
    /// `type;xtext` as given by the client, or our own `rfc822;xtext`.
    public var originalRecipient: String?

    public init(address: String, notify: Notify = .standard, originalRecipient: String? = nil) {
        self.address = address
        self.notify = notify
        self.originalRecipient = originalRecipient
    }
}

/// The envelope of a message file (docs/spool.md §2; ZMailer's format is in the specification's spool.md §4).
public struct MessageEnvelope: Hashable, Sendable {
    public enum LineFormat: Hashable, Sendable {
        /// Content holds wire octets: `format crlf`.
        case crlf
        /// Content lines end in LF: files made by ZMailer's own tools.
        case lf
    }
    /// Why the router may complete the header (design §2.8).
    public enum Submission: String, Hashable, Sendable {
        /// A local program.
        case local
        /// A network of `smtp-policy.relay` with the word `submit`.
        case client
        case authenticated
    }

    public var format: LineFormat = .crlf
    public var isExternal = false
    /// `rcvdfrom` without the keyword.
    public var receivedFrom: String?
    public var bodyType: String?
    public var with: String?
    public var via: String?
    public var identInfo: String?
    /// Made by the scheduler or errormail: no report is made about it.
    public var isErrorMessage = false
    /// `nil` for `<>` (`channel error`); else `local@domain`.
    public var sender: String?
    public var envelopeID: String?
    public var notaryReturn: NotaryReturn?
    public var isInternationalized = false
    /// `holduntil`: not to be released before.
    public var release: FutureRelease?
    /// `deliverby`: to be delivered by then.
    public var deliverBy: DeliverByTime?
    /// `mtpriority`; `nil`: nobody has given it one.
    public var priority: MessagePriority?
    /// `requiretls`: sent on over TLS only, to verified servers that promise the same (RFC 8689).
    public var requiresTLS = false
    /// `smtpauth`: the `AUTH=` that goes with it to next hops that we authenticate to.
    public var submitter: Submitter?
    /// `authuser`: the account that submitted it. For people; nothing is decided by it.
    public var authenticatedUser: String?
    public var submission: Submission?
    public var recipients: [EnvelopeRecipient] = []
    public var comments: [String] = []
    public var traits: MessageTraits?
    /// Fields this version does not know, in order: kept, not acted on.
    public var unknown: [String] = []

    public init() {}
}

public struct MessageFileError: Error, Hashable, Sendable, CustomStringConvertible {
    /// 1-based; 0 for the file as a whole.
    public let line: Int
    public let reason: String
    public var description: String { line > 0 ? "line \(line): \(reason)" : reason }
}
