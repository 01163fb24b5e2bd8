import MailModel

extension PolicyInquiry {
    /// Completes an answer with what the state says.
    private func finished(_ answer: PolicyAnswer) -> PolicyDecision {
        var answer = answer
        // What has not changed need not be said again.
        answer.state = question.verb == .rcpt && state == given ? "" : state.text
        if question.verb == .connect || question.verb == .helo { answer.trust = state.trust }
        answer.maximumSize = state.maximumSize
        answer.runsFilter = state.runsFilter
        if let reply = answer.reply {
            step(.verdict, answer.verdict.rawValue, "\(reply.summary) (\(answer.reason))")
        } else {
            let freeze = answer.freezeCode == 0 ? "" : ", freeze \(answer.freezeCode)"
            step(.verdict, answer.verdict.rawValue, "\(answer.reason)\(freeze)")
        }
        answer.steps = steps
        return PolicyDecision(answer, effects: effects)
    }

    /// Of MAIL and RCPT a submission if the client submits.
    func accept(_ reason: String, reply: Reply? = nil) -> PolicyAnswer {
        let submits: Bool
        switch question.verb {
        case .mail, .rcpt: submits = isAuthenticated || state.flags.contains(.submits)
        case .connect, .disconnect, .helo, .stored, .auth, .authFailed, .verify, .expand: submits = false
        }
        return PolicyAnswer(
            number: question.number, verdict: submits ? .submit : .accept, reply: reply, reason: reason)
    }

    /// Accepted, for the freezer.
    func freeze(_ reason: String) -> PolicyAnswer {
        var answer = accept(reason)
        answer.freezeCode = 1
        switch question.verb {
        case .mail: answer.comment = "policytest() reported freeze state"
        case .rcpt: answer.comment = "policytest() reported freeze state 1"
        case .connect, .disconnect, .helo, .stored, .auth, .authFailed, .verify, .expand: break
        }
        return answer
    }

    func refuse(_ reply: Reply, _ reason: String) -> PolicyAnswer {
        var answer = PolicyAnswer(number: question.number, verdict: .refuse, reply: reply, reason: reason)
        if question.verb == .rcpt { answer.comment = "policytest() rejected rcptaddr: <\(question.recipient)>" }
        return answer
    }

    /// The text in front of an attribute, as a reply can hold it; empty: none.
    func text(_ found: PolicyFindings.Found) -> String { found.message.map(PolicyReplies.printable) ?? "" }

    func decide() throws(PolicySuspension) -> PolicyDecision {
        if !state.flags.isEmpty { step(.flag, "state", state.flags.names) }
        if !state.listText.isEmpty { step(.flag, "rblmsg", state.listText) }
        switch question.verb {
        case .connect: return finished(try connect())
        case .helo: return finished(try hello())
        case .mail: return finished(try sender())
        case .rcpt: return finished(try recipient())
        case .verify: return finished(try verify(expanding: false))
        case .expand: return finished(try verify(expanding: true))
        case .auth: return finished(authentication())
        case .disconnect, .stored, .authFailed: return finished(accept(question.verb.rawValue))
        }
    }

    /// The answer to whatever a client says that is not wanted.
    func rejectedNet() -> PolicyAnswer {
        refuse(PolicyReplies.rejectedNet(client, settings, state.rejectText), state.reason)
    }
}
