import MailModel

/// The value of a `routes` entry: `channel!nexthop`, `channel!nexthop!user` (router.md §4).
public struct RouteSpec: Hashable, Sendable {
    public let channel: String
    /// `nil`: the recipient's domain for SMTP channels, `-` for others.
    public let host: String?
    /// Replaces the recipient's address.
    public let user: String?

    public static let validForms =
        "valid are smtp!host, smtpx!host, smtpx![address]:port, local!, error!form, bitbucket!-, hold!condition and "
        + "channel!host!user"

    public init(channel: String, host: String?, user: String?) {
        self.channel = channel
        self.host = host
        self.user = user
    }

    /// Why `text` is no route, `nil` if it is one.
    public static func problem(_ text: String) -> String? {
        RouteSpec(text) == nil ? "'\(text)' is no route; \(validForms)" : nil
    }

    /// Host names, address literals, `host:port` and `[address]:port` for SMTP channels; a word for others.
    public init?(_ text: String) {
        let parts = text.split(separator: "!", maxSplits: 2, omittingEmptySubsequences: false)
        guard parts.count >= 2, Self.isChannel(parts[0]) else { return nil }
        channel = asciiLowercased(parts[0])
        let next = String(parts[1])
        guard next.utf8.allSatisfy({ $0 > 0x20 && $0 != 0x7f }) else { return nil }
        host = next.isEmpty || next == "-" ? nil : next
        user = parts.count == 3 && !parts[2].isEmpty ? String(parts[2]) : nil
        if let host, isSMTP, !Self.isHost(host) { return nil }
        if channel == "error" {
            // The host is the name of a file in forms/.
            guard let host, host.utf8.allSatisfy({ Self.isWordByte($0) }) else { return nil }
        }
        if let user, user.utf8.contains(where: { $0 < 0x20 || $0 == 0x7f }) { return nil }
    }

    /// Whether the channel's agent speaks SMTP or LMTP to the host.
    public var isSMTP: Bool { channel.hasPrefix("smtp") }
    /// Treated as one of our own domains: aliases and accounts apply.
    public var isLocal: Bool { channel == "local" }
    /// Mail waits for the condition that the host names.
    public var isHold: Bool { channel == "hold" }

    private static func isWordByte(_ byte: UInt8) -> Bool {
        (48...57).contains(byte) || (65...90).contains(byte) || (97...122).contains(byte) || byte == 0x2d
            || byte == 0x5f
    }

    private static func isChannel(_ text: Substring) -> Bool {
        (1...32).contains(text.utf8.count) && text.utf8.allSatisfy(isWordByte)
    }

    private static func isHost(_ text: String) -> Bool {
        if MailDomain(text) != nil { return true }
        guard let colon = text.utf8.lastIndex(of: UInt8(ascii: ":")) else { return false }
        let port = text[text.utf8.index(after: colon)...]
        guard (1...5).contains(port.utf8.count), let number = Int(port), (1...65535).contains(number) else {
            return false
        }
        return MailDomain(text[..<colon]) != nil
    }
}
