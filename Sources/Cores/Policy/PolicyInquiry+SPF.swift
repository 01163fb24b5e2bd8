import MailModel

/// SPF (policy.md §11, RFC 7208).
extension PolicyInquiry {
    /// `nil`: it is not checked, or has nothing against the sender and adds nothing to the message.
    func checkSPF(_ mailbox: Mailbox?) throws(PolicySuspension) -> PolicyAnswer? {
        guard state.flags.contains(.checksSPF), let client else { return nil }
        var limits = SPFSettings()
        if !settings.spfLocalPolicy.isEmpty {
            do throws(SPFSyntaxError) {
                limits.localPolicy = try SPFLocalPolicy(parsing: settings.spfLocalPolicy)
            } catch {
                throw .trouble(PolicyTrouble("spf-localpolicy: \(error)"))
            }
        }
        let check = SPFCheck(
            client: client, helo: question.helo, sender: mailbox?.description ?? "", receiver: settings.hostName,
            facts: source, settings: limits, time: counters.now, wantsSteps: question.wantsSteps)
        let result = try check.run()
        steps += result.steps
        let threshold = settings.spfThreshold.number
        let level = Self.number(result.level)
        step(.spf, result.identityDomain, "\(result.level.rawValue): level \(level), refused below \(threshold)")
        let reason =
            "\(state.spfReason): spf \(result.level.rawValue) of \(result.identityDomain) \(result.mechanism)\(result.problem)"
        // A failure of the DNS is refused for the time being where a fail would have been.
        if result.level == .tempError, Self.number(.fail) < threshold {
            return refuse(PolicyReplies.sender(-104, client, question.sender, ""), reason)
        }
        if level < threshold {
            // With rights by its name, which the DNS did not tell, it would not have been checked.
            if state.flags.contains(.lacksName) {
                return refuse(
                    PolicyReplies.sender(-104, client, question.sender, ""),
                    "\(reason); the DNS did not tell the client's name")
            }
            var lines = result.replyLines
            var reply = PolicyReplies.sender(-1, client, question.sender, lines.isEmpty ? "SPF" : lines.removeFirst())
            reply.lines += lines
            return refuse(reply, reason)
        }
        var answer = accept(reason)
        if settings.addsReceivedSPF { answer.headerField = result.receivedSPF }
        return answer
    }

    /// policy.md §11; what is no verdict about the sender is as good as a pass.
    private static func number(_ level: SPFResult.Level) -> Int {
        switch level {
        case .fail: 1
        case .softfail: 2
        case .none: 3
        case .neutral: 4
        case .pass, .tempError, .permError: 5
        }
    }
}

extension AskerSettings.SPFThreshold {
    var number: Int {
        switch self {
        case .fail: 1
        case .softfail: 2
        case .none: 3
        case .neutral: 4
        case .pass: 5
        }
    }
}
