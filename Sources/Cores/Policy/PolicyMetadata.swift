import MailModel

/// The record under ``PolicyKey/metadata``, which `makedb` writes last: a database without it is not whole.
public struct PolicyMetadata: Hashable, Sendable {
    public static let currentVersion = 1

    public var version = currentVersion
    /// Bit n: there is a network of prefix length n.
    public var v4Lengths: UInt64 = 0
    /// Longest first.
    public private(set) var v6Lengths: [Int] = []
    /// Keys, the metadata not counted.
    public var entries = 0
    /// Seconds since 1970.
    public var built: Int64 = 0
    /// Whether an entry of a domain grants rights to clients by their reverse names.
    public var namesGrant = false
    /// Whether an entry says something about senders or the names in HELO; if none does, nobody needs to ask at MAIL.
    public var judgesSenders = true
    /// Whether there are keys of users.
    public private(set) var hasUsers = false

    public init() {}

    /// Notes a key that was written; `entries` is the writer's to count.
    public mutating func note(_ key: PolicyKey) {
        switch key {
        case .network(let network):
            switch network.address {
            case .v4: v4Lengths |= 1 << UInt64(network.prefixLength)
            case .v6:
                guard !v6Lengths.contains(network.prefixLength) else { return }
                v6Lengths.append(network.prefixLength)
                v6Lengths.sort(by: >)
            }
        case .user: hasUsers = true
        case .domain, .tag: break
        }
    }

    /// `version=1 entries=7 built=1700000000 v4=0,24,32 v6=128 names=- senders=+ users=-` and NUL.
    public var octets: [UInt8] {
        let v4 = (0...32).filter { v4Lengths & (1 << UInt64($0)) != 0 }
        func list(_ lengths: [Int]) -> String {
            lengths.isEmpty ? "-" : lengths.map(String.init).joined(separator: ",")
        }
        let text =
            "version=\(version) entries=\(entries) built=\(built) v4=\(list(v4)) v6=\(list(v6Lengths.reversed()))"
            + " names=\(namesGrant ? "+" : "-") senders=\(judgesSenders ? "+" : "-") users=\(hasUsers ? "+" : "-")"
        return Array(text.utf8) + [0]
    }

    /// `nil` if it is none of a version that we know.
    public init?(octets: [UInt8]) {
        guard octets.last == 0 else { return nil }
        var seen = 0
        hasUsers = true
        for word in Octets.words(octets.dropLast()) {
            guard let equals = Octets.index(of: UInt8(ascii: "="), in: word) else { return nil }
            let value = word[(equals + 1)...]
            switch Octets.text(word[..<equals]) {
            case "version":
                guard let number = Octets.decimal(value), number == Self.currentVersion else { return nil }
                seen += 1
            case "entries":
                guard let number = Octets.decimal(value) else { return nil }
                entries = number
                seen += 1
            case "built":
                guard let number = Octets.decimal(value) else { return nil }
                built = Int64(number)
            case "v4":
                guard let lengths = Self.lengths(value, 32) else { return nil }
                v4Lengths = lengths.reduce(0) { $0 | 1 << UInt64($1) }
                seen += 1
            case "v6":
                guard let lengths = Self.lengths(value, 128) else { return nil }
                v6Lengths = Set(lengths).sorted(by: >)
                seen += 1
            case "names": namesGrant = Octets.equal(value, "+")
            case "senders": judgesSenders = Octets.equal(value, "+")
            case "users": hasUsers = Octets.equal(value, "+")
            default: break
            }
        }
        guard seen == 4 else { return nil }
    }

    private static func lengths(_ list: ArraySlice<UInt8>, _ limit: Int) -> [Int]? {
        if Octets.equal(list, "-") { return [] }
        var lengths: [Int] = []
        for part in Octets.split(list, at: UInt8(ascii: ",")) {
            guard let number = Octets.decimal(part), (0...limit).contains(number) else { return nil }
            lengths.append(number)
        }
        return lengths
    }
}
