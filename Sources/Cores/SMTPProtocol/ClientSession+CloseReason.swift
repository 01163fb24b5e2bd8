import MailModel

extension ClientSession {
    public enum CloseReason: Hashable, Sendable {
        /// After QUIT.
        case quit
        /// The server refused us before a transaction: the greeting, EHLO and HELO.
        case refused(Reply)
        /// 421 (RFC 5321 §3.8), at any time.
        case serviceNotAvailable(Reply)
        /// TLS is required.
        case tlsNotOffered
        /// TLS is required, and STARTTLS got this reply.
        case tlsRefused(Reply)
        /// Octets in clear text behind the reply to STARTTLS: somebody in between wants them taken for the server's (RFC 3207 §6).
        case clearTextBehindSTARTTLS
        /// ``Configuration/authenticates``, and it came to nothing.
        case notAuthenticated(AuthenticationFailure)
        case brokenReply(ReplySyntaxError)
        /// A reply that no command asked for, or one that cannot be there.
        case outOfStep
        case connectionLost
    }
}

extension ClientSession.CloseReason {
    /// RFC 3463 §3.5 and §3.6, for what was undecided then: 4.5.0 where the server does not keep to the protocol.
    var temporaryStatus: EnhancedStatusCode {
        switch self {
        case .brokenReply, .outOfStep: EnhancedStatusCode(4, 5, 0)
        case .quit, .refused, .serviceNotAvailable, .tlsNotOffered, .tlsRefused, .clearTextBehindSTARTTLS,
            .notAuthenticated, .connectionLost:
            EnhancedStatusCode(4, 4, 2)
        }
    }

    /// For logs and diagnostics.
    public var text: String {
        switch self {
        case .quit: "closed by us"
        case .refused(let reply): "refused: \(reply.summary)"
        case .serviceNotAvailable(let reply): reply.summary
        case .tlsNotOffered: "TLS is required and was not offered"
        case .tlsRefused(let reply): "TLS is required and was refused: \(reply.summary)"
        case .clearTextBehindSTARTTLS: "clear text behind the reply to STARTTLS: somebody may have put it there"
        case .notAuthenticated(.refused(let reply)): "authentication refused: \(reply.summary)"
        case .notAuthenticated(.notPossible(let reason)): "authentication is not possible: \(reason)"
        case .notAuthenticated(.distrusted(let reason)): "authentication broken off: \(reason)"
        case .brokenReply(.lineTooLong(let limit)): "reply line longer than \(limit) octets"
        case .brokenReply(.tooManyLines(let limit)): "reply of more than \(limit) lines"
        case .brokenReply(.malformed(let line)): "not a reply: \(line)"
        case .outOfStep: "a reply that no command asked for"
        case .connectionLost: "connection lost"
        }
    }
}
