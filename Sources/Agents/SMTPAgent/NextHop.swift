import MailModel

/// Where the mail of one thread goes, as routes, `-F` and the scheduler's host name it.
///
///     example.com            MX records (or not, with -x), the agent's port
///     example.com:587        that port
///     [192.0.2.1]:2525       one address
///     [IPv6:2001:db8::1]     one address; `[IPv6.2001:db8::1]` is ZMailer's spelling of it
///     [mail.example.com]     a host's addresses without its MX records
///     UNIX:/run/lmtp         a Unix-domain socket
public struct NextHop: Hashable, Sendable, CustomStringConvertible {
    public enum Destination: Hashable, Sendable {
        case address(IPAddress)
        /// `usesMX` is false for a name in brackets.
        case domain(String, usesMX: Bool)
        /// An absolute path.
        case unixSocket(String)
    }
    public let destination: Destination
    /// 1...65535; `nil` where the text names none.
    public let port: UInt16?

    public init(destination: Destination, port: UInt16? = nil) {
        self.destination = destination
        self.port = port
    }

    /// `nil` if the text is none of the forms.
    public init?(_ text: String) {
        if text.utf8.count > 5, asciiLowercased(text.prefix(5)) == "unix:" {
            let path = text.dropFirst(5)
            guard path.first == "/", path.utf8.count < Self.maximumSocketPathLength, !path.utf8.contains(0) else {
                return nil
            }
            self.init(destination: .unixSocket(String(path)))
            return
        }
        if text.first == "[" {
            guard let end = text.lastIndex(of: "]") else { return nil }
            let literal = text[...end]
            guard let port = Self.port(text[text.index(after: end)...]) else { return nil }
            let inner = literal.dropFirst().dropLast()
            if let address = AddressLiteral.address(in: literal) ?? IPAddress(inner) {
                self.init(destination: .address(address), port: port.number)
            } else if let name = DomainName(inner), !Self.looksLikeAddress(name.text) {
                self.init(destination: .domain(name.text, usesMX: false), port: port.number)
            } else {
                return nil
            }
            return
        }
        let end = text.firstIndex(of: ":") ?? text.endIndex
        guard let port = Self.port(text[end...]), let name = DomainName(text[..<end]) else { return nil }
        self.init(destination: .domain(name.text, usesMX: true), port: port.number)
    }

    /// Octets that `sockaddr_un` holds.
    private static var maximumSocketPathLength: Int { 108 }

    /// `[10.0.0.300]` is a broken address, not a host in a top-level domain of digits.
    private static func looksLikeAddress(_ name: String) -> Bool {
        name.utf8.allSatisfy { (48...57).contains($0) || $0 == UInt8(ascii: ".") }
    }

    /// The end of a text: nothing, or a colon and a port.
    private static func port(_ text: Substring) -> (number: UInt16?, Void)? {
        if text.isEmpty { return (nil, ()) }
        guard text.first == ":", text.count <= 6, text.dropFirst().utf8.allSatisfy({ (48...57).contains($0) }),
            let number = UInt16(text.dropFirst()), number > 0
        else { return nil }
        return (number, ())
    }

    public var description: String {
        let suffix = port.map { ":\($0)" } ?? ""
        return switch destination {
        case .address(let address): address.literal + suffix
        case .domain(let name, true): name + suffix
        case .domain(let name, false): "[\(name)]" + suffix
        case .unixSocket(let path): "UNIX:\(path)"
        }
    }
}
