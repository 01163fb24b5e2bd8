extension ClientSession {
    /// Whether TLS is begun.
    public enum TLSUse: Hashable, Sendable {
        case never
        /// By STARTTLS (RFC 3207), if the server offers it; in clear text if it does not, or says no.
        case ifOffered
        /// By STARTTLS; before it nothing but EHLO and QUIT is said.
        case required
        /// Before the greeting (RFC 8314 §3).
        case implicit
    }

    /// How safe what is said now is.
    public enum Security: Hashable, Sendable {
        case clearText
        case encrypted
        /// TLS, and the server has proved who it is, in the host's judgement.
        case verified
    }

    public struct Configuration: Sendable {
        /// The argument of EHLO: our name, or an address literal.
        public var helloName: String
        public var isLMTP = false
        public var allowsPipelining = true
        public var allowsChunking = true
        /// HELO when EHLO is refused (RFC 5321 §3.2).
        public var fallsBackToHello = true
        /// Do not send EHLO at all.
        public var usesHelloOnly = false
        /// HELO unless the greeting says `ESMTP`.
        public var needsESMTPGreeting = false
        /// Octets; a message up to this size is sent behind its envelope in one burst when PIPELINING and CHUNKING are there.
        public var burstLimit = 65_536
        /// Commands sent ahead of their replies.
        public var maximumOutstandingCommands = 1_000
        /// 8-bit content to a server without 8BITMIME: send it nevertheless, or refuse it (RFC 6152 §3 asks for that).
        public var sendsUnannounced8Bit = false
        public var tls = TLSUse.never
        /// AUTH comes before mail; without it there is no session.
        public var authenticates = false

        public init(helloName: String) { self.helloName = helloName }
    }
}
