import MailModel
import SMTPProtocol

extension Timeouts {
    /// How long the peer may take with what the session waits for.
    func limit(of phase: ClientSession.Phase) -> Duration {
        switch phase {
        case .greeting, .hello, .startTLS, .handshake, .authentication, .idle, .mail, .recipient: command
        case .dataCommand: data
        // A reply may come while content is written: it is the final one, come early.
        case .dataBlock, .endOfMessage: dot
        case .quit, .closed: .seconds(30)
        }
    }
}

extension ClientSession.Phase {
    /// What was going on, for the reason of a deferral: `… while waiting for the reply to MAIL`.
    var activity: String {
        switch self {
        case .greeting: "waiting for the greeting"
        case .hello: "waiting for the reply to EHLO"
        case .startTLS: "waiting for the reply to STARTTLS"
        case .handshake: "starting TLS"
        case .authentication: "authenticating"
        case .idle: "idle"
        case .mail: "waiting for the reply to MAIL"
        case .recipient: "waiting for the reply to RCPT"
        case .dataCommand: "waiting for the reply to DATA"
        case .dataBlock: "sending the message"
        case .endOfMessage: "waiting for the reply to the end of the message"
        case .quit, .closed: "closing"
        }
    }
}

extension RecipientResult.Stage {
    /// The command that a remote text answers.
    var command: String {
        switch self {
        case .session: "connection"
        case .mail: "MAIL FROM command"
        case .recipient: "RCPT TO command"
        case .data: "DATA command"
        case .message: "end of message"
        }
    }
}

extension ClientSession.CloseReason {
    /// RFC 3463 §3.5: what went wrong with the connection, as a temporary condition.
    var status: String {
        switch self {
        case .refused(let reply), .serviceNotAvailable(let reply):
            reply.status.map { "4.\($0.subject).\($0.detail)" } ?? "4.3.2"
        // RFC 3463 §3.8: X.7.4 security features not supported, X.7.5 cryptographic failure.
        case .tlsNotOffered: "4.7.4"
        case .tlsRefused(let reply): reply.status.map { "4.\($0.subject).\($0.detail)" } ?? "4.7.4"
        case .clearTextBehindSTARTTLS: "4.7.5"
        // RFC 4954 §6: X.7.0 other, X.7.8 credentials invalid; whatever it was, it is ours to mend.
        case .notAuthenticated(.refused(let reply)): reply.status.map { "4.\($0.subject).\($0.detail)" } ?? "4.7.8"
        case .notAuthenticated: "4.7.0"
        case .brokenReply, .outOfStep: "4.5.0"
        case .quit, .connectionLost: "4.4.2"
        }
    }

    var cause: ConnectionFailure.Cause {
        switch self {
        case .refused, .serviceNotAvailable: .refusal
        case .tlsNotOffered: .tls(isLasting: true)
        case .tlsRefused(let reply): .tls(isLasting: reply.isPermanent)
        case .clearTextBehindSTARTTLS: .tls(isLasting: false)
        case .notAuthenticated: .authentication
        case .brokenReply, .outOfStep, .quit, .connectionLost: .connection
        }
    }
}
