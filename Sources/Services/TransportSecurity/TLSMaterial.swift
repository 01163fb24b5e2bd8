/// Keys and certificates as PEM text. Whoever may read the files makes it; whoever speaks with the network gets it as octets.
///
/// No description of it shows a key.
public struct TLSMaterial: Hashable, Sendable {
    /// Where the parts are. All but the certificate of an identity may be left out.
    public struct Files: Hashable, Sendable {
        /// A certificate with its chain, and its key. Either defaults to the other: one file may hold both.
        public struct Pair: Hashable, Sendable {
            public var certificate: String
            public var key: String

            public init(certificate: String, key: String? = nil) {
                self.certificate = certificate
                self.key = key ?? certificate
            }
        }

        /// The default identity (`tls-cert-file`, `tls-key-file`).
        public var pair: Pair?
        /// The default identity with a key of another type (`tls-dcert-file`, `tls-dkey-file`).
        public var secondPair: Pair?
        /// For clients that ask for one of the names in the certificate (RFC 6066 §3); 1,000 at most.
        public var namedPairs: [Pair] = []
        /// Trusted certificates (`tls-CAfile`).
        public var authorities: String?
        /// Diffie-Hellman parameters (`tls-dh512`, `tls-dh1024`): the strongest is used, if it is strong enough.
        public var dhParameters: [String] = []
        /// 48 or 80 octets with which session tickets are sealed; made, mode 0600, if missing.
        public var ticketKey: String?

        public init() {}

        /// ZMailer's two parameters, either of which defaults to the other.
        public init(certificate: String?, key: String?) {
            if let certificate = certificate ?? key { pair = Pair(certificate: certificate, key: key) }
        }
    }

    /// PEM texts and the names of the files they are from, which errors mention.
    struct Identity: Hashable, Sendable {
        let certificateFile: String
        let keyFile: String
        let certificate: [UInt8]
        let key: [UInt8]
    }

    struct Text: Hashable, Sendable {
        let file: String
        let octets: [UInt8]
    }

    var identity: Identity?
    var secondIdentity: Identity?
    var namedIdentities: [Identity] = []
    var authorities: Text?
    var dhParameters: [Text] = []
    /// 80 octets: name, MAC key, cipher key.
    var ticketKey: [UInt8] = []
    /// What reading found that is no error.
    var warnings: [String] = []

    /// Nothing: what a client has that shows no certificate and trusts what its settings say.
    public init() {}

    var identities: [Identity] { [identity, secondIdentity].compactMap(\.self) + namedIdentities }
}

extension TLSMaterial: CustomStringConvertible, CustomDebugStringConvertible, CustomReflectable {
    public var description: String { "TLSMaterial(\(identities.count) identities, keys not shown)" }
    public var debugDescription: String { description }
    /// Hides the parts from `dump` and from string interpolation of what contains them.
    public var customMirror: Mirror { Mirror(self, children: []) }
}
