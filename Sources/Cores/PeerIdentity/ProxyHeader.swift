import MailModel

/// What a proxy says about the connection it brings, in front of everything else (HAProxy's proxy-protocol.txt).
///
/// Whoever can say this can be anybody: it is read on sockets that are configured so, from proxies that are, and from nobody else.
public enum ProxyHeader: Hashable, Sendable {
    /// `LOCAL`: the connection is the proxy's own, as for a health check. Its ends are the real ones.
    case local
    /// `UNKNOWN`, or a kind of connection that is not TCP: the proxy brings somebody and does not tell whom. The document lets
    /// receivers use the real ends; a mail server that did would give strangers the proxy's rights.
    case unknown
    case proxied(ProxiedConnection)
}

/// The connection between a client and a proxy.
public struct ProxiedConnection: Hashable, Sendable {
    /// The client.
    public var source: PeerEndpoint
    /// What the client connected to.
    public var destination: PeerEndpoint
    /// The host name that the client asked for (TLS server_name); `nil`: none, or none that could be one. At most 255 octets.
    public var authority: String?
    /// `nil`: the client speaks no TLS with the proxy, or the proxy does not say.
    public var tls: ProxiedTLS?

    public init(source: PeerEndpoint, destination: PeerEndpoint, authority: String? = nil, tls: ProxiedTLS? = nil) {
        self.source = source
        self.destination = destination
        self.authority = authority
        self.tls = tls
    }
}

/// TLS between a client and a proxy (`PP2_TYPE_SSL`). Texts are printable, at most 255 octets, empty if they were not told.
public struct ProxiedTLS: Hashable, Sendable {
    /// `TLSv1.3`.
    public var version: String
    public var cipher: String
    /// Of the client's certificate. Somebody's word, unless ``isVerified``.
    public var commonName: String
    /// The client has shown a certificate that the proxy found good.
    public var isVerified: Bool

    public init(version: String = "", cipher: String = "", commonName: String = "", isVerified: Bool = false) {
        self.version = version
        self.cipher = cipher
        self.commonName = commonName
        self.isVerified = isVerified
    }
}

/// Why what came is no header; the connection is of no use. Valid is what proxy-protocol.txt §2 describes.
public enum ProxyHeaderError: Error, Hashable, Sendable, CustomStringConvertible {
    /// Neither `PROXY ` nor the signature of version 2: a client that came without a proxy.
    case notAHeader
    /// No CRLF in the first 107 octets.
    case lineTooLong
    /// A CR or LF alone.
    case lineEnd
    /// Not `TCP4`, `TCP6` or `UNKNOWN`.
    case unknownProtocol
    /// Not two addresses of the family and two ports, with single blanks between.
    case malformedLine
    case unsupportedVersion(UInt8)
    case unknownCommand(UInt8)
    /// Address family and transport as they came.
    case unknownFamily(UInt8)
    /// Octets that it announces, the first 16 included.
    case tooLong(Int, limit: Int)
    /// Shorter than the addresses of its family.
    case noAddresses(UInt8)
    /// A vector (TLV) is longer than what holds it, or too short for its type.
    case malformedVector(UInt8)
    case repeatedVector(UInt8)
    case wrongChecksum

    public var description: String {
        switch self {
        case .notAHeader: "no PROXY header (version 1 or 2) came first"
        case .lineTooLong: "no CRLF in the first \(ProxyHeaderDecoder.maximumTextLength) octets of the PROXY line"
        case .lineEnd: "a CR or LF alone in the PROXY line, which ends with CRLF"
        case .unknownProtocol: "an unknown protocol in the PROXY line; valid are TCP4, TCP6, UNKNOWN"
        case .malformedLine: "no two addresses and two ports in the PROXY line"
        case .unsupportedVersion(let version): "PROXY header of version \(version); valid is 2"
        case .unknownCommand(let command): "unknown command \(command) of a PROXY header; valid are 0 and 1"
        case .unknownFamily(let family): "unknown address family and transport \(family) of a PROXY header"
        case .tooLong(let octets, let limit): "a PROXY header of \(octets) octets; at most \(limit) are read"
        case .noAddresses(let family): "a PROXY header too short for the addresses of family \(family)"
        case .malformedVector(let type): "vector \(type) of a PROXY header does not fit"
        case .repeatedVector(let type): "vector \(type) stands twice in a PROXY header"
        case .wrongChecksum: "the CRC32c of a PROXY header is wrong"
        }
    }
}
