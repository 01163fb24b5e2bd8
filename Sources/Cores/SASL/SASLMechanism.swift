/// A mechanism that the server speaks (RFC 4422 §3.1), strongest first.
public enum SASLMechanism: String, Hashable, Sendable, CaseIterable {
    /// RFC 7677, bound to the TLS connection (RFC 5802 §6).
    case scramSHA256Plus = "SCRAM-SHA-256-PLUS"
    /// RFC 7677.
    case scramSHA256 = "SCRAM-SHA-256"
    /// RFC 4616.
    case plain = "PLAIN"
    /// draft-murchison-sasl-login: obsolete, and all that some clients know.
    case login = "LOGIN"

    /// By its name, letters in any case; `nil`: it is not one of ours.
    public init?(name: some StringProtocol) {
        guard name.utf8.count <= 20 else { return nil }
        let upper = name.utf8.map { (0x61...0x7a).contains($0) ? $0 - 0x20 : $0 }
        self.init(rawValue: String(decoding: upper, as: UTF8.self))
    }

    /// As EHLO lists it.
    public var name: String { rawValue }

    /// Whether the server gets to see the password: such a mechanism needs TLS (RFC 4954 §4).
    public var sendsPasswordInClear: Bool {
        switch self {
        case .plain, .login: true
        case .scramSHA256, .scramSHA256Plus: false
        }
    }

    /// Whether the TLS connection must offer a channel binding.
    public var needsChannelBinding: Bool { self == .scramSHA256Plus }
}
