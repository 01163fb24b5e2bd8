import SASL
import Tables

/// Checks credentials against a table.
struct TableVerifier {
    let table: CredentialTable

    /// `nil`: the table does not know the user. What it cost to find that out, and no more, has passed.
    struct Unknown: Error {
        let profile: CredentialProfile
    }

    func check(_ user: UserName, _ secret: Secret) throws(Unknown) -> CredentialVerdict {
        let finding: CredentialTable.Finding
        do throws(TableTrouble) { finding = try table.find(user) } catch {
            return .unavailable(.table, error.description)
        }
        guard finding.isKnown else { throw Unknown(profile: finding.profile) }
        // Its hash is the stronger one; the keys of SCRAM are for those who have nothing else.
        var candidates = finding.credentials.filter { if case .crypt = $0 { true } else { false } }
        if candidates.isEmpty { candidates = finding.credentials.filter { $0 != .locked } }
        guard !candidates.isEmpty else {
            Self.pretend(user, secret, finding.profile)
            return .refused(.table, finding.mistakes.first?.description ?? "locked")
        }
        var isMatch = false
        for candidate in candidates {
            guard let matches = Self.matches(secret, candidate) else {
                return .unavailable(.table, "OpenSSL cannot derive keys")
            }
            isMatch = isMatch || matches
        }
        return isMatch ? .accepted(.table) : .refused(.table, "wrong password")
    }

    /// Takes the time that a password of a user of this table takes.
    static func pretend(_ user: UserName, _ secret: Secret, _ profile: CredentialProfile) {
        // FNV-1a: any even choice does.
        let seed = user.text.utf8.reduce(0xcbf2_9ce4_8422_2325 as UInt64) { ($0 ^ UInt64($1)) &* 0x100_0000_01b3 }
        guard let sample = profile.sample(seed: seed, where: { _ in true }) else { return }
        _ = matches(secret, sample)
    }

    private static func matches(_ secret: Secret, _ credential: StoredCredential) -> Bool? {
        switch credential {
        case .crypt(let hash): CryptHash.matches(secret, hash)
        case .scram(let verifier): SCRAMKeys.matches(secret, verifier)
        case .locked: false
        }
    }
}
