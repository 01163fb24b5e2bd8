import MailModel

/// `PARAMmailqsock` of scheduler.conf: where the scheduler answers mailq, version 2 (scheduler.md §5).
public enum MailqSocket: Hashable, Sendable, CustomStringConvertible {
    /// An absolute path.
    case unix(String)
    /// `nil`: every address of the machine.
    case tcp(port: UInt16, address: IPAddress?)

    /// ZMailer's port, which its services file calls `mailq`.
    public static let standardPort: UInt16 = 174

    /// What the parameter may be.
    static let valid =
        "UNIX:/path, TCP:port or TCP:port@address, with a number from 1 to 65535 or 'mailq' (\(standardPort)) for the port"

    /// `UNIX:/path`, `/path`, `TCP:port`, `port`, these two perhaps with `@address` behind them; the words in any case.
    public init?(_ text: String) {
        let word = text.utf8.prefix(5).map { (97...122).contains($0) ? $0 - 32 : $0 }
        if word == Array("UNIX:".utf8) || text.utf8.first == UInt8(ascii: "/") {
            let path = text.utf8.first == UInt8(ascii: "/") ? text : String(text.dropFirst(5))
            guard path.utf8.first == UInt8(ascii: "/"), !path.utf8.contains(0) else { return nil }
            self = .unix(path)
            return
        }
        let place = word.prefix(4) == Array("TCP:".utf8)[...] ? text.dropFirst(4) : text[...]
        let parts = place.split(separator: "@", maxSplits: 1, omittingEmptySubsequences: false)
        guard let name = parts.first, let port = name == "mailq" ? Self.standardPort : Self.port(name) else {
            return nil
        }
        guard parts.count == 2 else {
            self = .tcp(port: port, address: nil)
            return
        }
        guard let address = AddressLiteral.address(in: parts[1]) ?? IPAddress(parts[1]) else { return nil }
        self = .tcp(port: port, address: address)
    }

    private static func port(_ text: Substring) -> UInt16? {
        guard text.utf8.allSatisfy({ (48...57).contains($0) }), let port = UInt16(text), port > 0 else { return nil }
        return port
    }

    public var description: String {
        switch self {
        case .unix(let path): "UNIX:\(path)"
        case .tcp(let port, nil): "TCP:\(port)"
        case .tcp(let port, let address?): "TCP:\(port)@\(address.literal)"
        }
    }
}
