import MailModel

/// What a table holds of a user's password.
public enum StoredCredential: Hashable, Sendable, CustomStringConvertible {
    /// A hash of crypt(3), of one of the ``methods``.
    case crypt(String)
    case scram(SCRAMVerifier)
    /// Nothing, or something that begins with `*` or `!`: nobody logs in with it.
    case locked

    /// crypt(5): those that can stand up to a stolen table, and MD5, which old ones are full of. The rest (DES, NT) is refused.
    public static let methods = ["$y$", "$gy$", "$7$", "$2b$", "$2a$", "$2y$", "$6$", "$5$", "$1$"]
    /// Octets of a hash: `CRYPT_OUTPUT_SIZE` of libxcrypt.
    private static let maximumLength = 384

    /// `nil`: of no kind that is known here.
    public init?(_ text: some Collection<UInt8>) {
        let text = Array(text)
        if text.isEmpty || text[0] == UInt8(ascii: "*") || text[0] == UInt8(ascii: "!") {
            self = .locked
        } else if text.starts(with: SCRAMVerifier.scheme.utf8) {
            guard let verifier = SCRAMVerifier(text[SCRAMVerifier.scheme.utf8.count...]) else { return nil }
            self = .scram(verifier)
        } else {
            guard text.count < Self.maximumLength, Self.methods.contains(where: { text.starts(with: $0.utf8) }),
                text.allSatisfy({ (0x21...0x7e).contains($0) && !":;*!\\".utf8.contains($0) })
            else { return nil }
            self = .crypt(Octets.text(text[...]))
        }
    }

    /// As a table holds it.
    public var text: String {
        switch self {
        case .crypt(let hash): hash
        case .scram(let verifier): verifier.text
        case .locked: "*"
        }
    }

    /// Method and cost, and nothing of the password: what is equal of two credentials that take the same time to check.
    public var kind: String {
        switch self {
        case .locked: return "*"
        case .scram(let verifier):
            return "\(verifier.description):\(verifier.parameters.salt.count)"
        case .crypt(let hash):
            let fields = hash.split(separator: "$", omittingEmptySubsequences: false)
            let hasCost: Bool =
                switch fields[1] {
                case "y", "gy", "2b", "2a", "2y": true
                default: fields.count > 2 && fields[2].hasPrefix("rounds=")
                }
            // N, r and p of scrypt stand before its salt.
            if fields[1] == "7", fields.count > 2 { return "$7$\(fields[2].prefix(11))" }
            return hasCost && fields.count > 2 ? "$\(fields[1])$\(fields[2])$" : "$\(fields[1])$"
        }
    }

    public var description: String { kind }
}
