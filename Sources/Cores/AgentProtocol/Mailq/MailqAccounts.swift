import MailModel

/// scheduler.auth (scheduler.md §5): who may ask the scheduler over the network, from where, and for what.
///
///     # user:password in clear text:rights:addresses
///     node:secret:ETRN:[192.0.2.0]/28 [IPv6:2001:db8::]/64
///     watch:other:SNMP QQ TT:![192.0.2.9] [192.0.2.0]/24
public struct MailqAccounts: Hashable, Sendable {
    /// In the order of the file.
    public let accounts: [MailqAccount]

    public static let none = MailqAccounts(accounts: [])

    /// Octets of one line, lines with an account.
    public static let maximumLine = 2000
    public static let maximumAccounts = 1000

    public struct SyntaxError: Error, Hashable, Sendable, CustomStringConvertible {
        /// 1-based.
        public let line: Int
        /// What is wrong and what would be valid; never a password.
        public let reason: String
        public var description: String { "line \(line): \(reason)" }
    }

    /// All mistakes are found together.
    public struct SyntaxErrors: Error, Hashable, Sendable {
        public let errors: [SyntaxError]
    }

    private init(accounts: [MailqAccount]) { self.accounts = accounts }

    public init(parsing octets: [UInt8]) throws(SyntaxErrors) {
        var accounts: [MailqAccount] = []
        var errors: [SyntaxError] = []
        for (index, line) in Octets.split(octets[...], at: 0x0a).enumerated() {
            let line = line.last == 0x0d ? line.dropLast() : line
            // `*` begins a comment too, as in other files with passwords.
            guard let first = line.first, first != UInt8(ascii: "#"), first != UInt8(ascii: "*"),
                !line.allSatisfy({ $0 == 0x20 || $0 == 0x09 })
            else { continue }
            do throws(MailqAccount.Problem) {
                guard accounts.count < Self.maximumAccounts else {
                    errors.append(
                        SyntaxError(
                            line: index + 1,
                            reason: "there are more than \(Self.maximumAccounts) accounts; remove some"))
                    break
                }
                accounts.append(try MailqAccount(line: line))
            } catch {
                errors.append(SyntaxError(line: index + 1, reason: error.reason))
            }
        }
        guard errors.isEmpty else { throw SyntaxErrors(errors: errors) }
        self.init(accounts: accounts)
    }

    /// The first line of `user` that holds for this address and gives some right in the scheduler. `client`: `nil` for a Unix
    /// socket, which lines without addresses admit.
    public func account(_ user: [UInt8], from client: IPAddress?) -> MailqAccount? {
        accounts.first { $0.user == user && $0.isUsable && $0.admits(client) }
    }

    /// Whether anybody may log in from there.
    public func admits(_ client: IPAddress?) -> Bool { accounts.contains { $0.isUsable && $0.admits(client) } }
}

/// One line of scheduler.auth. Its description holds no password.
public struct MailqAccount: Hashable, Sendable, CustomStringConvertible {
    public let user: [UInt8]
    /// In clear text: the challenge needs it.
    public let password: [UInt8]
    public let rights: MailqRights
    let networks: [Network]

    struct Network: Hashable, Sendable {
        let isExcluded: Bool
        let network: IPNetwork
    }

    struct Problem: Error {
        let reason: String
        init(_ reason: String) { self.reason = reason }
    }

    public var description: String { "\(Octets.text(user[...]))" }

    /// Some right that the scheduler knows.
    var isUsable: Bool { !rights.subtracting(.smtpReports).isEmpty }

    init(line: ArraySlice<UInt8>) throws(Problem) {
        guard line.count <= MailqAccounts.maximumLine else {
            throw Problem("is longer than \(MailqAccounts.maximumLine) octets")
        }
        guard line.allSatisfy({ $0 >= 0x20 && $0 != 0x7f || $0 == 0x09 }) else {
            throw Problem("holds a control character")
        }
        let fields = Octets.split(line, at: UInt8(ascii: ":"), limit: 4)
        guard fields.count == 4 else {
            throw Problem("has \(fields.count) fields; valid is user:password:rights:[address]/width ...")
        }
        guard !fields[0].isEmpty, !fields[0].contains(where: { $0 == 0x20 || $0 == 0x09 }) else {
            throw Problem("the user is '\(Octets.text(fields[0]))'; valid is a word without blanks")
        }
        guard !fields[1].isEmpty else { throw Problem("the password is empty") }
        user = Array(fields[0])
        password = Array(fields[1])
        rights = try Self.rights(fields[2])
        networks = try Self.networks(fields[3])
    }

    private static func rights(_ text: ArraySlice<UInt8>) throws(Problem) -> MailqRights {
        var rights: MailqRights = []
        let words = Octets.words(text).map(Octets.text)
        guard !words.isEmpty else { throw Problem("has no rights; valid are \(validRights)") }
        for word in words {
            guard let known = MailqRights.words.first(where: { $0.word == word }) else {
                throw Problem("'\(word)' is not a right; valid are \(validRights)")
            }
            rights.formUnion(known.rights)
        }
        return rights
    }

    private static var validRights: String { MailqRights.words.map(\.word).joined(separator: " ") }

    /// `[1.2.3.4]/width`, `[IPv6:…]/width`, each perhaps behind a `!`, with blanks or commas between them.
    private static func networks(_ text: ArraySlice<UInt8>) throws(Problem) -> [Network] {
        var networks: [Network] = []
        for word in text.split(whereSeparator: { $0 == 0x20 || $0 == 0x09 || $0 == UInt8(ascii: ",") }) {
            let isExcluded = word.first == UInt8(ascii: "!")
            let address = isExcluded ? word.dropFirst() : word
            guard address.first == UInt8(ascii: "["), let network = IPNetwork(parsing: Octets.text(address)) else {
                throw Problem(
                    "'\(Octets.text(word))' is not an address; valid are [192.0.2.0]/24, [IPv6:2001:db8::]/32, "
                        + "each perhaps behind a !")
            }
            networks.append(Network(isExcluded: isExcluded, network: network))
        }
        return networks
    }

    /// The first network with the address decides; without any network every address is admitted.
    func admits(_ client: IPAddress?) -> Bool {
        guard !networks.isEmpty else { return true }
        guard let client, let first = networks.first(where: { $0.network.contains(client) }) else { return false }
        return !first.isExcluded
    }
}
