/// What a server context needs beside its material.
public struct TLSServerSettings: Hashable, Sendable {
    /// Whether clients are asked for a certificate.
    public enum ClientCertificates: Hashable, Sendable {
        case none
        /// Asked for, taken as it is; whether it is good is in ``TLSSessionInfo``.
        case ask
        /// The handshake fails without a good one.
        case require
    }

    /// Below TLS 1.2 the security level is lowered to 0, without which OpenSSL 3 does not speak these versions.
    public var minimumProtocol = TLSProtocolVersion.tls12
    public var maximumProtocol = TLSProtocolVersion.tls13
    /// OpenSSL's notation (ciphers(1)) for TLS 1.2 and below; `nil`: forward secrecy only, authenticated encryption first.
    public var cipherList: String?
    /// Names of TLS 1.3 suites with `:` between them; `nil`: the library's.
    public var cipherSuites: String?
    public var clientCertificates = ClientCertificates.none
    /// Certificates between a client's and a trusted one, at most.
    public var verifyDepth = 9
    /// Folder with trusted certificates under their hashes (openssl-rehash(1)), read while a handshake goes on.
    public var authoritiesFolder: String?
    /// Session tickets (RFC 5077, RFC 8446 §4.6.1); early data is never taken.
    public var isResumptionOn = true
    /// Also keeps sessions of clients without tickets in memory, ``sessionCacheSize`` at most.
    public var isSessionCacheUsed = false
    public var sessionCacheSize = 2000
    /// At most seven days, RFC 8446 §4.6.1.
    public var sessionLifetime = Duration.seconds(3600)

    public init() {}
}

/// What a client context needs beside its material.
public struct TLSClientSettings: Hashable, Sendable {
    public var minimumProtocol = TLSProtocolVersion.tls12
    public var maximumProtocol = TLSProtocolVersion.tls13
    /// OpenSSL's notation (ciphers(1)) for TLS 1.2 and below; `nil`: the library's or the system's default.
    public var cipherList: String?
    /// Names of TLS 1.3 suites with `:` between them; `nil`: the library's.
    public var cipherSuites: String?
    /// Certificates between a server's and a trusted one, at most.
    public var verifyDepth = 9
    /// Folder with trusted certificates under their hashes (openssl-rehash(1)).
    public var authoritiesFolder: String?
    /// Trusts what the system trusts too.
    public var isSystemStoreTrusted = false

    public init() {}
}
