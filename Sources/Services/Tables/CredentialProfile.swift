import MailModel
import SASL

/// Which kinds of credentials a table holds, and how many of each: whoever is not in it is treated as if he were, so that an attacker
/// cannot tell names that exist from names that do not.
public struct CredentialProfile: Hashable, Sendable {
    struct Kind: Hashable, Sendable {
        var count: Int
        var sample: StoredCredential
    }

    /// More kinds are not counted: they come from mistakes.
    static let maximumKinds = 32

    /// In the order of their names, so that the choice does not change from process to process.
    private(set) var kinds: [(name: String, kind: Kind)] = []

    public init() {}

    public mutating func add(_ credential: StoredCredential) { add(credential, count: 1) }

    private mutating func add(_ credential: StoredCredential, count: Int) {
        if case .locked = credential { return }
        let name = credential.kind
        if let index = kinds.firstIndex(where: { $0.name == name }) {
            kinds[index].kind.count += count
        } else if kinds.count < Self.maximumKinds {
            let index = kinds.firstIndex { $0.name > name } ?? kinds.endIndex
            kinds.insert((name, Kind(count: count, sample: credential)), at: index)
        }
    }

    /// One of the table's credentials, each kind as likely as it is in the table; always the same for one `seed`.
    public func sample(seed: UInt64, where isWanted: (StoredCredential) -> Bool) -> StoredCredential? {
        let wanted = kinds.filter { isWanted($0.kind.sample) }
        let total = wanted.reduce(0) { $0 + $1.kind.count }
        guard total > 0 else { return nil }
        var rest = Int(seed % UInt64(total))
        for (_, kind) in wanted {
            if rest < kind.count { return kind.sample }
            rest -= kind.count
        }
        return nil
    }

    public static func == (left: Self, right: Self) -> Bool {
        left.kinds.elementsEqual(right.kinds) { $0.name == $1.name && $0.kind == $1.kind }
    }
    public func hash(into hasher: inout Hasher) { for (name, _) in kinds { hasher.combine(name) } }

    /// As a record of a database: `count TAB credential` lines.
    public var record: [UInt8] {
        Array(kinds.map { "\($0.kind.count)\t\($0.kind.sample.text)" }.joined(separator: "\n").utf8)
    }

    /// `nil`: that is no such record.
    public init?(record: [UInt8]) {
        for line in record.split(separator: 0x0a) {
            let fields = Octets.split(line, at: 0x09)
            guard fields.count == 2, let count = Octets.decimal(fields[0]), (1...1 << 40).contains(count),
                let sample = StoredCredential(fields[1])
            else { return nil }
            add(sample, count: count)
        }
    }
}
