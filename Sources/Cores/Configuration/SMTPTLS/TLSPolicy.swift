import MailModel

/// What TLS has to be for mail to one destination.
public struct TLSPolicy: Hashable, Sendable {
    /// From nothing to the most; each of the last three needs TLS, and mail waits without it.
    public enum Level: String, Hashable, Sendable, CaseIterable {
        /// Clear text, also where STARTTLS is offered.
        case none
        /// TLS where it is offered, with any certificate; clear text otherwise (RFC 7435).
        case may
        /// TLS, with any certificate.
        case encrypt
        /// TLS with a certificate of a trusted authority for one of ``TLSPolicy/names``.
        case verify
        /// TLS with one of the certificates of ``TLSPolicy/fingerprints``.
        case fingerprint

        public var requiresTLS: Bool {
            switch self {
            case .none, .may: false
            case .encrypt, .verify, .fingerprint: true
            }
        }

        /// Whether the server must prove who it is.
        public var requiresIdentity: Bool {
            switch self {
            case .none, .may, .encrypt: false
            case .verify, .fingerprint: true
            }
        }
    }

    /// A name that the certificate may be for.
    public enum Name: Hashable, Sendable, CustomStringConvertible {
        /// The next hop itself: the domain, or its address.
        case nextHop
        /// Names below the next hop's domain.
        case belowNextHop
        /// The host that is connected to. Where MX records of an unsigned zone led to it, whoever can forge the DNS chooses it.
        case hostName
        /// This name, as an A-label.
        case name(String)
        /// Names below a domain; with the dot in front.
        case below(String)

        /// `nil` if the text is none of the forms.
        init?(_ text: Substring) {
            switch asciiLowercased(text) {
            case "nexthop": self = .nextHop
            case "dot-nexthop": self = .belowNextHop
            case "hostname": self = .hostName
            default:
                let isBelow = text.first == "."
                guard let name = asciiName(String(isBelow ? text.dropFirst() : text)).map({ asciiLowercased($0) })
                else {
                    return nil
                }
                self = isBelow ? .below("." + name) : .name(name)
            }
        }

        static let forms = "nexthop, dot-nexthop, hostname, a host name, and .DOMAIN for all names below it"

        public var description: String {
            switch self {
            case .nextHop: "nexthop"
            case .belowNextHop: "dot-nexthop"
            case .hostName: "hostname"
            case .name(let name), .below(let name): name
            }
        }
    }

    /// SHA-256 of a certificate in DER.
    public struct Fingerprint: Hashable, Sendable, CustomStringConvertible {
        /// 32.
        public let octets: [UInt8]

        /// `nil` unless there are 32.
        public init?(octets: [UInt8]) {
            guard octets.count == 32 else { return nil }
            self.octets = octets
        }

        /// `sha256:` and 64 digits, with or without colons between pairs, as `openssl x509 -fingerprint -sha256` prints them.
        init?(_ text: Substring) {
            guard asciiLowercased(text.prefix(7)) == "sha256:" else { return nil }
            let digits = text.dropFirst(7).utf8.filter { $0 != UInt8(ascii: ":") }
            var octets: [UInt8] = []
            guard digits.count == 64 else { return nil }
            for pair in stride(from: 0, to: 64, by: 2) {
                guard let octet = UInt8(String(decoding: digits[pair...(pair + 1)], as: UTF8.self), radix: 16) else {
                    return nil
                }
                octets.append(octet)
            }
            self.octets = octets
        }

        static let form = "sha256: and 64 hexadecimal digits"

        public var description: String {
            let digits = octets.map { octet in
                let text = String(octet, radix: 16)
                return text.utf8.count == 1 ? "0" + text : text
            }
            return "sha256:" + digits.joined()
        }
    }

    /// Versions of TLS, in their order.
    public enum ProtocolVersion: String, Hashable, Sendable, CaseIterable, Comparable {
        case tls1_0 = "TLSv1"
        case tls1_1 = "TLSv1.1"
        case tls1_2 = "TLSv1.2"
        case tls1_3 = "TLSv1.3"

        private var order: Int {
            switch self {
            case .tls1_0: 0
            case .tls1_1: 1
            case .tls1_2: 2
            case .tls1_3: 3
            }
        }

        public static func < (left: Self, right: Self) -> Bool { left.order < right.order }
    }

    public var level: Level
    /// Names of which one must be the certificate's; what of them holds is decided when the host is known.
    public var names: [Name] = TLSPolicy.secureNames
    /// Whether the file names them; if not, a host that nobody can have forged counts too.
    public var hasOwnNames = false
    /// Trusted here instead of ``SMTPTLSConfiguration/authorityFile`` and ``SMTPTLSConfiguration/authorityFolder``.
    public var authorityFile: String?
    /// OpenSSL's notation, for TLS 1.2 and older; `nil`: the system's.
    public var ciphers: String?
    /// RFC 8996: nothing older than 1.2, unless the file says so.
    public var protocols: ClosedRange<ProtocolVersion> = .tls1_2 ... .tls1_3
    /// Not empty at level fingerprint.
    public var fingerprints: [Fingerprint] = []
    /// TLS from the first octet (RFC 8314 §3), as on port 465.
    public var isWrapped = false

    public init(level: Level) { self.level = level }

    /// What nobody can forge without the domain's own name in a certificate.
    public static let secureNames: [Name] = [.nextHop, .belowNextHop]

    /// What a message with REQUIRETLS makes of it (RFC 8689 §4.2.1): the server must prove who it is.
    public var forRequireTLS: TLSPolicy {
        var policy = self
        if !level.requiresIdentity { policy.level = .verify }
        return policy
    }
}
