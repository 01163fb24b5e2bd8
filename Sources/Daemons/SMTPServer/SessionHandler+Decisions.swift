import Configuration
import MailModel
import NIOCore
import Policy
import PolicyAsking
import Postoffice
import SMTPProtocol
import SpoolFormat
import Telemetry

/// Questions of the session, and where they are decided.
extension SessionHandler {
    func question(_ verb: PolicyQuestion.Verb, sender: String = "", recipient: String = "") -> PolicyQuestion {
        PolicyQuestion(
            number: 0, verb: verb, session: sessionID, client: client.address, helo: session.hello?.argument ?? "",
            sender: sender, recipient: recipient, state: policy.state(for: verb))
    }

    /// A question whose answer everything waits for.
    func ask(_ question: PolicyQuestion) {
        openVerb = question.verb
        openQuestion = loop.policy.ask(question, self)
    }

    func decide(_ question: ServerSession.Question, _ replies: inout [UInt8]) {
        switch question {
        case .hello(let hello):
            decideHello(hello, &replies)
        case .sender(let mail):
            decideSender(mail, &replies)
        case .recipient(let mail, let recipient):
            let address = recipient.forwardPath.address
            let number = loop.policy.ask(
                self.question(.rcpt, sender: mail.reversePath.mailbox?.description ?? "", recipient: address), self)
            asked.append(Asked(number: number, recipient: address))
        case .verify(let argument):
            ask(self.question(.verify, recipient: argument))
        case .expand(let argument):
            ask(self.question(.expand, recipient: argument))
        }
    }

    private func decideHello(_ hello: ServerSession.Hello, _ replies: inout [UInt8]) {
        guard let pattern = loop.settings.configuration.pattern(for: hello.argument) else {
            checkHello(hello, &replies)
            return
        }
        if let load = pattern.maximumLoad, loop.intake.conditions.isLoadAbove(load) {
            pendingReason = "load above \(load)"
            let text = "The system is too busy now, try later"
            session.answer(.reply(Reply(450, EnhancedStatusCode(4, 3, 2), text)), into: &replies)
            return
        }
        switch pattern.effect {
        case .refuse(let text):
            pendingReason = "HELO pattern \(pattern.pattern)"
            let words = text.isEmpty ? "access denied." : text
            session.answer(
                .reply(Reply(501, EnhancedStatusCode(5, 7, 1), "Sorry \(client.literal), \(words)")), into: &replies)
        case .style(let flags):
            // -s on the command line holds for clients that no pattern matches.
            helloStyle = StyleFlags.style(flags)
            checkHello(hello, &replies)
        }
    }

    private func checkHello(_ hello: ServerSession.Hello, _ replies: inout [UInt8]) {
        guard !policy.isNeedless(.helo) else {
            session.answer(helloStyle.map { .acceptStyle($0) } ?? .accept, into: &replies)
            helloStyle = nil
            return
        }
        var question = question(.helo)
        question.helo = hello.argument
        ask(question)
    }

    private func decideSender(_ mail: MailCommand, _ replies: inout [UInt8]) {
        policy.beginTransaction()
        standingReason = ""
        if let obstacle = loop.intake.obstacle(size: mail.size ?? 0) {
            standingReason = obstacle.reason
            pendingReason = obstacle.reason
            session.answer(.reply(obstacle.reply), into: &replies)
        } else if policy.isNeedless(.mail) {
            session.answer(.accept, into: &replies)
        } else {
            ask(question(.mail, sender: mail.reversePath.mailbox?.description ?? ""))
        }
    }

    // MARK: answers of the policy service

    func policyAnswered(_ number: UInt64, _ answer: PolicyAnswer?) {
        if number == openQuestion {
            openQuestion = nil
            if let answer { policy.take(answer, to: openVerb) }
            if openVerb == .connect { connectionDecided(answer) } else { questionDecided(answer) }
            return
        }
        guard let index = asked.firstIndex(where: { $0.number == number }) else { return }
        asked[index].answer = Asked.Decided(answer)
        // The session wants them in the order of the commands.
        guard index == 0 else { return }
        reply { replies in
            while let first = asked.first, let decided = first.answer {
                asked.removeFirst()
                let answer = decided.policyAnswer
                if let answer { policy.take(answer, to: .rcpt, recipient: first.recipient) }
                pendingReason = answer?.reason ?? Self.unanswered
                pendingCommand = "RCPT TO:<\(first.recipient)>"
                session.answer(sessionAnswer(answer), into: &replies)
                logRefusals()
                isActive(loop.timeouts.command)
            }
        }
    }

    private static let unanswered = "policy service did not answer"

    /// HELO, MAIL, VRFY or EXPN.
    private func questionDecided(_ answer: PolicyAnswer?) {
        let reason = answer?.reason ?? Self.unanswered
        pendingReason = reason
        if openVerb == .mail { standingReason = reason }
        if openVerb == .helo { limitSize() }
        var decided = sessionAnswer(answer)
        if let style = helloStyle, case .accept = decided { decided = .acceptStyle(style) }
        helloStyle = nil
        reply { session.answer(decided, into: &$0) }
    }

    /// `maxinsize`: the policy may lower what the configuration allows, never raise it (smtpserver.md §5.3).
    private func limitSize() {
        guard policy.maximumSize > 0 else { return }
        let limit = session.maximumMessageSize
        session.maximumMessageSize = limit > 0 ? min(limit, policy.maximumSize) : policy.maximumSize
    }

    private func sessionAnswer(_ answer: PolicyAnswer?) -> ServerSession.Answer {
        guard let answer else {
            let text = "Requested action aborted: local error in processing"
            return .reply(Reply(451, EnhancedStatusCode(4, 3, 0), text))
        }
        return ServerSession.Answer(answer)
    }

    // MARK: the greeting

    private func connectionDecided(_ answer: PolicyAnswer?) {
        guard let context else { return }
        guard let answer else {
            let text = "\(loop.settings.hostName) Service not available, try later"
            refuseConnection(.close(Reply(421, EnhancedStatusCode(4, 3, 0), text)), Self.unanswered)
            return
        }
        if !policy.clientName.isEmpty { session.peer.name = policy.clientName }
        limitSize()
        switch answer.verdict {
        case .accept, .submit:
            phase = .open
            logConnection()
            isActive(loop.timeouts.command)
            reply { replies in
                let lines = Greeting.lines(
                    loop.settings, peer: client.literal, localPort: client.localPort, unixTime: loop.unixTime)
                session.greet(.welcome(lines), into: &replies)
            }
        case .refuse:
            refuseConnection(ServerSession.Greeting(refusing: answer), answer.reason)
        case .drop:
            loop.log.info(
                "dropped",
                ["session": sessionID, "client": client.literal, "command": "connect", "reason": answer.reason])
            context.close(promise: nil)
        }
    }

    private func refuseConnection(_ greeting: ServerSession.Greeting, _ reason: String) {
        phase = .open
        logConnection()
        standingReason = reason
        isActive(loop.timeouts.command)
        reply { replies in
            session.greet(greeting, into: &replies)
            pendingReason = reason
            logRefusals(event: "connection-refused")
        }
    }
}

extension ServerSession.Answer {
    /// What a policy's answer is for the client.
    init(_ answer: PolicyAnswer) {
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
    /// A client that is refused for good stays, and hears it at each command; one that shall come again is sent away.
    init(refusing answer: PolicyAnswer) {
        let words = answer.reply ?? Reply(450, EnhancedStatusCode(4, 7, 0), "Come again later")
        self = words.isPermanent ? .refuse(words) : .close(words)
    }
}
