import MailModel

/// `smtp-tls.conf`: how the smtp agent uses TLS as a client (smtp-tls.conf(5), transport-agents.md §2).
///
/// Without a file the values here hold: TLS with every server that offers it, whatever its certificate.
public struct SMTPTLSConfiguration: Hashable, Sendable {
    /// `tls-cert-file`: PEM, our certificate with its chain, for servers that ask for one. An absolute path.
    public var certificateFile: String?
    /// `tls-key-file`. Where one of the two is not given, the other holds both.
    public var keyFile: String?
    /// `tls-CAfile`: PEM, the authorities that are trusted. Without it and ``authorityFolder`` the system's.
    public var authorityFile: String?
    /// `tls-CApath`: a folder with hashed names, as `openssl rehash` makes it.
    public var authorityFolder: String?
    /// `tls-loglevel`: 1 a line for each TLS session, 2 and above what its certificate says as well.
    public var logLevel = 0
    /// `tls-scache-timeout`: how long a session may be resumed; zero turns that off.
    public var sessionLifetime: Duration = .seconds(3600)
    /// `demand-tls-mode`: what no destination line names needs TLS.
    public var demandsTLS = false
    /// In the order of the file.
    public var destinations: [Destination] = []

    /// Seconds of `tls-scache-timeout`: RFC 8446 §4.6.1 lets no ticket live longer than a week.
    public static let sessionLifetimes = 0...604_800
    public static let logLevels = 0...4
    /// `destination` lines of one file.
    public static let maximumDestinations = 10_000

    public init() {}

    /// The first destination line that matches, else what the file says for all.
    ///
    /// - Parameters:
    ///   - host: the next hop as the route names it, not the MX host that it leads to.
    ///   - port: the one to connect to.
    public func policy(for host: MailDomain, port: UInt16) -> TLSPolicy {
        let key = Destination.Pattern.key(of: host)
        return destinations.first { $0.pattern.matches(key, port: port) }?.policy
            ?? TLSPolicy(level: demandsTLS ? .encrypt : .may)
    }

    /// One `destination` line.
    public struct Destination: Hashable, Sendable {
        public var pattern: Pattern
        public var policy: TLSPolicy
        /// 1-based, of the file.
        public var line: Int

        public init(_ pattern: Pattern, _ policy: TLSPolicy, line: Int) {
            self.pattern = pattern
            self.policy = policy
            self.line = line
        }
    }
}
