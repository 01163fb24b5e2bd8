/// An IPv4 or IPv6 address, in network byte order semantics.
public enum IPAddress: Hashable, Sendable {
    case v4(UInt32)
    case v6(high: UInt64, low: UInt64)

    /// Parses dotted-quad IPv4 or RFC 4291 §2.2 IPv6 text, without brackets. No shortened IPv4 forms, no zone ids.
    public init?(_ text: some StringProtocol) {
        let bytes = Array(text.utf8)
        if let v4 = Self.parseV4(bytes[...]) {
            self = .v4(v4)
        } else if let (high, low) = Self.parseV6(bytes[...]) {
            self = .v6(high: high, low: low)
        } else {
            return nil
        }
    }

    /// From the octets of an `in_addr` (4) or `in6_addr` (16).
    public init?(octets: [UInt8]) {
        switch octets.count {
        case 4:
            self = .v4(octets.reduce(0) { $0 << 8 | UInt32($1) })
        case 16:
            self = .v6(
                high: octets[0..<8].reduce(0) { $0 << 8 | UInt64($1) },
                low: octets[8..<16].reduce(0) { $0 << 8 | UInt64($1) })
        default:
            return nil
        }
    }

    /// 4 or 16 octets.
    public var octets: [UInt8] {
        switch self {
        case .v4(let value):
            return (0..<4).map { UInt8(truncatingIfNeeded: value >> (24 - 8 * UInt32($0))) }
        case .v6(let high, let low):
            return [high, low].flatMap { word in
                (0..<8).map { UInt8(truncatingIfNeeded: word >> (56 - 8 * UInt64($0))) }
            }
        }
    }

    /// IPv4-mapped IPv6 addresses (`::ffff:1.2.3.4`) as IPv4; everything else unchanged.
    public var unmapped: IPAddress {
        if case .v6(0, let low) = self, low >> 32 == 0xffff { return .v4(UInt32(truncatingIfNeeded: low)) }
        return self
    }

    /// 127.0.0.0/8 or ::1, IPv4-mapped included.
    public var isLoopback: Bool {
        switch unmapped {
        case .v4(let value): value >> 24 == 127
        case .v6(let high, let low): high == 0 && low == 1
        }
    }

    /// The address literal of RFC 5321 §4.1.3: `[192.0.2.1]` or `[IPv6:2001:db8::1]`.
    public var literal: String {
        switch self {
        case .v4: "[\(self)]"
        case .v6: "[IPv6:\(self)]"
        }
    }

    static func parseV4(_ bytes: ArraySlice<UInt8>) -> UInt32? {
        var value: UInt32 = 0
        var part: UInt32 = 0
        var digits = 0
        var parts = 0
        for byte in bytes {
            switch byte {
            case UInt8(ascii: "0")...UInt8(ascii: "9"):
                if digits > 0 && part == 0 { return nil }
                part = part * 10 + UInt32(byte - 48)
                digits += 1
                if part > 255 || digits > 3 { return nil }
            case UInt8(ascii: "."):
                if digits == 0 || parts == 3 { return nil }
                value = value << 8 | part
                part = 0
                digits = 0
                parts += 1
            default:
                return nil
            }
        }
        guard parts == 3, digits > 0 else { return nil }
        return value << 8 | part
    }

    static func parseV6(_ bytes: ArraySlice<UInt8>) -> (UInt64, UInt64)? {
        var groups: [UInt16] = []
        var gap: Int?
        var index = bytes.startIndex
        let end = bytes.endIndex
        guard bytes.count >= 2, bytes.count <= 45 else { return nil }
        if bytes[index] == 0x3a {
            guard bytes[index + 1] == 0x3a else { return nil }
            gap = 0
            index += 2
        }
        while index < end {
            let rest = bytes[index..<end]
            if rest.contains(0x2e) && !rest.contains(0x3a) {
                guard let v4 = parseV4(rest), groups.count <= 6 else { return nil }
                groups.append(UInt16(v4 >> 16))
                groups.append(UInt16(v4 & 0xffff))
                index = end
                break
            }
            var value: UInt32 = 0
            var digits = 0
            while index < end, let digit = hexValue(bytes[index]) {
                value = value << 4 | UInt32(digit)
                digits += 1
                index += 1
                if digits > 4 { return nil }
            }
            guard digits > 0, groups.count < 8 else { return nil }
            groups.append(UInt16(value))
            if index == end { break }
            guard bytes[index] == 0x3a else { return nil }
            index += 1
            if index == end { return nil }
            if bytes[index] == 0x3a {
                guard gap == nil else { return nil }
                gap = groups.count
                index += 1
            }
        }
        if let gap {
            guard groups.count < 8 else { return nil }
            groups.insert(contentsOf: Array(repeating: 0, count: 8 - groups.count), at: gap)
        }
        guard groups.count == 8 else { return nil }
        return (
            groups[0..<4].reduce(0) { $0 << 16 | UInt64($1) }, groups[4..<8].reduce(0) { $0 << 16 | UInt64($1) }
        )
    }
}

extension IPAddress: CustomStringConvertible {
    /// Dotted quad, or the canonical form of RFC 5952.
    public var description: String {
        switch self {
        case .v4(let value):
            // Written out: this stands in each answer to a client.
            return String(unsafeUninitializedCapacity: 15) { buffer in
                var count = 0
                for shift: UInt32 in [24, 16, 8, 0] {
                    let number = UInt8(truncatingIfNeeded: value >> shift)
                    if number >= 100 {
                        buffer[count] = 0x30 + number / 100
                        count += 1
                    }
                    if number >= 10 {
                        buffer[count] = 0x30 + number / 10 % 10
                        count += 1
                    }
                    buffer[count] = 0x30 + number % 10
                    count += 1
                    if shift > 0 {
                        buffer[count] = UInt8(ascii: ".")
                        count += 1
                    }
                }
                return count
            }
        case .v6(let high, let low):
            if high == 0, low >> 32 == 0xffff {
                return "::ffff:\(IPAddress.v4(UInt32(truncatingIfNeeded: low)))"
            }
            let groups = (0..<8).map { index -> UInt16 in
                let word = index < 4 ? high : low
                return UInt16(truncatingIfNeeded: word >> (48 - 16 * UInt64(index % 4)))
            }
            var best = 0..<0
            var start = 0
            while start < 8 {
                var end = start
                while end < 8 && groups[end] == 0 { end += 1 }
                if end - start > best.count && end - start > 1 { best = start..<end }
                start = max(end, start + 1)
            }
            let text = { (range: Range<Int>) in
                groups[range].map { String($0, radix: 16) }.joined(separator: ":")
            }
            if best.isEmpty { return text(0..<8) }
            return text(0..<best.lowerBound) + "::" + text(best.upperBound..<8)
        }
    }
}

/// An IP network: an address and a prefix length (0...32 or 0...128).
public struct IPNetwork: Hashable, Sendable, CustomStringConvertible {
    public let address: IPAddress
    public let prefixLength: Int

    public init?(_ address: IPAddress, prefixLength: Int) {
        let limit = if case .v4 = address { 32 } else { 128 }
        guard (0...limit).contains(prefixLength) else { return nil }
        self.address = address
        self.prefixLength = prefixLength
    }

    /// Parses `[1.2.3.0]/24`, `1.2.3.0/24`, `[IPv6:2001:db8::]/32`, `[IPv6.2001:db8::]/32`, or a single address.
    public init?(parsing text: some StringProtocol) {
        let parts = text.split(separator: "/", maxSplits: 1, omittingEmptySubsequences: false)
        guard let address = AddressLiteral.address(in: parts[0]) ?? IPAddress(parts[0]) else { return nil }
        let full = if case .v4 = address { 32 } else { 128 }
        if parts.count == 1 {
            self.init(address, prefixLength: full)
        } else {
            guard parts[1].count <= 3, let length = Int(parts[1]), parts[1].allSatisfy(\.isNumber) else { return nil }
            self.init(address, prefixLength: length)
        }
    }

    /// Whether `other` lies in this network; IPv4-mapped IPv6 addresses count as IPv4.
    public func contains(_ other: IPAddress) -> Bool {
        // ::ffff:1.2.3.0/120 is 1.2.3.0/24.
        if case .v6 = address, case .v4(let mine) = address.unmapped, prefixLength >= 96 {
            return IPNetwork(.v4(mine), prefixLength: prefixLength - 96)?.contains(other) ?? false
        }
        switch (address, other.unmapped) {
        case (.v4(let mine), .v4(let theirs)):
            return prefixLength == 0 || (mine ^ theirs) >> (32 - UInt32(prefixLength)) == 0
        case (.v6(let high, let low), .v6(let otherHigh, let otherLow)):
            if prefixLength == 0 { return true }
            if prefixLength <= 64 { return (high ^ otherHigh) >> (64 - UInt64(prefixLength)) == 0 }
            return high == otherHigh && (low ^ otherLow) >> (128 - UInt64(prefixLength)) == 0
        case (.v4, .v6), (.v6, .v4):
            return false
        }
    }

    public var description: String { "\(address)/\(prefixLength)" }
}

func hexValue(_ byte: UInt8) -> UInt8? {
    switch byte {
    case UInt8(ascii: "0")...UInt8(ascii: "9"): byte - 48
    case UInt8(ascii: "a")...UInt8(ascii: "f"): byte - 87
    case UInt8(ascii: "A")...UInt8(ascii: "F"): byte - 55
    default: nil
    }
}
