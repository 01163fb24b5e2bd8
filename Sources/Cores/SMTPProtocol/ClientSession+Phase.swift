extension ClientSession {
    /// What the client waits for: each has its own limit (RFC 5321 §4.5.3.2).
    public enum Phase: Hashable, Sendable {
        case greeting
        case hello
        case startTLS
        /// The host's TLS handshake.
        case handshake
        case authentication
        case idle
        case mail
        case recipient
        case dataCommand
        /// Content is being written; the limit is for each block.
        case dataBlock
        case endOfMessage
        case quit
        case closed

        /// Minutes of RFC 5321 §4.5.3.2.1–6; those without one there have that of MAIL.
        public var timeout: Duration {
            switch self {
            case .greeting, .hello, .startTLS, .handshake, .authentication, .mail, .recipient: .seconds(300)
            case .idle: .seconds(300)
            case .dataCommand: .seconds(120)
            case .dataBlock: .seconds(180)
            case .endOfMessage: .seconds(600)
            case .quit, .closed: .seconds(30)
            }
        }
    }
}
