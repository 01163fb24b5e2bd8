import Glibc
import MailModel
import SASL

/// A table of users and what proves that it is them: a text of `user:credential` lines (``CredentialEntry``), or, where the path ends
/// in `.gdbm`, a database that `makedb -c` has made of one.
public struct CredentialTable: Hashable, Sendable {
    /// What a table says of a user.
    public struct Finding: Hashable, Sendable {
        /// Whether there is a line of the user, right or wrong.
        public var isKnown = false
        /// At most ``maximumCredentials``.
        public var credentials: [StoredCredential] = []
        /// About the user's lines.
        public var mistakes: [TableError] = []
        public var profile = CredentialProfile()
    }

    /// Of one user.
    public static let maximumCredentials = 8
    /// Octets of a text.
    public static let maximumSize = 1 << 30
    /// Lines of a text from which the profile is taken.
    static let profiledLines = 1000
    /// The key of the profile in a database: no name.
    public static let profileKey: [UInt8] = [0]
    /// Between the credentials of one user in a database.
    public static let separator: [UInt8] = [0x0a]

    public let path: String

    public init(path: String) { self.path = path }

    /// Reads the file. It must be a plain one of root's or of the process's own user, which others cannot read and nobody else write.
    public func find(_ user: UserName) throws(TableTrouble) -> Finding {
        path.hasSuffix(".gdbm") ? try findInDatabase(user) : try findInText(user)
    }

    private func findInDatabase(_ user: UserName) throws(TableTrouble) -> Finding {
        do throws(GDBMFailure) {
            let reader = try openDatabase()
            var finding = Finding()
            finding.profile = try Self.profile(reader)
            guard let value = try reader.octets(for: user.octets) else { return finding }
            finding.isKnown = true
            for text in Octets.split(value[...], at: Self.separator[0]).prefix(Self.maximumCredentials) {
                if let credential = StoredCredential(text) { finding.credentials.append(credential) }
            }
            return finding
        } catch {
            throw TableTrouble(error.description)
        }
    }

    private func openDatabase() throws(GDBMFailure) -> GDBMReader {
        let reader = try GDBMReader(path: path)
        if let problem = Self.problem(try reader.information()) { throw GDBMFailure(path, problem) }
        return reader
    }

    private static func profile(_ reader: GDBMReader) throws(GDBMFailure) -> CredentialProfile {
        guard let record = try reader.octets(for: profileKey), let profile = CredentialProfile(record: record) else {
            throw GDBMFailure(reader.path, "is no table of credentials; makedb -c builds one")
        }
        return profile
    }

    private func findInText(_ user: UserName) throws(TableTrouble) -> Finding {
        let text = try CredentialText(path)
        let colon = UInt8(ascii: ":")
        let prefix = user.octets + [colon]
        // Such a name would match the beginning of somebody else's credential.
        let canStandHere = !user.octets.contains(colon)
        var finding = Finding()
        try text.forEach { number, line in
            let isOurs = canStandHere && line.starts(with: prefix)
            guard isOurs || number <= Self.profiledLines else { return }
            do throws(CredentialEntry.Mistake) {
                guard let entry = try CredentialEntry.parse(Array(line)[...]) else { return }
                if number <= Self.profiledLines { finding.profile.add(entry.credential) }
                guard isOurs else { return }
                finding.isKnown = true
                if finding.credentials.count < Self.maximumCredentials {
                    finding.credentials.append(entry.credential)
                }
            } catch {
                guard isOurs else { return }
                finding.isKnown = true
                finding.mistakes.append(
                    TableError(file: path, line: number, key: user.text, reason: error.rawValue))
            }
        }
        return finding
    }

    /// Every mistake of a text. A database has none: it is not built with them.
    public func mistakes() throws(TableTrouble) -> [TableError] {
        guard path.hasSuffix(".gdbm") else {
            var checker = CredentialTextChecker(file: path)
            try CredentialText(path).forEach { number, line in _ = checker.entry(Array(line)[...], number: number) }
            return checker.mistakes
        }
        do throws(GDBMFailure) {
            _ = try Self.profile(openDatabase())
            return []
        } catch {
            throw TableTrouble(error.description)
        }
    }

    /// What is wrong with owner or mode, and what would be right.
    static func problem(_ information: stat) -> String? {
        if information.st_mode & S_IFMT != S_IFREG { return "is no file" }
        if information.st_uid != 0, information.st_uid != geteuid() {
            return
                "belongs to uid \(information.st_uid); it must be root's\(geteuid() == 0 ? "" : ", or uid \(geteuid())'s")"
        }
        if information.st_mode & 0o027 != 0 {
            let mode = String(information.st_mode & 0o7777, radix: 8)
            return "has mode 0\(mode): others could read it or change it; chmod 0640"
        }
        return nil
    }
}
