import MailModel

/// `METRICS` of zmailer.conf: where the metrics of all programs are told.
public enum MetricsAddress: Hashable, Sendable, CustomStringConvertible {
    /// An absolute path.
    case unix(String)
    case tcp(address: IPAddress, port: UInt16)

    static let valid = "a port (on 127.0.0.1), 127.0.0.1:9925, [::1]:9925, or the path of a Unix socket"

    public init?(_ text: String) {
        if text.utf8.first == UInt8(ascii: "/") {
            guard text.utf8.count > 1, !text.utf8.contains(0) else { return nil }
            self = .unix(text)
            return
        }
        guard let colon = text.utf8.lastIndex(of: UInt8(ascii: ":")) else {
            guard let port = Self.port(text[...]) else { return nil }
            self = .tcp(address: .v4(0x7f00_0001), port: port)
            return
        }
        var host = text[..<colon]
        if host.utf8.first == UInt8(ascii: "[") {
            guard host.utf8.last == UInt8(ascii: "]") else { return nil }
            host = host.dropFirst().dropLast()
        } else if host.utf8.contains(UInt8(ascii: ":")) {
            // Without brackets one cannot tell where the port begins.
            return nil
        }
        guard let port = Self.port(text[text.utf8.index(after: colon)...]), let address = IPAddress(host) else {
            return nil
        }
        self = .tcp(address: address, port: port)
    }

    private static func port(_ text: Substring) -> UInt16? {
        guard text.utf8.allSatisfy({ (48...57).contains($0) }), let port = UInt16(text), port > 0 else { return nil }
        return port
    }

    /// Its key; `nil`: nowhere.
    public static func read(_ environment: ZEnvironment) throws(ConfigurationErrors) -> MetricsAddress? {
        guard let text = environment["METRICS"], !text.isEmpty else { return nil }
        guard let address = MetricsAddress(text) else {
            throw ConfigurationErrors([
                ConfigurationError(
                    file: environment["ZCONFIG"] ?? "", line: 0, key: "METRICS",
                    reason: "'\(text)' is no address; valid are \(valid)")
            ])
        }
        return address
    }

    public var description: String {
        switch self {
        case .unix(let path): path
        case .tcp(.v4(let address), let port): "\(IPAddress.v4(address)):\(port)"
        case .tcp(let address, let port): "[\(address)]:\(port)"
        }
    }
}
