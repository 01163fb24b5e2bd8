import MailModel

/// A recipient that was accepted (RFC 5321 §3.3).
public struct Recipient: Hashable, Sendable {
    public var forwardPath: ForwardPath
    /// `@a,@b` of `<@a,@b:c@d>`.
    public var sourceRoute: String?
    public var notify: Notify?
    /// `type;xtext` as it came.
    public var originalRecipient: String?

    init(_ command: RecipientCommand) {
        forwardPath = command.forwardPath
        sourceRoute = command.sourceRoute
        notify = command.notify
        originalRecipient = command.originalRecipient
    }
}

/// A mail transaction: the envelope of one message (RFC 5321 §3.3).
public struct Transaction: Hashable, Sendable {
    public let mail: MailCommand
    /// Accepted, in the order they came.
    public internal(set) var recipients: [Recipient] = []

    public var reversePath: ReversePath { mail.reversePath }

    init(_ mail: MailCommand) { self.mail = mail }
}
