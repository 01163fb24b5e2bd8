/// Why an exchange has failed: for the log. What the client is told depends on the ``consequence`` alone.
public enum SASLFailure: Error, Hashable, Sendable, CustomStringConvertible {
    /// A message is not what the mechanism's grammar asks for.
    case malformed(SASLSyntaxError)
    case messageTooLong(limit: Int)
    /// No name that anybody could have: ``UserName``.
    case userNameRefused
    /// Acting as somebody else is not offered.
    case authorizationIdentityRefused
    case channelBinding(ChannelBindingFault)
    /// RFC 5802 §5.1: the `r` of the client's last message is not ours. A replay, or a broken client.
    case nonceMismatch
    case invalidCredentials
    case unavailable(reason: String)
    /// A call that the state of the exchange does not allow: a mistake of its host.
    case outOfSequence

    /// How the reply has to sound (RFC 4954 §4 and §6).
    public enum Consequence: Hashable, Sendable, CaseIterable {
        /// 501 5.5.2
        case syntaxError
        /// 535 5.7.8
        case rejection
        /// 454 4.7.0
        case temporaryFailure
    }

    public var consequence: Consequence {
        switch self {
        case .malformed, .messageTooLong: .syntaxError
        case .userNameRefused, .authorizationIdentityRefused, .channelBinding, .nonceMismatch, .invalidCredentials:
            .rejection
        case .unavailable, .outOfSequence: .temporaryFailure
        }
    }

    public var description: String {
        switch self {
        case .malformed(let error): "malformed message: \(error.rawValue)"
        case .messageTooLong(let limit): "message longer than \(limit) octets"
        case .userNameRefused:
            "the user name is empty, no UTF-8, longer than \(UserName.maximumLength) octets, or has characters that no name can have"
        case .authorizationIdentityRefused: "the client wants to act as another user"
        case .channelBinding(let fault): fault.description
        case .nonceMismatch: "the nonce is not the one of this exchange"
        case .invalidCredentials: "invalid credentials"
        case .unavailable(let reason): "unavailable: \(reason)"
        case .outOfSequence: "internal error: out of sequence"
        }
    }
}

/// What is wrong with a message.
public enum SASLSyntaxError: String, Hashable, Sendable, CaseIterable {
    case plainFields = "PLAIN is authorization identity, NUL, user name, NUL, password"
    case password = "a password has 1 to 1024 octets without NUL"
    case gs2Header = "a SCRAM message begins with n,, or y,, or p=NAME,, and may name an identity (a=)"
    case mandatoryExtension = "no SCRAM extension (m=) is supported"
    case userNameField = "n= and a user name, = and comma written =3D and =2C, must follow"
    case nonceField = "r= and a nonce of printable characters must follow"
    case channelBindingField = "c= and base64 must come first"
    case proofField = "p= and base64 of 32 octets must come last"
    case extensionField = "an extension is a letter, = and a value"
    case acknowledgement = "the response to the server's signature must be empty"
}

/// Why a channel binding, or the lack of one, was refused (RFC 5802 §6).
public enum ChannelBindingFault: Hashable, Sendable, CustomStringConvertible {
    /// The client says that we offer none, but we do: somebody took the mechanism out of the list.
    case downgrade
    /// `-PLUS` without a binding.
    case missing
    /// A binding with a mechanism that has none.
    case unexpected
    /// A kind that this connection does not have.
    case unsupported(name: String)
    /// Not that of this connection: somebody is between the client and us.
    case mismatch

    public var description: String {
        switch self {
        case .downgrade: "channel binding is offered, and the client was made to believe that it is not"
        case .missing: "a -PLUS mechanism without channel binding"
        case .unexpected: "channel binding without a -PLUS mechanism"
        case .unsupported(let name): "no channel binding '\(name)' on this connection"
        case .mismatch: "the channel binding is that of another connection"
        }
    }
}
