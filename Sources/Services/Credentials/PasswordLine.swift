import SASL

/// Makes the lines of a table of credentials.
public enum PasswordLine {
    public enum Kind: Hashable, Sendable {
        /// The system's own kind of hash: for PLAIN and LOGIN.
        case crypt
        /// For SCRAM-SHA-256, and for PLAIN and LOGIN where there is no hash.
        case scram(iterations: Int)
    }

    /// A client takes 0.1 s for so many; whoever has stolen the table needs as much for each guess.
    public static let defaultIterations = 100_000
    private static let saltLength = 16

    public enum Mistake: Error, Hashable, Sendable, CustomStringConvertible {
        case iterations(Int)
        case tooLongForCrypt
        case notStable
        case userName
        case library(String)

        public var description: String {
            switch self {
            case .iterations(let count):
                "\(count) iterations; valid are \(SCRAMParameters.iterationCounts.lowerBound) to \(SCRAMParameters.iterationCounts.upperBound)"
            case .tooLongForCrypt:
                "the password is longer than \(CryptHash.maximumPassword) octets, more than crypt(3) takes"
            case .notStable:
                "the password has characters that SCRAM clients change, each in its way (RFC 4013); "
                    + "valid are ASCII and the letters of Latin, Greek, Cyrillic, Armenian, Georgian, Han, Kana and Hangul"
            case .userName:
                "the user name is none; valid are 1 to \(UserName.maximumLength) octets of UTF-8, "
                    + "no colon, no control or invisible characters, no # first, no blank at either end"
            case .library(let what): "\(what) failed"
            }
        }
    }

    /// - Parameter user: `nil`: the credential alone.
    /// - Returns: without its end.
    public static func make(_ secret: Secret, _ kind: Kind, user: String?) throws(Mistake) -> String {
        if let user { try check(user) }
        let credential = try credential(secret, kind).text
        return user.map { "\($0):\(credential)" } ?? credential
    }

    /// Whether a line with that name is read as a line of that name.
    public static func check(_ user: String) throws(Mistake) {
        let line = Array("\(user):*".utf8)
        do throws(CredentialEntry.Mistake) {
            guard let entry = try CredentialEntry.parse(line[...]), entry.user.octets == Array(user.utf8) else {
                throw .userName
            }
        } catch {
            throw .userName
        }
    }

    private static func credential(_ secret: Secret, _ kind: Kind) throws(Mistake) -> StoredCredential {
        switch kind {
        case .crypt:
            guard secret.count <= CryptHash.maximumPassword else { throw .tooLongForCrypt }
            guard let hash = CryptHash.make(secret) else { throw .library("crypt(3)") }
            return .crypt(hash)
        case .scram(let iterations):
            // The system's generator, which is the kernel's.
            let salt = (0..<saltLength).map { _ in UInt8.random(in: .min ... .max) }
            guard let parameters = SCRAMParameters(salt: salt, iterations: iterations) else {
                throw .iterations(iterations)
            }
            let isStable = secret.withOctets { octets in
                String(validating: octets, as: UTF8.self).map(SASLPreparation.isStable) ?? false
            }
            guard isStable else { throw .notStable }
            guard let verifier = SCRAMKeys.verifier(of: secret, parameters) else { throw .library("OpenSSL") }
            return .scram(verifier)
        }
    }
}
