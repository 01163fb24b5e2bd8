import MailModel

/// What the database holds for a key: attributes and values in order, as the octets of policy.md §3: `length,attribute,text,NUL`
/// for each pair. A pair of attribute 127 holds `file:line` for the pairs behind it; other readers skip it.
public struct PolicyRecord: Hashable, Sendable {
    public struct Pair: Hashable, Sendable {
        /// `nil`: a number that we do not know.
        public let attribute: PolicyAttribute?
        public let value: String
        /// `file:line`, empty if the record does not say.
        public let origin: String
    }

    /// The stored form; of a read record as it was read.
    public private(set) var octets: [UInt8]

    public init() { octets = [] }

    /// `nil` if the lengths are wrong.
    public init?(octets: [UInt8]) {
        var index = 0
        while index < octets.count {
            let length = Int(octets[index])
            guard length >= 3, index + length <= octets.count, octets[index + length - 1] == 0 else { return nil }
            index += length
        }
        self.octets = octets
    }

    public var isEmpty: Bool { octets.isEmpty }

    /// Appends a pair; a value longer than ``PolicyKey/maximumLength`` octets is cut.
    public mutating func append(_ attribute: PolicyAttribute, _ value: some Collection<UInt8>) {
        let value = value.prefix(PolicyKey.maximumLength)
        octets.append(UInt8(value.count + 3))
        octets.append(attribute.rawValue)
        octets.append(contentsOf: value)
        octets.append(0)
    }

    /// The same key again: its pairs follow (`makedb -A`).
    public mutating func append(_ other: PolicyRecord) { octets.append(contentsOf: other.octets) }

    /// In order, without the origin pairs, which are in ``Pair/origin``.
    public var pairs: [Pair] {
        var pairs: [Pair] = []
        var origin = ""
        var index = 0
        while index < octets.count {
            let end = index + Int(octets[index])
            let value = Octets.text(octets[(index + 2)..<(end - 1)])
            let attribute = PolicyAttribute(rawValue: octets[index + 1])
            if attribute == .origin {
                origin = value
            } else {
                pairs.append(Pair(attribute: attribute, value: value, origin: origin))
            }
            index = end
        }
        return pairs
    }
}
