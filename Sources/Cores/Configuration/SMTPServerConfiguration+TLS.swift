extension SMTPServerConfiguration {
    /// TLS of the sessions of a group of listeners (smtpserver(8), OPENSSL RELATED PARAMETERS). Paths are absolute; empty: not given.
    public struct TLS: Hashable, Sendable {
        /// `use-tls`: STARTTLS is offered.
        public var isOn = false
        /// `tls-cert-file`; may hold the chain and the key too.
        public var certificateFile = ""
        /// `tls-key-file`; either of the two stands for the other.
        public var keyFile = ""
        /// `tls-dcert-file`: a second certificate, of another type of key.
        public var secondCertificateFile = ""
        public var secondKeyFile = ""
        /// `tls-sni-cert` (ours): certificates for names that clients ask for; the names are the certificates'.
        public var namedCertificates: [CertificateFiles] = []
        /// `tls-CAfile`: who may sign certificates of clients.
        public var authoritiesFile = ""
        /// `tls-CApath`
        public var authoritiesPath = ""
        /// `tls-dh1024`, else `tls-dh512`: parameters for DHE; without them they are chosen to fit the key.
        public var dhFile1024 = ""
        public var dhFile512 = ""
        /// `tls-loglevel`, 0 to 4.
        public var logLevel = 0
        /// `tls-ccert-vd`: certificates between a client's and its authority's.
        public var verifyDepth = 9
        /// `tls-ask-cert`, `tls-require-cert`
        public var asksForCertificate = false
        public var requiresCertificate = false
        /// `tls-enforce-tls`: nothing but STARTTLS is answered before it (RFC 3207 §4).
        public var isEnforced = false
        /// `tls-random-source`: read without effect, the kernel's source is always there.
        public var randomSource = ""
        /// `tls-cipher-list`: OpenSSL's names, for TLS 1.2 and below; empty: ours.
        public var cipherList = ""
        /// `tls-ciphersuites` (ours): for TLS 1.3.
        public var ciphersuites = ""
        /// `tls-protocols` (ours): the least version.
        public var minimumProtocol = TLSProtocol.tls12
        /// `tls-use-scache`, `no-tls-use-scache`: sessions may be resumed.
        public var resumesSessions = true
        /// `tls-scache-name`: the file of ticket keys, with which sessions are resumed behind a restart.
        public var ticketKeyFile = ""
        /// `tls-scache-timeout`, seconds.
        public var sessionLifetime = 3600
        /// `outlook-tls-bug`: a client of another port than 25 may begin with TLS.
        public var detectsImmediateHandshake = false

        public struct CertificateFiles: Hashable, Sendable {
            public let certificate: String
            public let key: String

            public init(certificate: String, key: String) {
                self.certificate = certificate
                self.key = key
            }
        }
    }

    public enum TLSProtocol: String, Hashable, Sendable, CaseIterable {
        case tls10 = "TLSv1"
        case tls11 = "TLSv1.1"
        case tls12 = "TLSv1.2"
        case tls13 = "TLSv1.3"
    }
}
