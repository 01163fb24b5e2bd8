extension SMTPServerConfiguration {
    /// AUTH of the sessions of a group of listeners (smtpserver(8), SMTP-AUTH).
    public struct Authentication: Hashable, Sendable {
        /// `smtp-auth`: PLAIN and LOGIN.
        public var isOn = false
        /// `smtp-auth-sasl`: the mechanisms of ``mechanisms``.
        public var usesSASL = false
        /// `sasl-mechanisms`, in upper case; empty: all that there are.
        public var mechanisms: [String] = []
        /// `AUTH-LOGIN-also-without-TLS`: passwords in clear text may cross a connection without TLS.
        public var allowsClearText = false
        /// `MSA-mode`: clients outside of trusted networks must authenticate.
        public var isRequired = false
        /// `no-smtp-auth-on-25`
        public var isOffOnPort25 = false
        /// `smtp-auth-username-prompt`, `smtp-auth-password-prompt`: what LOGIN asks.
        public var userPrompt = "Username:"
        public var passwordPrompt = "Password:"

        /// Names of the mechanisms that there are (RFC 4616, RFC 7677, LOGIN).
        public static let knownMechanisms = ["PLAIN", "LOGIN", "SCRAM-SHA-256", "SCRAM-SHA-256-PLUS"]

        public var isOffered: Bool { isOn || usesSASL }

        /// What is offered, before TLS is looked at; SCRAM needs stored keys, which only the table has.
        public func offered(hasTable: Bool) -> [String] {
            guard usesSASL else { return isOn ? ["PLAIN", "LOGIN"] : [] }
            let wanted = mechanisms.isEmpty ? Self.knownMechanisms : mechanisms
            return wanted.filter { hasTable || !$0.hasPrefix("SCRAM-") }
        }
    }

    /// Where passwords are checked; one for the whole server.
    public struct CredentialSources: Hashable, Sendable {
        /// `smtp-auth-table` (ours): path of a table of users and hashes; empty: none.
        public var table = ""
        /// `SMTP-auth-pipe`: path of a program; empty: none, PAM is asked.
        public var pipe = ""
        /// `smtp-auth-pam-directory` (ours): folder of PAM service files; empty: the system's.
        public var pamDirectory = ""
        /// `smtp-auth-senders` (ours): table of the addresses that a login may use; empty: all.
        public var senders = ""
        /// `auth-failrate`: failures of an address in an hour beyond which AUTH is refused.
        public var failuresPerHour = 20
        /// `smtp-auth-maxpar` (ours): checks at a time.
        public var maximumChecks = 8
    }

    /// `etrn-cluster`: a scheduler that is asked too (smtpserver.md §8).
    public struct ClusterNode: Hashable, Sendable {
        /// A name or an address.
        public let host: String
        public let port: Int
        public let user: String
        public let password: String

        public init(host: String, port: Int, user: String, password: String) {
            self.host = host
            self.port = port
            self.user = user
            self.password = password
        }
    }
}
