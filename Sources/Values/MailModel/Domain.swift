/// A domain name as mail uses it (RFC 5321 §4.1.2 `Domain`, RFC 6531 §3.3 for U-labels). Keeps the spelling it came with;
/// compares without regard to ASCII case.
public struct DomainName: Sendable, CustomStringConvertible {
    /// As it came in, without a trailing dot.
    public let text: String
    /// ASCII letters in lower case: the key of tables.
    public let key: String

    /// RFC 1035 §2.3.4: labels of 1...63 octets, 255 in all; letters, digits, hyphen, and underscore, which real hosts use.
    /// A U-label is bounded by its 63 characters (RFC 5890 §4.2: its octets may be more, the A-label's are counted when it
    /// is looked up) and holds no C1 control, blank or other separator.
    public init?(_ text: some StringProtocol, allowingUTF8: Bool = true) {
        var bytes = Array(text.utf8)
        if bytes.last == UInt8(ascii: "."), bytes.count > 1 { bytes.removeLast() }
        guard !bytes.isEmpty, bytes.count <= Self.maximumLength else { return nil }
        var label = 0
        var previous = UInt8(ascii: ".")
        var isASCII = true
        for byte in bytes {
            switch byte {
            case UInt8(ascii: "."):
                if label == 0 || previous == UInt8(ascii: "-") { return nil }
                label = 0
            case UInt8(ascii: "-"):
                if label == 0 { return nil }
                label += 1
            case _ where Self.isLetterOrDigit(byte) || byte == UInt8(ascii: "_"):
                label += 1
            case 0x80...:
                if !allowingUTF8 { return nil }
                isASCII = false
                // Octets 0x80...0xBF continue a character.
                if byte >= 0xc0 { label += 1 }
            default:
                return nil
            }
            if label > 63 { return nil }
            previous = byte
        }
        guard label > 0, previous != UInt8(ascii: "-"), let valid = String(validating: bytes, as: UTF8.self) else {
            return nil
        }
        guard isASCII || valid.unicodeScalars.allSatisfy(Self.isAllowed) else { return nil }
        self.text = valid
        self.key = asciiLowercased(valid)
    }

    /// Octets; RFC 5321 §4.5.3.1.2.
    public static let maximumLength = 255

    public var isASCII: Bool { text.utf8.allSatisfy { $0 < 0x80 } }
    public var description: String { text }

    private static func isAllowed(_ scalar: Unicode.Scalar) -> Bool {
        switch scalar.properties.generalCategory {
        case .control, .spaceSeparator, .lineSeparator, .paragraphSeparator: false
        default: true
        }
    }

    static func isLetterOrDigit(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "a")...UInt8(ascii: "z"),
            UInt8(ascii: "A")...UInt8(ascii: "Z"):
            true
        default:
            false
        }
    }
}

extension DomainName: Hashable {
    public static func == (left: Self, right: Self) -> Bool { left.key == right.key }
    public func hash(into hasher: inout Hasher) { hasher.combine(key) }
}

/// RFC 5321 §4.1.3: the part between `[` and `]`.
public enum AddressLiteral: Hashable, Sendable, CustomStringConvertible {
    case ip(IPAddress)
    /// `General-address-literal`: a standardised tag and its content.
    case general(tag: String, content: String)

    /// Parses `[…]`, brackets included. `IPv6.` is taken for `IPv6:`, as ZMailer writes it.
    public init?(_ text: some StringProtocol) {
        let bytes = Array(text.utf8)
        guard bytes.count > 2, bytes.count <= 255, bytes.first == 0x5b, bytes.last == 0x5d else { return nil }
        let inner = bytes[1..<(bytes.count - 1)]
        if let v4 = IPAddress.parseV4(inner) {
            self = .ip(.v4(v4))
            return
        }
        if inner.count > 5, asciiLowercased(String(decoding: inner.prefix(4), as: UTF8.self)) == "ipv6",
            inner[inner.startIndex + 4] == 0x3a || inner[inner.startIndex + 4] == 0x2e
        {
            guard let (high, low) = IPAddress.parseV6(inner.dropFirst(5)) else { return nil }
            self = .ip(.v6(high: high, low: low))
            return
        }
        guard let colon = inner.firstIndex(of: 0x3a), colon > inner.startIndex, colon < inner.endIndex - 1 else {
            return nil
        }
        let tag = inner[..<colon]
        let content = inner[(colon + 1)...]
        guard tag.allSatisfy({ DomainName.isLetterOrDigit($0) || $0 == 0x2d }), tag.last != 0x2d,
            content.allSatisfy({ (33...90).contains($0) || (94...126).contains($0) })
        else { return nil }
        self = .general(tag: String(decoding: tag, as: UTF8.self), content: String(decoding: content, as: UTF8.self))
    }

    /// The IP address in `text` if it is a bracketed address literal.
    public static func address(in text: some StringProtocol) -> IPAddress? {
        if case .ip(let address)? = AddressLiteral(text) { return address }
        return nil
    }

    public var description: String {
        switch self {
        case .ip(let address): address.literal
        case .general(let tag, let content): "[\(tag):\(content)]"
        }
    }
}

/// What stands right of the `@`.
public enum MailDomain: Hashable, Sendable, CustomStringConvertible {
    case name(DomainName)
    case literal(AddressLiteral)

    public init?(_ text: some StringProtocol, allowingUTF8: Bool = true) {
        if text.utf8.first == 0x5b {
            guard let literal = AddressLiteral(text) else { return nil }
            self = .literal(literal)
        } else {
            guard let name = DomainName(text, allowingUTF8: allowingUTF8) else { return nil }
            self = .name(name)
        }
    }

    /// Lower case: the key of tables.
    public var key: String {
        switch self {
        case .name(let name): name.key
        case .literal(let literal): asciiLowercased(literal.description)
        }
    }

    public var isASCII: Bool {
        switch self {
        case .name(let name): name.isASCII
        case .literal: true
        }
    }

    public var description: String {
        switch self {
        case .name(let name): name.text
        case .literal(let literal): literal.description
        }
    }
}

/// ASCII letters to lower case; all other octets unchanged.
public func asciiLowercased(_ text: String) -> String {
    let utf8 = text.utf8
    guard utf8.contains(where: { (65...90).contains($0) }) else { return text }
    return String(decoding: utf8.map { (65...90).contains($0) ? $0 | 0x20 : $0 }, as: UTF8.self)
}

/// The same of any text.
public func asciiLowercased(_ text: some StringProtocol) -> String {
    let utf8 = text.utf8
    guard utf8.contains(where: { (65...90).contains($0) }) else { return String(text) }
    return String(decoding: utf8.map { (65...90).contains($0) ? $0 | 0x20 : $0 }, as: UTF8.self)
}
