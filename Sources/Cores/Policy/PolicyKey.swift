import MailModel

/// A key of the policy database. Texts are in lower case.
public enum PolicyKey: Hashable, Sendable {
    case network(IPNetwork)
    /// With its `_`.
    case tag(String)
    /// `example.org`, `.example.org` (it and all below), `.` (everything).
    case domain(String)
    /// `user@` or `user@domain`.
    case user(String)

    /// First octet behind the length (policy.md §3).
    enum Kind {
        static let v4: UInt8 = 1
        static let v6: UInt8 = 2
        static let tag: UInt8 = 3
        static let domain: UInt8 = 4
        static let user: UInt8 = 5
        static let metadata: UInt8 = 6
    }
    /// Octets of a text, so that its length fits into one octet with the two in front and the NUL behind.
    public static let maximumLength = 252

    /// The key of the metadata record, ours: type 6, no data.
    public static let metadata: [UInt8] = [2, Kind.metadata]

    /// `length,type,data`: the address's octets and its width, or text and NUL (policy.md §3).
    public var octets: [UInt8] {
        switch self {
        case .network(let network):
            let address = network.masked.address.octets
            let kind = address.count == 4 ? Kind.v4 : Kind.v6
            return [UInt8(address.count + 3), kind] + address + [UInt8(network.prefixLength)]
        case .tag(let text): return Self.octets(Kind.tag, text.utf8)
        case .domain(let text): return Self.octets(Kind.domain, text.utf8)
        case .user(let text): return Self.octets(Kind.user, text.utf8)
        }
    }

    static func octets(_ kind: UInt8, _ text: some Collection<UInt8>) -> [UInt8] {
        var octets: [UInt8] = []
        octets.reserveCapacity(text.count + 3)
        octets.append(UInt8(truncatingIfNeeded: text.count + 3))
        octets.append(kind)
        octets.append(contentsOf: text)
        octets.append(0)
        return octets
    }

    /// From ``octets``; `nil` for anything else, the metadata's key included.
    public init?(octets: [UInt8]) {
        guard octets.count >= 4, Int(octets[0]) == octets.count else { return nil }
        switch octets[1] {
        case Kind.v4, Kind.v6:
            guard octets.count == (octets[1] == Kind.v4 ? 7 : 19),
                let address = IPAddress(octets: Array(octets[2..<(octets.count - 1)])),
                let network = IPNetwork(address, prefixLength: Int(octets[octets.count - 1]))
            else { return nil }
            self = .network(network)
        case Kind.tag, Kind.domain, Kind.user:
            guard octets.last == 0, let text = String(validating: octets[2..<(octets.count - 1)], as: UTF8.self) else {
                return nil
            }
            self = octets[1] == Kind.tag ? .tag(text) : octets[1] == Kind.domain ? .domain(text) : .user(text)
        default: return nil
        }
    }
}

extension PolicyKey: CustomStringConvertible {
    /// As the source language spells it.
    public var description: String {
        switch self {
        case .network(let network):
            switch network.address {
            case .v4: "[\(network.address)]/\(network.prefixLength)"
            case .v6: "[IPv6:\(network.address)]/\(network.prefixLength)"
            }
        case .tag(let text), .domain(let text), .user(let text): text
        }
    }
}

extension DomainName {
    /// What tables, the database and the DNS know it by: lower case, U-labels as A-labels (RFC 5890 §2.3.2.1). A name with a label that is
    /// too long for that stays as it is, and is found nowhere.
    public var lookupName: String { isASCII ? key : asciiName(key) ?? key }
}

extension MailDomain {
    /// The same; a literal in lower case.
    public var lookupName: String {
        switch self {
        case .name(let name): name.lookupName
        case .literal: key
        }
    }
}

extension IPNetwork {
    /// The same network with the bits behind the prefix zero.
    var masked: IPNetwork {
        switch address {
        case .v4(let value):
            let mask: UInt32 = prefixLength == 0 ? 0 : ~0 << (32 - UInt32(prefixLength))
            return IPNetwork(.v4(value & mask), prefixLength: prefixLength) ?? self
        case .v6(let high, let low):
            let highMask: UInt64 = prefixLength == 0 ? 0 : ~0 << UInt64(max(0, 64 - prefixLength))
            let lowMask: UInt64 = prefixLength <= 64 ? 0 : ~0 << UInt64(128 - prefixLength)
            return IPNetwork(.v6(high: high & highMask, low: low & lowMask), prefixLength: prefixLength) ?? self
        }
    }
}

extension PolicyKey {
    /// Whether it stands for all that is not listed: `.`, or a network of width 0.
    var isDefault: Bool {
        switch self {
        case .domain(let name): name == "."
        case .network(let network): network.prefixLength == 0
        case .tag, .user: false
        }
    }
}
