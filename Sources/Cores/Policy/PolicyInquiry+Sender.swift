import MailModel

/// MAIL FROM (policy.md §8).
extension PolicyInquiry {
    func sender() throws(PolicySuspension) -> PolicyAnswer {
        step(.chain, "mail", "<\(question.sender)>")
        state.beginTransaction()
        state.flags.insert(.checkedSender)
        if !state.flags.contains(.checkedHello) {
            if state.flags.contains(.alwaysReject) { return rejectedNet() }
            try checkHello()
        }
        if state.flags.contains(.alwaysReject) { return refused(-1, state.rejectText, state.reason) }
        let right = try senderRight()
        if case .refused(let answer) = right { return answer }
        if state.flags.contains(.alwaysFreeze) { return freeze(state.reason) }
        if state.flags.contains(.fullTrust) { return accept(state.reason) }
        if case .permitted(let reason) = right { return exceedsAccountRate() ?? exceedsRates() ?? accept(reason) }
        let isNull = question.sender.isEmpty
        let mailbox = Mailbox(question.sender)
        guard isNull || mailbox != nil else { return refused(-1, "", "no address") }

        var wanted: PolicyAttributeSet = [.rejectsource, .freezesource, .sendernorelay, .senderokwithdns, .trustWhoson]
        if let mailbox {
            // What the user's own entry says hides what the domain's says.
            let findings = try findings(user: mailbox, [.rejectsource, .freezesource])
            if let answer = frozen(findings) ?? rejected(findings) { return answer }
            if findings[.freezesource] != nil { wanted.remove(.freezesource) }
            if findings[.rejectsource] != nil { wanted.remove(.rejectsource) }
        }
        let findings = try senderDomain(mailbox?.domain, wanted)
        if let hit = try listed(mailbox?.domain, findings) { return hit }
        if !isNull, let found = findings.plus(.sendernorelay) {
            state.flags.insert(.senderNoRelay)
            state.senderReason = findings.reason(found)
            step(.flag, "sender_norelay", "set", origin: Octets.text(found.origin))
        }
        if state.flags.contains(.alwaysAccept), let answer = exceedsRates() { return answer }
        if let answer = rejected(findings) ?? frozen(findings) { return answer }
        if let found = findings.plus(.trustWhoson), question.hasWhosonLogin, !state.flags.contains(.revokesWhoson) {
            state.flags.insert(.whosonSender)
            state.senderReason = findings.reason(found)
            step(.flag, "whoson_sender", "set", origin: Octets.text(found.origin))
        }
        if case .name(let domain)? = mailbox?.domain, let found = findings[.senderokwithdns] {
            let code = try existence(of: domain, soft: found.isPlus)
            if code != 0 { return refused(code, text(found), findings.reason(found)) }
        }
        if state.flags.contains(.alwaysAccept) { return accept(state.reason) }
        if state.flags.contains(.whosonSender) { return accept(state.senderReason) }
        return try checkSPF(mailbox) ?? accept("nothing against the sender")
    }

    private func senderDomain(
        _ domain: MailDomain?, _ wanted: PolicyAttributeSet
    ) throws(PolicySuspension) -> PolicyFindings {
        switch domain {
        case nil: return try findings(domain: ".".utf8, wanted)
        case .name(let name)?: return try findings(domain: name.lookupName.utf8, wanted)
        case .literal(.ip(let address))?:
            return try findings(address, tables.isOwnAddress(address.unmapped) ? wanted : wanted.union([.testDNSRBL]))
        case .literal(.general)?: return try findings(domain: ".".utf8, wanted)
        }
    }

    /// A sender's address literal on a list of `test-dns-rbl`.
    private func listed(_ domain: MailDomain?, _ findings: PolicyFindings) throws(PolicySuspension) -> PolicyAnswer? {
        guard case .literal(.ip(let address))? = domain, let found = findings[.testDNSRBL], !found.isMinus else {
            return nil
        }
        let hit = ask(found.value, about: address.unmapped)
        try settle()
        guard let hit else { return nil }
        return refused(
            -1, hit.text.isEmpty ? text(found) : hit.text, "\(hit.zone) \(hit.address) \(findings.reason(found))")
    }

    private func rejected(_ findings: PolicyFindings) -> PolicyAnswer? {
        guard let found = findings.plus(.rejectsource) else { return nil }
        set(.senderReject, "sender_reject", findings, found)
        return refused(-1, text(found), findings.reason(found))
    }

    private func frozen(_ findings: PolicyFindings) -> PolicyAnswer? {
        guard let found = findings.plus(.freezesource) else { return nil }
        set(.senderFreeze, "sender_freeze", findings, found)
        return freeze(findings.reason(found))
    }

    private func refused(_ code: Int, _ text: String, _ reason: String) -> PolicyAnswer {
        refuse(PolicyReplies.sender(code, client, question.sender, text), reason)
    }

    /// `account-ratelimit`, of an account that is not trusted; `nil`: it does not.
    private func exceedsAccountRate() -> PolicyAnswer? {
        let limit = settings.accountRateLimit
        guard limit > 0, question.identity == .account else { return nil }
        let account = question.authenticatedUser
        let count = counters.messages(ofAccount: account)
        step(.count, "messages of the account \(account) in an hour", "\(count) of \(limit)")
        guard count >= limit else { return nil }
        let text =
            "The account \(account) has sent \(count) messages in an hour, and may send \(limit); try again later"
        return refuse(
            Reply(451, EnhancedStatusCode(4, 7, 1), text),
            "rate: \(count) messages of the account \(account), account-ratelimit \(limit)")
    }

    /// `ratelimitmsgs` (policy.md §9); `nil`: it does not.
    private func exceedsRates() -> PolicyAnswer? {
        guard !state.rates.isEmpty, let limits = RateLimits(octets: Array(state.rates.utf8)[...]),
            let key = RateKey(client: client)
        else { return nil }
        let factor = isAuthenticated ? 10 : 1
        for (name, limit, count) in [
            ("messages", limits.messages, counters.messages(key)),
            ("recipients", limits.recipients, counters.recipients(key)),
        ] where limit != 0 {
            step(.count, "\(name) of \(key) in an hour", "\(count) of \(abs(limit) * factor)")
            guard count >= abs(limit) * factor else { continue }
            let standard = "You are sending too much mail/rcpts per time interval.  Try again later."
            return refused(
                limit < 0 ? -1 : -100, state.rateText.isEmpty ? standard : state.rateText,
                "\(state.rateReason): \(count) \(name) of \(key)")
        }
        return nil
    }
}
