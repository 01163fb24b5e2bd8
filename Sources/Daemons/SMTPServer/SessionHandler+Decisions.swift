import Configuration
import DequeModule
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
            sender: sender, recipient: recipient, authenticatedUser: session.authenticatedUser ?? "",
            identity: client.account.map { $0.isTrusted ? .trustedAccount : .account } ?? .login,
            hasWhosonLogin: arrival.isWhosonUser, state: policy.state(for: verb))
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
            askedRecipients += 1
            asked.append(Asked(number: number, recipient: address, obstacle: sizeObstacle(mail)))
        case .verify(let argument):
            ask(self.question(.verify, recipient: argument))
        case .expand(let argument):
            ask(self.question(.expand, recipient: argument))
        case .authentication(let step):
            authenticate(step, &replies)
        case .startQueue(let domain):
            startQueue(domain, &replies)
        case .changeClient(let attributes):
            changeClient(attributes, &replies)
        case .debug:
            session.answer(.reply(debugReply()), into: &replies)
        }
    }

    private func decideHello(_ hello: ServerSession.Hello, _ replies: inout [UInt8]) {
        let conditions = loop.intake.conditions
        // What a program of this host calls it says nothing.
        guard client.account == nil else { return session.answer(.accept, into: &replies) }
        let rule = HelloRule(hello.argument, client: client.literal, profile.configuration) {
            conditions.isLoadAbove($0)
        }
        switch rule {
        case .refuse(let reply, let reason):
            pendingReason = reason
            session.answer(.reply(reply), into: &replies)
        case .ask(let style) where policy.isNeedless(.helo):
            session.answer(style.map { .acceptStyle($0) } ?? .accept, into: &replies)
        case .ask(let style):
            helloStyle = style
            var question = question(.helo)
            question.helo = hello.argument
            ask(question)
        }
    }

    /// Where the spool or the queue is nearly full the answer comes later; meanwhile nothing is read of this session.
    private func decideSender(_ mail: MailCommand, _ replies: inout [UInt8]) {
        let delay = loop.intake.conditions.delayNow
        guard delay > 0 else { return decideSenderNow(mail, &replies) }
        isThrottled = true
        isActive(loop.timeouts.command + delay / 1000 + 1)
        let bound = NIOLoopBound(self, eventLoop: loop.loop)
        loop.loop.scheduleTask(in: .milliseconds(Int64(delay))) {
            let handler = bound.value
            handler.isThrottled = false
            handler.reply { handler.decideSenderNow(mail, &$0) }
        }
    }

    private func decideSenderNow(_ mail: MailCommand, _ replies: inout [UInt8]) {
        policy.beginTransaction()
        askedRecipients = 0
        standingReason = ""
        sender = "\(mail.reversePath)"
        if let obstacle = loop.intake.obstacle(size: mail.size ?? 0) {
            standingReason = obstacle.reason
            pendingReason = obstacle.reason
            session.answer(.reply(obstacle.reply), into: &replies)
        } else if policy.isNeedless(.mail), session.authenticatedUser == nil {
            session.answer(.accept, into: &replies)
        } else {
            ask(question(.mail, sender: mail.reversePath.mailbox?.description ?? ""))
        }
    }

    /// sum-sizeoption-value: a copy for each recipient must find room.
    private func sizeObstacle(_ mail: MailCommand) -> (reply: Reply, reason: String)? {
        guard profile.configuration.sumsSizes, let size = mail.size else { return nil }
        let (sum, hasOverflow) = size.multipliedReportingOverflow(by: askedRecipients)
        return loop.intake.obstacle(size: hasOverflow ? .max : sum)
    }

    // MARK: answers of the policy service

    func policyAnswered(_ number: UInt64, _ answer: PolicyAnswer?) {
        if number == openQuestion {
            openQuestion = nil
            if let answer { policy.take(answer, to: openVerb) }
            switch openVerb {
            case .connect: connectionDecided(answer)
            case .auth: attemptDecided(answer)
            case .helo, .mail, .verify, .expand, .rcpt, .stored, .disconnect, .authFailed: questionDecided(answer)
            }
            return
        }
        guard let first = asked.first, let last = asked.last, (first.number...last.number).contains(number) else {
            return
        }
        // The session wants them in the order of the commands.
        guard number == first.number else {
            early[number] = .some(answer)
            return
        }
        reply { replies in
            recipientDecided(answer, &replies)
            while !early.isEmpty, let next = asked.first, let answer = early.removeValue(forKey: next.number) {
                recipientDecided(answer, &replies)
            }
        }
    }

    /// The answer to the first of ``asked``.
    private func recipientDecided(_ answer: PolicyAnswer?, _ replies: inout [UInt8]) {
        let question = asked.removeFirst()
        if let answer { policy.take(answer, to: .rcpt) }
        pendingReason = question.obstacle?.reason ?? answer?.reason ?? PolicyAnswer.unanswered
        pendingCommand = "RCPT TO:<\(question.recipient)>"
        let isAccepted = answer?.verdict == .accept || answer?.verdict == .submit
        if let obstacle = question.obstacle, isAccepted {
            session.answer(.reply(obstacle.reply), into: &replies)
        } else {
            session.answer(ServerSession.Answer(answer), into: &replies)
        }
        logRefusals()
        isActive(loop.timeouts.command)
    }

    /// HELO, MAIL, VRFY or EXPN.
    private func questionDecided(_ answer: PolicyAnswer?) {
        let reason = answer?.reason ?? PolicyAnswer.unanswered
        pendingReason = reason
        if openVerb == .mail { standingReason = reason }
        if openVerb == .helo {
            session.take(policy)
            takeTrust()
        }
        var decided = ServerSession.Answer(answer)
        if let style = helloStyle, case .accept = decided { decided = .acceptStyle(style) }
        helloStyle = nil
        reply { session.answer(decided, into: &$0) }
    }
}
