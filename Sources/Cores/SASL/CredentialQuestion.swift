import MailModel

/// What a SASL exchange wants to know of whoever knows the credentials.
public enum CredentialQuestion: Hashable, Sendable {
    /// Is that the user's password? Answered `accepted`, `refused` or `unavailable`.
    case password(user: UserName, Secret)
    /// Answered `scramParameters` or `unavailable`; for an unknown user with parameters, too.
    case scramParameters(user: UserName)
    /// RFC 5802 §3: `AuthMessage` and `ClientProof`. Answered `scramAccepted`, `refused` or `unavailable`.
    case scramProof(user: UserName, authMessage: [UInt8], clientProof: [UInt8])

    public var user: UserName {
        switch self {
        case .password(let user, _), .scramParameters(let user), .scramProof(let user, _, _): user
        }
    }
}

/// A question, and on whose behalf it is asked.
public struct CredentialRequest: Hashable, Sendable {
    /// Octets of an `AuthMessage`: three messages, of which the server makes one.
    public static let maximumAuthMessageLength = 5120

    /// Where the user's client is; `nil`: on no network.
    public var client: IPAddress?
    public var question: CredentialQuestion

    public init(client: IPAddress?, _ question: CredentialQuestion) {
        self.client = client
        self.question = question
    }
}

/// The answer to a ``CredentialQuestion``.
public enum CredentialAnswer: Hashable, Sendable {
    /// `canonicalName`: how the verifier calls the user, where that differs.
    case accepted(canonicalName: UserName?)
    /// No such user, a wrong password, a locked account: nobody outside is told which.
    case refused
    /// It cannot be said now; the reason is for the log.
    case unavailable(reason: String)
    case scramParameters(SCRAMParameters)
    /// RFC 5802 §3: `ServerSignature`.
    case scramAccepted(serverSignature: [UInt8])

    /// Octets.
    public static let maximumReasonLength = 300
}
