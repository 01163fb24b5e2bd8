import MailModel
import SMTPProtocol

extension Timeouts {
    /// How long the peer may take with what the session waits for.
    func limit(of phase: ClientSession.Phase) -> Duration {
        switch phase {
        case .greeting, .hello, .idle, .mail, .recipient: command
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
        case .brokenReply, .outOfStep: "4.5.0"
        case .quit, .connectionLost: "4.4.2"
        }
    }
}

extension ClientSession.CloseReason {
    /// The host answered, with a reply.
    var isRefusal: Bool {
        switch self {
        case .refused, .serviceNotAvailable: true
        case .brokenReply, .outOfStep, .quit, .connectionLost: false
        }
    }
}

/// Why no session stands. Always temporary.
struct ConnectionFailure: Error, Hashable {
    let text: String
    /// `4.4.1`
    let status: String
    /// A reply was the reason: the host is alive, and does not want this connection.
    var isRefusal = false
}
