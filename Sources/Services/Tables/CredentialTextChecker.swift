import SASL

/// Reads all lines of a table of credentials and collects what is wrong with each and with all together.
public struct CredentialTextChecker {
    private let file: String
    public private(set) var mistakes: [TableError] = []
    public private(set) var profile = CredentialProfile()
    /// How many credentials a user has, and whether one is for SCRAM.
    private var users: [UserName: (count: Int, hasSCRAM: Bool)] = [:]

    public init(file: String) { self.file = file }

    /// - Parameter number: from 1.
    /// - Returns: `nil` where the line holds nothing, or a mistake.
    public mutating func entry(_ line: ArraySlice<UInt8>, number: Int) -> CredentialEntry? {
        let entry: CredentialEntry
        do throws(CredentialEntry.Mistake) {
            guard let parsed = try CredentialEntry.parse(line) else { return nil }
            entry = parsed
        } catch {
            mistakes.append(TableError(file: file, line: number, reason: error.rawValue))
            return nil
        }
        var user = users[entry.user] ?? (0, false)
        user.count += 1
        if case .scram = entry.credential {
            // The salt of one has to be told to a client before anything is known of it.
            if user.hasSCRAM { note(entry, number, "has a second \(SCRAMVerifier.scheme) line; valid is one") }
            user.hasSCRAM = true
        }
        if user.count > CredentialTable.maximumCredentials {
            note(entry, number, "has more than \(CredentialTable.maximumCredentials) lines")
        }
        users[entry.user] = user
        profile.add(entry.credential)
        return entry
    }

    private mutating func note(_ entry: CredentialEntry, _ number: Int, _ reason: String) {
        mistakes.append(TableError(file: file, line: number, key: entry.user.text, reason: reason))
    }
}
