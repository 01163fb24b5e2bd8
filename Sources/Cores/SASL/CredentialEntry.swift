import MailModel

/// A line of a table of credentials: `user:credential`. A user may have several, one a line.
public struct CredentialEntry: Hashable, Sendable {
    public let user: UserName
    public let credential: StoredCredential

    public init(user: UserName, credential: StoredCredential) {
        self.user = user
        self.credential = credential
    }

    public enum Mistake: String, Error, Hashable, Sendable, CaseIterable {
        case noColon = "has no colon; valid is: user:credential"
        case userName =
            "no user name can be that: 1 to 256 octets of UTF-8 without control or invisible characters, no blank at either end"
        case credential =
            "is no credential; valid are the hashes of crypt(5) with $y$, $gy$, $7$, $2b$, $2a$, $2y$, $6$, $5$, $1$, {SCRAM-SHA-256}iterations:salt:key:key, and * for none (zmailer password prints one)"
    }

    /// - Parameter line: without its end.
    /// - Returns: `nil` for a blank line and a comment, which begins with `#`.
    public static func parse(_ line: ArraySlice<UInt8>) throws(Mistake) -> CredentialEntry? {
        var line = line
        while let last = line.last, last == 0x20 || last == 0x09 || last == 0x0d { line.removeLast() }
        guard let first = line.first(where: { $0 != 0x20 && $0 != 0x09 }), first != UInt8(ascii: "#") else {
            return nil
        }
        guard let colon = Octets.index(of: UInt8(ascii: ":"), in: line) else { throw .noColon }
        // A blank in front or behind is never meant.
        let name = line[..<colon]
        guard name.first != 0x20, name.last != 0x20, let user = UserName(name) else { throw .userName }
        guard let credential = StoredCredential(line[(colon + 1)...]) else { throw .credential }
        return CredentialEntry(user: user, credential: credential)
    }

    /// Without its end.
    public var line: String { "\(user.text):\(credential.text)" }
}
