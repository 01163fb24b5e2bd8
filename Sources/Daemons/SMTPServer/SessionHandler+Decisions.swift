import Configuration
import MailModel
import NIOCore
import Policy
import Postoffice
import SMTPProtocol
import SpoolFormat
import Telemetry

/// Questions of the session, and where they are decided.
extension SessionHandler {
    func question(_ verb: PolicyQuestion.Verb, sender: String = "", recipient: String = "") -> PolicyQuestion {
        PolicyQuestion(
            number: 0, verb: verb, session: sessionID, client: client.address, helo: session.hello?.argument ?? "",
            sender: sender, recipient: recipient)
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
            openQuestion = loop.policy.ask(self.question(.verify, recipient: argument), self)
        case .expand(let argument):
            openQuestion = loop.policy.ask(self.question(.expand, recipient: argument), self)
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

    /// Style letter `h` asks the policy service about the name.
    private func checkHello(_ hello: ServerSession.Hello, _ replies: inout [UInt8]) {
        let style = helloStyle ?? session.style
        guard style.contains(.checksHello) else {
            answerHello(&replies)
            return
        }
        var question = question(.helo)
        question.helo = hello.argument
        openQuestion = loop.policy.ask(question, self)
    }

    private func answerHello(_ replies: inout [UInt8]) {
        session.answer(helloStyle.map { .acceptStyle($0) } ?? .accept, into: &replies)
        helloStyle = nil
    }

    private func decideSender(_ mail: MailCommand, _ replies: inout [UInt8]) {
        submission = nil
        pendingCommand = "MAIL FROM:\(mail.reversePath)"
        if let obstacle = loop.intake.obstacle(size: mail.size ?? 0) {
            pendingReason = obstacle.reason
            session.answer(.reply(obstacle.reply), into: &replies)
        } else if session.style.contains(.checksSender), !session.style.contains(.skipsSenderCheck) {
            openQuestion = loop.policy.ask(
                question(.mail, sender: mail.reversePath.mailbox?.description ?? ""), self)
        } else {
            session.answer(.accept, into: &replies)
        }
    }

    // MARK: answers of the policy service

    func policyAnswered(_ number: UInt64, _ answer: PolicyAnswer?) {
        if number == openQuestion {
            openQuestion = nil
            if phase == .connecting { connectionDecided(answer) } else { questionDecided(answer) }
            return
        }
        guard let index = asked.firstIndex(where: { $0.number == number }) else { return }
        if answer?.verdict == .submit { submission = .client }
        asked[index].answer = sessionAnswer(answer)
        asked[index].reason = answer?.reason ?? "policy service did not answer"
        // The session wants them in the order of the commands.
        guard index == 0 else { return }
        reply { replies in
            while let first = asked.first, let decided = first.answer {
                asked.removeFirst()
                pendingReason = first.reason
                pendingCommand = "RCPT TO:<\(first.recipient)>"
                session.answer(decided, into: &replies)
                logRefusals(replies)
                pendingReason = "protocol"
                pendingCommand = ""
                isActive(loop.timeouts.command)
            }
        }
    }

    /// HELO, MAIL, VRFY or EXPN.
    private func questionDecided(_ answer: PolicyAnswer?) {
        pendingReason = answer?.reason ?? "policy service did not answer"
        var decided = sessionAnswer(answer)
        if let style = helloStyle, case .accept = decided { decided = .acceptStyle(style) }
        helloStyle = nil
        reply { session.answer(decided, into: &$0) }
        pendingReason = "protocol"
    }

    private func sessionAnswer(_ answer: PolicyAnswer?) -> ServerSession.Answer {
        guard let answer else {
            let text = "Requested action aborted: local error in processing"
            return .reply(Reply(451, EnhancedStatusCode(4, 3, 0), text))
        }
        switch answer.verdict {
        case .accept, .submit:
            return answer.reply.map { .reply($0) } ?? .accept
        case .refuse:
            // A refusal in words of success is a mistake of the service; it stays a refusal.
            guard let reply = answer.reply, !reply.isPositive else { return .reply(Self.denied) }
            return .reply(reply)
        case .drop:
            return .close(Self.denied)
        }
    }

    private static let denied = Reply(550, EnhancedStatusCode(5, 7, 1), "Access denied")

    // MARK: the greeting

    private func connectionDecided(_ answer: PolicyAnswer?) {
        guard let context else { return }
        guard let answer else {
            let text = "\(loop.settings.hostName) Service not available, try later"
            refuseConnection(
                .close(Reply(421, EnhancedStatusCode(4, 3, 0), text)), "policy service did not answer", context)
            return
        }
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
            let words = answer.reply ?? Reply(450, EnhancedStatusCode(4, 7, 0), "Come again later")
            let isForGood = words.isPermanent
            refuseConnection(isForGood ? .refuse(words) : .close(words), answer.reason, context)
        case .drop:
            loop.log.info("dropped", ["session": sessionID, "client": client.literal, "reason": answer.reason])
            context.close(promise: nil)
        }
    }

    private func refuseConnection(
        _ greeting: ServerSession.Greeting, _ reason: String, _ context: ChannelHandlerContext
    ) {
        phase = .open
        logConnection()
        loop.log.info("connection-refused", ["session": sessionID, "client": client.literal, "reason": reason])
        isActive(loop.timeouts.command)
        reply { session.greet(greeting, into: &$0) }
    }
}
