import Configuration
import MailModel

/// filter-milter(8)'s configuration: lines `key value`, `#` in front of a remark.
public struct MilterSettings: Hashable, Sendable {
    public enum Socket: Hashable, Sendable, CustomStringConvertible {
        /// An absolute path of at most 107 octets.
        case unix(String)
        case inet(host: String, port: UInt16)

        /// `unix:/path`, `local:/path`, `inet:port@host`, `inet6:port@host`.
        public init?(_ text: String) {
            let parts = Octets.split(Array(text.utf8)[...], at: UInt8(ascii: ":"), limit: 2)
            guard parts.count == 2 else { return nil }
            let rest = Octets.text(parts[1])
            switch Octets.text(parts[0]) {
            case "unix", "local":
                guard rest.hasPrefix("/"), rest.utf8.count <= Self.maximumPath else { return nil }
                self = .unix(rest)
            case "inet", "inet6":
                let place = Octets.split(parts[1], at: UInt8(ascii: "@"), limit: 2)
                guard place.count == 2, let port = Octets.unsigned(place[0]).flatMap({ UInt16(exactly: $0) }), port > 0
                else { return nil }
                var host = Octets.text(place[1])
                if host.hasPrefix("["), host.hasSuffix("]") { host = String(host.dropFirst().dropLast()) }
                guard !host.isEmpty, host.utf8.count <= 255 else { return nil }
                self = .inet(host: host, port: port)
            default: return nil
            }
        }

        /// `sun_path` of Linux, without its NUL.
        static let maximumPath = 107

        public var description: String {
            switch self {
            case .unix(let path): "unix:\(path)"
            case .inet(let host, let port): "inet:\(port)@\(host)"
            }
        }
    }

    /// Where the milter listens.
    public var socket: Socket
    /// Messages at the same time, a connection each.
    public var maximumConnections = 4
    /// Seconds to wait for a connection.
    public var connectTimeout = 10
    /// Seconds to wait for one answer.
    public var timeout = 60
    /// Seconds for a whole message. smtpserver waits 120.
    public var messageTimeout = 110
    /// Macro `{daemon_name}`.
    public var daemonName = "smtpserver"
    /// Macro `j`; `nil`: as zmailer.conf or the system says.
    public var hostName: String?

    public init(socket: Socket) { self.socket = socket }

    /// Reads it; all mistakes are reported together.
    public static func parse(_ text: String, file: String) throws(ConfigurationErrors) -> MilterSettings {
        var settings: MilterSettings?
        var values = MilterSettings(socket: .unix("/"))
        var errors: [ConfigurationError] = []
        var seen: [String: Int] = [:]
        for (index, line) in Octets.split(Array(text.utf8)[...], at: 0x0a).enumerated() {
            var words = Octets.words(line.last == 0x0d ? line.dropLast() : line)
            if let remark = words.firstIndex(where: { $0.first == UInt8(ascii: "#") }) {
                words = Array(words[..<remark])
            }
            guard let key = words.first.map(Octets.text) else { continue }
            func fail(_ reason: String) {
                errors.append(ConfigurationError(file: file, line: index + 1, key: key, reason: reason))
            }
            guard let apply = keys[key] else {
                fail("unknown key; valid are \(keys.keys.sorted().joined(separator: ", "))")
                continue
            }
            if let earlier = seen.updateValue(index + 1, forKey: key) {
                fail("line \(earlier) has it already")
                continue
            }
            guard words.count == 2 else {
                fail(words.count < 2 ? "a value is missing" : "one value is valid")
                continue
            }
            if let reason = apply(&values, Octets.text(words[1])) {
                fail(reason)
            } else if key == "milter" {
                settings = values
            }
        }
        if settings == nil, !errors.contains(where: { $0.key == "milter" }) {
            let reason = "a line like 'milter unix:/run/opendkim/opendkim.sock' is missing"
            errors.append(ConfigurationError(file: file, line: 0, key: "milter", reason: reason))
        }
        guard errors.isEmpty else { throw ConfigurationErrors(errors) }
        return values
    }

    /// Sets the value of a key, or says what would be valid.
    private static let keys: [String: @Sendable (inout MilterSettings, String) -> String?] = [
        "milter": { settings, text in
            guard let socket = Socket(text) else {
                return "'\(text)': valid are unix:/path (at most \(Socket.maximumPath) octets) and inet:port@host"
            }
            settings.socket = socket
            return nil
        },
        "max-connections": { number($1, 1...64, &$0.maximumConnections) },
        "connect-timeout": { number($1, 1...100, &$0.connectTimeout) },
        "timeout": { number($1, 1...110, &$0.timeout) },
        "message-timeout": { number($1, 1...110, &$0.messageTimeout) },
        "daemon-name": { settings, text in
            settings.daemonName = text
            return nil
        },
        "hostname": { settings, text in
            guard MailDomain(text) != nil else { return "'\(text)': valid is a domain name" }
            settings.hostName = text
            return nil
        },
    ]

    private static func number(_ text: String, _ range: ClosedRange<Int>, _ value: inout Int) -> String? {
        guard let number = Octets.unsigned(Array(text.utf8)[...]).flatMap({ Int(exactly: $0) }), range.contains(number)
        else { return "'\(text)': valid are \(range.lowerBound) to \(range.upperBound)" }
        value = number
        return nil
    }
}
