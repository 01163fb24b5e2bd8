/// What was agreed on, and with whom.
public struct TLSSessionInfo: Hashable, Sendable {
    /// `TLSv1.2`, `TLSv1.3`.
    public let protocolName: String
    /// OpenSSL's name of the cipher suite.
    public let cipher: String
    /// Effective bits of the cipher's key.
    public let secretBits: Int
    /// The name that the client asked for (RFC 6066 §3): a domain name, or `nil`.
    public let serverName: String?
    public let isResumed: Bool
    /// `nil` if the peer showed none.
    public let peer: Peer?

    /// The other end's certificate. Texts are one line each, without control characters, 300 octets at most.
    public struct Peer: Hashable, Sendable {
        /// The last CN of the subject; empty if there is none.
        public let commonName: String
        /// RFC 4514 notation.
        public let subject: String
        public let issuer: String
        public let fingerprint: TLSFingerprint
    }

    /// Whether the peer's certificate passed: trusted chain, and the name if names were given; or the fingerprint.
    public let isPeerVerified: Bool
    /// Why not; `nil` if it passed or there is no certificate.
    public let verifyError: String?
}
