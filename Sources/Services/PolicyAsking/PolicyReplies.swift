import MailModel
import Policy
import SMTPProtocol

extension ServerSession.Answer {
    /// What a policy's answer is for the client; `nil`: there was none, which is never an accept.
    public init(_ answer: PolicyAnswer?) {
        guard let answer else {
            let text = "Requested action aborted: local error in processing"
            self = .reply(Reply(451, EnhancedStatusCode(4, 3, 0), text))
            return
        }
        switch answer.verdict {
        case .accept, .submit:
            self = answer.reply.map { .reply($0) } ?? .accept
        case .refuse:
            // A refusal in words of success is a mistake of the service; it stays a refusal.
            guard let reply = answer.reply, !reply.isPositive else {
                self = .reply(Self.denied)
                return
            }
            self = .reply(reply)
        case .drop:
            self = .close(Self.denied)
        }
    }

    private static let denied = Reply(550, EnhancedStatusCode(5, 7, 1), "Access denied")
}

extension ServerSession.Greeting {
    /// How a client is greeted.
    ///
    /// One that is refused for good stays, and hears it at each command (smtpserver.md §7.1); one that shall come again is sent
    /// away. `nil`: it hears nothing at all.
    ///
    /// - Parameters:
    ///   - answer: `nil`: there was none.
    ///   - lines: for those who are welcome.
    public init?(_ answer: PolicyAnswer?, lines: @autoclosure () -> [String], hostName: String) {
        guard let answer else {
            let text = "\(hostName) Service not available, try later"
            self = .close(Reply(421, EnhancedStatusCode(4, 3, 0), text))
            return
        }
        switch answer.verdict {
        case .accept, .submit:
            self = .welcome(lines())
        case .refuse:
            let words = answer.reply ?? Reply(450, EnhancedStatusCode(4, 7, 0), "Come again later")
            self = words.isPermanent ? .refuse(words) : .close(words)
        case .drop:
            return nil
        }
    }
}

extension PolicyAnswer {
    /// The reason where there is no answer.
    public static let unanswered = "policy service did not answer"
}

extension ServerSession {
    /// Takes over what the policy knows of the client: its name, and `maxinsize`, which may lower what the configuration
    /// allows and never raise it (smtpserver.md §5.3).
    public mutating func take(_ policy: SessionPolicy) {
        if !policy.clientName.isEmpty { peer.name = policy.clientName }
        guard policy.maximumSize > 0 else { return }
        maximumMessageSize =
            maximumMessageSize > 0 ? min(maximumMessageSize, policy.maximumSize) : policy.maximumSize
    }
}
