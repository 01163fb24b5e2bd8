import MailModel

/// `smtp-policy.relay`: networks whose clients may relay, one a line, each with an optional word `submit`.
public struct NetworkTable: Hashable, Sendable {
    public struct Entry: Hashable, Sendable {
        public let network: IPNetwork
        /// Mail of these clients is a submission: the router may complete its header.
        public let submits: Bool
        /// 1-based.
        public let line: Int
    }

    private struct Key: Hashable {
        let high: UInt64
        let low: UInt64
    }

    private struct Level: Hashable {
        let isV4: Bool
        let prefixLength: Int
        var entries: [Key: Entry]
    }

    /// Longest prefix first, so that the first hit is the most exact.
    private var levels: [Level] = []

    public init() {}

    public var count: Int { levels.reduce(0) { $0 + $1.entries.count } }

    public static func parse(_ octets: [UInt8], file: String) throws(TableErrors) -> NetworkTable {
        let text = TableText(octets, file: file)
        var errors = text.errors
        var table = NetworkTable()
        for line in text.lines {
            let words = TableText.words(line.text)
            guard let first = words.first else { continue }
            func fail(_ reason: String) {
                errors.append(TableError(file: file, line: line.number, key: first, reason: reason))
            }
            guard let network = IPNetwork(parsing: first) else {
                fail("is no network; valid are [192.0.2.0]/24, [192.0.2.1] and [IPv6:2001:db8::]/32")
                continue
            }
            let rest = words.dropFirst()
            if let unknown = rest.first(where: { $0 != "submit" }) {
                fail("is followed by '\(unknown)'; valid is 'submit' or nothing")
                continue
            }
            table.insert(Entry(network: network, submits: !rest.isEmpty, line: line.number))
        }
        guard errors.isEmpty else { throw TableErrors(errors.sorted { $0.line < $1.line }) }
        table.levels.sort { $0.prefixLength > $1.prefixLength }
        return table
    }

    private mutating func insert(_ entry: Entry) {
        let isV4 = if case .v4 = entry.network.address { true } else { false }
        let key = Self.key(entry.network.address, prefixLength: entry.network.prefixLength)
        if let index = levels.firstIndex(where: {
            $0.isV4 == isV4 && $0.prefixLength == entry.network.prefixLength
        }) {
            // The first line that names a network holds.
            if levels[index].entries[key] == nil { levels[index].entries[key] = entry }
        } else {
            levels.append(Level(isV4: isV4, prefixLength: entry.network.prefixLength, entries: [key: entry]))
        }
    }

    /// The network with the longest prefix that holds `address`; IPv4-mapped IPv6 addresses count as IPv4.
    public func lookup(_ address: IPAddress) -> Entry? {
        let address = address.unmapped
        let isV4 = if case .v4 = address { true } else { false }
        for level in levels where level.isV4 == isV4 {
            if let entry = level.entries[Self.key(address, prefixLength: level.prefixLength)] { return entry }
        }
        return nil
    }

    /// The address with all bits behind the prefix cleared (policy.md §5).
    private static func key(_ address: IPAddress, prefixLength: Int) -> Key {
        switch address {
        case .v4(let value):
            return Key(high: 0, low: UInt64(prefixLength == 0 ? 0 : value >> (32 - UInt32(prefixLength))))
        case .v6(let high, let low):
            if prefixLength <= 64 {
                return Key(high: prefixLength == 0 ? 0 : high >> (64 - UInt64(prefixLength)), low: 0)
            }
            return Key(high: high, low: low >> (128 - UInt64(prefixLength)))
        }
    }
}
