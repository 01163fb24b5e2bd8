import COpenSSL

/// A version of the protocol. TLS 1.0 and 1.1 are refused unless asked for (RFC 8996).
public enum TLSProtocolVersion: Int, Hashable, Sendable, CaseIterable, Comparable, CustomStringConvertible {
    case tls10
    case tls11
    case tls12
    case tls13

    /// As OpenSSL and configuration files write it, in any case: `TLSv1`, `TLSv1.0`, `TLSv1.1`, `TLSv1.2`, `TLSv1.3`.
    public init?(_ text: String) {
        switch text.lowercased() {
        case "tlsv1", "tlsv1.0": self = .tls10
        case "tlsv1.1": self = .tls11
        case "tlsv1.2": self = .tls12
        case "tlsv1.3": self = .tls13
        default: return nil
        }
    }

    public static func < (left: Self, right: Self) -> Bool { left.rawValue < right.rawValue }

    public var description: String {
        switch self {
        case .tls10: "TLSv1"
        case .tls11: "TLSv1.1"
        case .tls12: "TLSv1.2"
        case .tls13: "TLSv1.3"
        }
    }

    var wireValue: Int32 {
        switch self {
        case .tls10: TLS1_VERSION
        case .tls11: TLS1_1_VERSION
        case .tls12: TLS1_2_VERSION
        case .tls13: TLS1_3_VERSION
        }
    }
}
