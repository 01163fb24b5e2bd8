import MailModel

/// What an ETRN names (RFC 1985 §5): a host, `@domain` for it and all names below it, `#queue` for a channel.
public enum ETRNTarget: Hashable, Sendable, CustomStringConvertible {
    /// The next hop of a thread; a port behind it does not count.
    case host(String)
    case domain(String)
    /// Ours: everything of one channel.
    case channel(String)

    /// Octets; a domain name has at most 255 (RFC 5321 §4.5.3.1.2).
    public static let maximumLength = 320

    /// `nil` for an empty name, and one that holds blanks, control characters or a separator.
    public init?(_ text: some StringProtocol) {
        var octets = Array(text.utf8)[...]
        let first = octets.first
        if first == UInt8(ascii: "@") || first == UInt8(ascii: "#") { octets = octets.dropFirst() }
        if octets.count > 1, octets.last == UInt8(ascii: ".") { octets = octets.dropLast() }
        guard (1...Self.maximumLength).contains(octets.count), octets.first != UInt8(ascii: "."),
            octets.allSatisfy({ $0 > 0x20 && $0 != 0x7f && $0 != UInt8(ascii: "@") && $0 != UInt8(ascii: "#") })
        else { return nil }
        let name = Octets.text(octets.map(Self.lowered)[...])
        switch first {
        case UInt8(ascii: "@"): self = .domain(name)
        case UInt8(ascii: "#"): self = .channel(name)
        default: self = .host(name)
        }
    }

    public var description: String {
        switch self {
        case .host(let name): name
        case .domain(let name): "@\(name)"
        case .channel(let name): "#\(name)"
        }
    }

    /// Whether a thread is meant; ASCII case does not count.
    public func matches(channel: String, host: String) -> Bool {
        switch self {
        case .channel(let name): Self.isEqual(channel.utf8[...], name)
        case .host(let name): Self.isEqual(host.utf8[...], name) || Self.isEqual(Self.withoutPort(host), name)
        case .domain(let name): Self.isInside(Self.withoutPort(host), name)
        }
    }

    private static func lowered(_ octet: UInt8) -> UInt8 { (65...90).contains(octet) ? octet + 32 : octet }

    /// `name` is in lower case.
    private static func isEqual(_ text: Substring.UTF8View, _ name: String) -> Bool {
        guard text.count == name.utf8.count else { return false }
        return zip(text, name.utf8).allSatisfy { lowered($0) == $1 }
    }

    private static func isInside(_ host: Substring.UTF8View, _ name: String) -> Bool {
        let before = host.count - name.utf8.count
        guard before > 0 else { return isEqual(host, name) }
        return host.dropFirst(before - 1).first == UInt8(ascii: ".") && isEqual(host.dropFirst(before), name)
    }

    /// `mail.example.com:587` is the host `mail.example.com`; a colon within brackets stays.
    private static func withoutPort(_ host: String) -> Substring.UTF8View {
        let octets = host.utf8
        guard let colon = octets.lastIndex(of: UInt8(ascii: ":")) else { return octets[...] }
        let port = octets[octets.index(after: colon)...]
        guard !port.isEmpty, port.allSatisfy({ (48...57).contains($0) }) else { return octets[...] }
        return octets[..<colon]
    }
}
