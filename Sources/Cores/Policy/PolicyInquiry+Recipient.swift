import MailModel

/// RCPT TO (policy.md §8). This is the relay control: a recipient that nobody here knows is accepted from those that the database
/// or their password gives a right to.
extension PolicyInquiry {
    private static let wantedOfUser: PolicyAttributeSet = [.relaytarget, .freeze, .testRcptDNSRBL, .greylist]
    static let wantedOfDomain: PolicyAttributeSet = [
        .relaytarget, .freeze, .acceptifmx, .acceptifdns, .testRcptDNSRBL, .localdomain, .greylist,
    ]
    /// Rounds of the `%` and `!` analysis (policy.md §8).
    private static let maximumRounds = 20

    /// What a chain says: ZMailer's numbers, 0 accept, above 0 freeze, below 0 refuse, below -99 for the time being.
    struct Outcome {
        var code: Int
        var text = ""
        var reason: String
        /// Whether rights that the client may have by its name would change it.
        var isForStrangers = false
        /// Seconds that the domain or user wants unknown senders to wait; `nil`: it says nothing.
        var greylist: Int?
        /// The text in front of `greylist`, and which entry it is.
        var greylistText = ""
        var greylistReason = ""
    }

    func recipient() throws(PolicySuspension) -> PolicyAnswer {
        step(.chain, "rcpt", "<\(question.recipient)>")
        if case .refused(let answer) = try senderRight() { return answer }
        if let answer = try lateSender() { return answer }
        let isPostmaster = asciiLowercased(question.recipient) == "postmaster"
        let mailbox = Mailbox(question.recipient)
        if !state.flags.isDisjoint(with: [.alwaysReject, .senderReject]) {
            if let second = try secondChance(mailbox) { return accept(second.reason) }
            if state.flags.contains(.alwaysReject) { return rejectedNet() }
            return refuse(PolicyReplies.earlierRejection(client), state.senderReason)
        }
        guard isPostmaster || mailbox != nil else {
            return refuse(
                Reply(553, EnhancedStatusCode(5, 1, 3), "Bad recipient address syntax"), "syntax of the recipient")
        }
        if !state.flags.isDisjoint(with: [.alwaysFreeze, .senderFreeze]) { return freeze(state.freezeReason) }
        var outcome = if let rights = rights() { rights } else { try judge(mailbox) }
        if outcome.code < 0, outcome.code > -100 || mailbox == nil, let second = try secondChance(mailbox) {
            outcome = second
        }
        if outcome.code < 0 {
            if outcome.isForStrangers, state.flags.contains(.lacksName) {
                outcome.code = -104
                outcome.text = ""
                outcome.reason += "; the DNS did not tell the client's name"
            }
            return refuse(
                PolicyReplies.recipient(outcome.code, client, question.recipient, outcome.text), outcome.reason)
        }
        if outcome.code > 0 { return freeze(outcome.reason) }
        guard let mailbox else { return accept(outcome.reason) }
        if let answer = try unknownUser(mailbox, &outcome.reason) { return answer }
        return greylisted(mailbox, outcome) ?? accept(outcome.reason)
    }

    /// Where MAIL was not asked about, because nothing in the database could have mattered to it, and now something can.
    private func lateSender() throws(PolicySuspension) -> PolicyAnswer? {
        guard !state.flags.contains(.checkedSender), state.flags.isDisjoint(with: [.alwaysReject, .fullTrust]),
            try table({ () throws(PolicyTrouble) in try database.metadata() }).judgesSenders
        else { return nil }
        let answer = try sender()
        return answer.verdict == .refuse ? answer : nil
    }

    /// Of those whose recipients are not looked at.
    private func rights() -> Outcome? {
        if isAuthenticated { return Outcome(code: 0, reason: "authenticated") }
        if !state.flags.isDisjoint(with: [.fullTrust, .trustsRecipients]) {
            return Outcome(code: 0, reason: state.reason)
        }
        return state.flags.contains(.whosonSender) ? Outcome(code: 0, reason: state.senderReason) : nil
    }

    private func judge(_ mailbox: Mailbox?) throws(PolicySuspension) -> Outcome {
        guard let mailbox else {
            if state.flags.contains(.alwaysAccept) { return Outcome(code: 0, reason: state.reason) }
            return Outcome(code: -1, reason: "no domain")
        }
        let user = try findings(user: mailbox, Self.wantedOfUser)
        if let outcome = target(user) { return outcome }
        if let freeze = user.plus(.freeze) { return frozen(user, freeze) }
        if let outcome = listed(user) { return outcome }
        var outcome = try judgeDomain(mailbox)
        if let found = user[.greylist] {
            outcome.greylist = found.number
            outcome.greylistText = text(found)
            outcome.greylistReason = user.reason(found)
        }
        return outcome
    }

    /// `relaytarget` of the user's own entry.
    private func target(_ findings: PolicyFindings) -> Outcome? {
        guard let found = findings[.relaytarget], found.isPlus || found.isMinus else { return nil }
        return Outcome(code: found.isPlus ? 0 : -1, text: text(found), reason: findings.reason(found))
    }

    func frozen(_ findings: PolicyFindings, _ found: PolicyFindings.Found) -> Outcome {
        set(.senderFreeze, "sender_freeze", findings, found)
        return Outcome(code: 1, reason: findings.reason(found))
    }

    /// `test-rcpt-dns-rbl +` of who wants what `rcpt-dns-rbl` found to count.
    func listed(_ findings: PolicyFindings) -> Outcome? {
        guard !state.listText.isEmpty, let found = findings.plus(.testRcptDNSRBL) else { return nil }
        return Outcome(code: -1, text: state.listText, reason: findings.reason(found))
    }

    private func judgeDomain(_ mailbox: Mailbox) throws(PolicySuspension) -> Outcome {
        var path = RoutingPath(mailbox.localPart.text, readsBangs: settings.rejectsPercentKludge)
        var domain: MailDomain? = mailbox.domain
        var findings = try findings(of: mailbox.domain)
        var outcome = Outcome(code: 0, reason: "")
        if let found = findings[.greylist] {
            outcome.greylist = found.number
            outcome.greylistText = text(found)
            outcome.greylistReason = findings.reason(found)
        }
        var isLocal = isOwn(mailbox.domain)
        var rounds = Self.maximumRounds
        while true {
            while isLocal || findings.plus(.localdomain) != nil || findings.plus(.relaytarget) != nil {
                rounds -= 1
                guard rounds > 0 else {
                    return Outcome(code: -1, reason: "the local part leads through too many domains")
                }
                guard let host = path.next() else { break }
                // `user%@here` leads nowhere.
                if host.isEmpty { continue }
                step(.key, host, "the local part leads there")
                domain = MailDomain(host)
                if let domain {
                    findings = try self.findings(of: domain)
                } else {
                    findings = try self.findings(domain: asciiLowercased(host).utf8, Self.wantedOfDomain)
                }
                isLocal = domain.map(isOwn) ?? false
            }
            var verdict = try judge(domain, findings, isOwn: isLocal)
            if verdict.code == 0, verdict.isExchange, !path.isEmpty, !isLocal {
                // We take mail for the domain because the DNS says so: its local parts may not lead on either.
                isLocal = true
                continue
            }
            verdict.outcome.greylist = outcome.greylist
            verdict.outcome.greylistText = outcome.greylistText
            verdict.outcome.greylistReason = outcome.greylistReason
            return verdict.outcome
        }
    }

    /// ``ZMailer``'s way out for postmasters, also when everything else is blocked: `postmaster` alone, and those whose address
    /// has `relaytarget +`.
    private func secondChance(_ mailbox: Mailbox?) throws(PolicySuspension) -> Outcome? {
        guard let mailbox else {
            return asciiLowercased(question.recipient) == "postmaster" ? Outcome(code: 0, reason: "postmaster") : nil
        }
        guard asciiLowercased(mailbox.localPart.text) == "postmaster" else { return nil }
        let findings = try findings(user: mailbox, [.relaytarget])
        guard let found = findings.plus(.relaytarget) else { return nil }
        return Outcome(code: 0, reason: findings.reason(found))
    }

    /// Nobody has that name in a domain of ours. `reason` gets the tables that know the recipient.
    private func unknownUser(_ mailbox: Mailbox, _ reason: inout String) throws(PolicySuspension) -> PolicyAnswer? {
        let domain = try table { () throws(PolicyTrouble) in try tables.localDomain(mailbox.domain) }
        guard let domain else { return nil }
        let name = mailbox.localPart.text
        let found = try table { () throws(PolicyTrouble) in try tables.localRecipient(name) }
        step(.table, name, found == nil ? "not found" : "found", origin: found ?? "")
        if let found {
            reason += "; \(domain) \(found)"
            return nil
        }
        // RFC 5321 §4.5.1: postmaster of each domain that we serve.
        if asciiLowercased(name) == "postmaster" {
            reason += "; \(domain) postmaster"
            return nil
        }
        return refuse(
            Reply(550, EnhancedStatusCode(5, 1, 1), "No such user: <\(question.recipient)>"), "\(domain) no such user")
    }

    /// Ours: the first mail of an unknown sender waits.
    private func greylisted(_ mailbox: Mailbox, _ outcome: Outcome) -> PolicyAnswer? {
        let seconds = outcome.greylist ?? state.greylist
        guard seconds > 0, let client, !isAuthenticated,
            state.flags.isDisjoint(with: [.alwaysAccept, .fullTrust, .trustsRecipients, .whosonSender]),
            let key = GreylistKey(client: client, sender: question.sender, recipient: mailbox.description)
        else { return nil }
        let first = counters.firstSeen(key)
        let age = first.map { max(0, counters.now - $0) }
        step(.count, "greylist \(key)", age.map { "seen \($0) s ago, \(seconds) s are asked for" } ?? "never seen")
        if let age, age >= Int64(seconds) {
            effects.append(.passedGreylist(key))
            return nil
        }
        effects.append(.sawGreylist(key))
        let ownText = outcome.greylist == nil ? state.greylistText : outcome.greylistText
        let text =
            ownText.isEmpty
            ? "You are new here, please try again in \(Int64(seconds) - (age ?? 0)) seconds" : ownText
        let reason = outcome.greylist == nil ? state.greylistReason : outcome.greylistReason
        return refuse(PolicyReplies.recipient(-100, client, question.recipient, text), "\(reason): \(key)")
    }
}
