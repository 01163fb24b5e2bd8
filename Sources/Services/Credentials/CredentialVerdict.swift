import SASL

/// An answer, and for the log who gave it and why.
public struct CredentialVerdict: Hashable, Sendable {
    public enum Source: String, Hashable, Sendable {
        case table
        case pipe
        case pam
        case none
    }

    public var answer: CredentialAnswer
    public var source: Source
    /// Why, in words; may hold what a program or module wrote. Empty where there is nothing to say.
    public var detail: String

    public init(_ answer: CredentialAnswer, _ source: Source, _ detail: String = "") {
        self.answer = answer
        self.source = source
        self.detail = detail
    }

    static func accepted(_ source: Source, as name: UserName? = nil, _ detail: String = "") -> Self {
        Self(.accepted(canonicalName: name), source, detail)
    }
    static func refused(_ source: Source, _ detail: String) -> Self { Self(.refused, source, detail) }
    static func unavailable(_ source: Source, _ reason: String) -> Self {
        Self(.unavailable(reason: reason), source, reason)
    }

    /// One word for the log.
    var result: String {
        switch answer {
        case .accepted, .scramAccepted: "accepted"
        case .refused: "refused"
        case .unavailable: "unavailable"
        case .scramParameters: "parameters"
        }
    }
}
