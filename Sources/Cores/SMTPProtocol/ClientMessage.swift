import MailModel

/// What a client wants to send in one transaction.
public struct ClientMessage: Hashable, Sendable {
    public struct Recipient: Hashable, Sendable {
        public var forwardPath: ForwardPath
        /// `nil` = not given by the sender.
        public var notify: Notify?
        /// `type;xtext` (RFC 3461 §4.2).
        public var originalRecipient: String?

        public init(_ forwardPath: ForwardPath, notify: Notify? = nil, originalRecipient: String? = nil) {
            self.forwardPath = forwardPath
            self.notify = notify
            self.originalRecipient = originalRecipient
        }
    }

    public var reversePath: ReversePath
    public var recipients: [Recipient]
    /// Octets of content with CRLF line ends, before dot-stuffing. With BDAT exactly that many are sent.
    public var size: Int
    public var has8Bit = false
    /// The header section or the envelope needs SMTPUTF8 (RFC 6531 §3.2). Addresses are looked at besides.
    public var needsSMTPUTF8 = false
    public var ret: ReturnContent?
    /// xtext.
    public var envelopeID: String?
    public var deliverBy: DeliverBy?
    /// `MT-PRIORITY`, −9...9 (RFC 6710); `nil`: nobody has given it one.
    public var priority: Int?
    /// To be sent over TLS only, to a verified server that offers `REQUIRETLS` (RFC 8689 §4.2.1); a report, which has the empty
    /// reverse-path, also without that offer (§5).
    public var requiresTLS = false
    /// Whether the stored content is what goes on the wire: CRLF line ends, ending with one. Otherwise only DATA is used.
    public var isWireFormat = true

    public init(reversePath: ReversePath, recipients: [Recipient], size: Int) {
        self.reversePath = reversePath
        self.recipients = recipients
        self.size = size
    }

    var isInternationalized: Bool { needsSMTPUTF8 || reversePath.mailbox?.isInternationalized == true }
}

/// How one recipient fared.
public struct RecipientResult: Hashable, Sendable {
    /// The command whose reply decided.
    public enum Stage: Hashable, Sendable {
        /// Before the transaction, or decided here without asking the server (``RecipientResult/isLocal``).
        case session
        case mail
        case recipient
        case data
        /// The reply to the end of the message.
        case message
    }

    public var reply: Reply
    public var stage: Stage
    public var disposition: Disposition
    /// The server has not said so: we have.
    public var isLocal: Bool

    /// The server took others, and would take this one in a transaction of its own (RFC 5321 §4.5.3.1.10).
    public var isTooManyRecipients: Bool {
        guard stage == .recipient, !isLocal else { return false }
        switch (reply.code, reply.status) {
        case (452, nil), (552, nil): return true
        case (452, let status?): return status == EnhancedStatusCode(4, 5, 3)
        case (552, let status?): return status == EnhancedStatusCode(5, 5, 3)
        case (_, _): return false
        }
    }

    init(_ reply: Reply, _ stage: Stage, isLocal: Bool = false) {
        self.reply = reply
        self.stage = stage
        self.isLocal = isLocal
        disposition = stage == .recipient ? Disposition(recipientReply: reply) : Disposition(code: reply.code)
    }
}
