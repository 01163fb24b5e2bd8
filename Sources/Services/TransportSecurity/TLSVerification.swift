/// What a client asks of the server's certificate. What it would have said of it is reported in any case.
public enum TLSVerification: Hashable, Sendable {
    /// Opportunistic (RFC 7435): any certificate will do. The names are only compared for the report.
    case opportunistic(names: [String] = [])
    /// The chain leads to a trusted certificate, and one of the names (RFC 6125 §6.4) or addresses is the server's. A name with a dot
    /// in front stands for all names below that domain.
    case names([String])
    /// The server's own certificate is one of these, whoever issued it and whatever its dates.
    case fingerprints(Set<TLSFingerprint>)

    public static let none = TLSVerification.opportunistic()

    var isEnforced: Bool {
        switch self {
        case .opportunistic: false
        case .names, .fingerprints: true
        }
    }
}

/// SHA-256 of a certificate in DER.
public struct TLSFingerprint: Hashable, Sendable, CustomStringConvertible {
    /// 32.
    public let octets: [UInt8]

    public init?(octets: [UInt8]) {
        guard octets.count == 32 else { return nil }
        self.octets = octets
    }

    /// 64 hexadecimal digits in any case, with or without `:` between the octets.
    public init?(_ text: String) {
        var octets: [UInt8] = []
        var high: UInt8?
        for character in text.utf8 {
            if character == UInt8(ascii: ":"), high == nil, !octets.isEmpty, octets.count < 32 { continue }
            guard let digit = Self.digit(character), octets.count < 32 else { return nil }
            if let upper = high {
                octets.append(upper << 4 | digit)
                high = nil
            } else {
                high = digit
            }
        }
        guard high == nil else { return nil }
        self.init(octets: octets)
    }

    private static func digit(_ character: UInt8) -> UInt8? {
        switch character {
        case 0x30...0x39: character - 0x30
        case 0x41...0x46: character - 0x41 + 10
        case 0x61...0x66: character - 0x61 + 10
        default: nil
        }
    }

    /// Upper case with colons, as openssl(1) prints it.
    public var description: String {
        octets.map { ($0 < 16 ? "0" : "") + String($0, radix: 16, uppercase: true) }.joined(separator: ":")
    }
}
