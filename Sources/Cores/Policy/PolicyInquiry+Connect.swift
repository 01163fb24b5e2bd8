import MailModel

/// A client has connected: its address, then its names (policy.md §8).
extension PolicyInquiry {
    private static let wanted: PolicyAttributeSet = [
        .rejectnet, .freezenet, .relaycustnet, .maxinsize, .fulltrustnet, .trustrecipients, .trustWhoson, .filtering,
        .ratelimitmsgs, .maxsameipsource, .submit, .greylist,
    ]
    /// Not of our own addresses.
    private static let wantedOfOthers: PolicyAttributeSet = [.testDNSRBL, .rcptDNSRBL, .spf]

    func connect() throws(PolicySuspension) -> PolicyAnswer {
        step(.chain, "connect", client?.literal ?? "no address")
        if let answer = tooMany() { return answer }
        guard let client else {
            if question.identity != .login {
                // Its sender is looked at; relaying is what the account gives it a right to.
                var answer = accept("account \(question.authenticatedUser)")
                if !question.wantsSteps { answer.needless = [.helo] }
                return answer
            }
            // A dialogue on standard input (policy.md §8).
            state.flags.insert(.fullTrust)
            step(.flag, "full_trust", "set: there is no client address")
            return try withNeedless(accept("no client address"))
        }
        let isOwn = tables.isOwnAddress(client)
        step(.table, "own address", isOwn ? "yes" : "no")
        let findings = try findings(client, isOwn ? Self.wanted : Self.wanted.union(Self.wantedOfOthers))
        if let answer = takeAddress(findings) { return answer }
        if let answer = tooManyOfNetwork(client, findings) { return answer }
        // Nobody is trusted by what the lists or the name of an address say, and both can be asked at once.
        let isTrusted = !state.flags.isDisjoint(with: [.alwaysFreeze, .fullTrust, .trustsRecipients, .alwaysAccept])
        var listed: PolicyAnswer?
        if !isTrusted {
            if let found = findings.plus(.spf) {
                state.flags.insert(.checksSPF)
                state.spfReason = findings.reason(found)
            }
            listed = testLists(client, findings)
        }
        let listedState = state
        var answer = try reverseName(client)
        try settle()
        // A hit on a list rejects before any name is looked at.
        if var listed {
            state = listedState
            listed.clientName = answer.clientName
            listed.reverseFlags = answer.reverseFlags
            return listed
        }
        if answer.verdict == .accept { answer = try withNeedless(answer) }
        return answer
    }

    // MARK: connections

    /// smtpserver.md §5.1, §5.2.
    private func tooMany() -> PolicyAnswer? {
        func refused(_ text: String, _ reason: String) -> PolicyAnswer {
            refuse(Reply(450, EnhancedStatusCode(4, 7, 0), ["Come again later", text]), reason)
        }
        func dropped(_ reason: String) -> PolicyAnswer {
            PolicyAnswer(number: question.number, verdict: .drop, reason: reason)
        }
        let limits = settings.limits
        let total = counters.totalConnections
        step(.count, "connections", "\(total)\(limits.total > 0 ? " of \(limits.total)" : "")")
        if limits.total > 0, total > limits.total {
            let reason = "MaxParallelConnections \(total) max \(limits.total)"
            if total > limits.total + 100 { return dropped(reason) }
            return refused("Too many simultaneous connections to this server (\(total) max \(limits.total))", reason)
        }
        guard let client else { return nil }
        let count = counters.connections(of: client)
        step(
            .count, "connections of \(client.literal)",
            "\(count)\(limits.perAddress > 0 ? " of \(limits.perAddress)" : "")")
        if limits.perAddress > 0 {
            let reason = "MaxSameIpSource \(count) max \(limits.perAddress)"
            if count > 4 * limits.perAddress { return dropped(reason) }
            if count > limits.perAddress, count > 1 {
                return refused(
                    "Too many simultaneous connections from same IP address (\(count) max \(limits.perAddress))", reason
                )
            }
        }
        return nil
    }

    /// `maxsameipsource`; 0 admits nobody.
    private func tooManyOfNetwork(_ client: IPAddress, _ findings: PolicyFindings) -> PolicyAnswer? {
        guard let found = findings[.maxsameipsource] else { return nil }
        let count = counters.connections(of: client)
        guard count > found.number || found.number == 0 else { return nil }
        let text = text(found)
        let standard =
            "\(settings.hostName) - Come again later, too many simultaneous connections from this IP address /ms"
            + "(\(count) of \(found.number))"
        return refuse(
            Reply(450, EnhancedStatusCode(4, 7, 0), text.isEmpty ? standard : text), findings.reason(found))
    }

    // MARK: the address

    /// What the address's record says; an answer if it is a rejection.
    private func takeAddress(_ findings: PolicyFindings) -> PolicyAnswer? {
        if let found = findings[.maxinsize] { state.maximumSize = found.number }
        if let found = findings[.greylist] {
            state.greylist = found.number
            state.greylistReason = findings.reason(found)
            state.greylistText = text(found)
        }
        if let found = findings[.ratelimitmsgs] {
            state.rates = Octets.text(found.value)
            state.rateText = text(found)
            state.rateReason = findings.reason(found)
        }
        if let found = findings.plus(.rejectnet) {
            set(.alwaysReject, "always_reject", findings, found)
            state.rejectText = text(found)
            if state.rejectText.isEmpty {
                state.rejectText = "Your network address is blackholed in our static tables"
            }
            return rejectedNet()
        }
        if let found = findings.plus(.freezenet) {
            set(.alwaysFreeze, "always_freeze", findings, found)
            return nil
        }
        if let found = findings.plus(.submit) { set(.submits, "submits", findings, found) }
        if let found = findings[.trustWhoson] { takeWhoson(findings, found) }
        // The strongest last: its entry is the reason.
        if let found = findings.plus(.relaycustnet) { set(.alwaysAccept, "always_accept", findings, found) }
        if let found = findings.plus(.trustrecipients) {
            set(.trustsRecipients, "trust_recipients", findings, found)
        }
        if let found = findings.plus(.fulltrustnet) { set(.fullTrust, "full_trust", findings, found) }
        if let found = findings[.filtering] {
            state.flags.insert(found.isPlus ? .filters : .doesNotFilter)
            step(.flag, "content_filter", found.isPlus ? "1" : "0", origin: Octets.text(found.origin))
        }
        return nil
    }

    /// `trust-whoson`: who is logged in may send to everybody; `-`: the sender's entry cannot give that right either.
    private func takeWhoson(_ findings: PolicyFindings, _ found: PolicyFindings.Found) {
        if found.isMinus {
            state.flags.insert(.revokesWhoson)
            step(.flag, "whoson -", "set", origin: Octets.text(found.origin))
        } else if found.isPlus, question.hasWhosonLogin {
            set(.trustsRecipients, "trust_recipients", findings, found)
        } else {
            step(.flag, "trust_recipients", "not set: no login is known to whoson", origin: Octets.text(found.origin))
        }
    }

    // MARK: the lists

    /// `nil` if no list rejects, or if not all is known yet.
    private func testLists(_ client: IPAddress, _ findings: PolicyFindings) -> PolicyAnswer? {
        if let found = findings[.rcptDNSRBL], !found.isMinus {
            if found.value.first == UInt8(ascii: "_") {
                takeListText(found)
            } else if let hit = ask(found.value, about: client) {
                let standard = text(found)
                state.listText =
                    !hit.text.isEmpty
                    ? hit.text : standard.isEmpty ? "You are on our reject-IP-address -list, GO AWAY!" : standard
                step(.flag, "rblmsg", state.listText, origin: Octets.text(found.origin))
            }
        }
        guard let found = findings[.testDNSRBL], !found.isMinus, let hit = ask(found.value, about: client) else {
            return nil
        }
        state.rejectText = hit.text.isEmpty ? text(found) : hit.text
        set(.alwaysReject, "always_reject", findings, found)
        state.reason = "\(hit.zone) \(hit.address) \(findings.reason(found))"
        return rejectedNet()
    }

    /// `rcpt-dns-rbl "_text"`: as if a list had said the text. `_+` says nothing.
    func takeListText(_ found: PolicyFindings.Found) {
        let text = found.value.dropFirst()
        guard state.listText.isEmpty, !text.isEmpty, text.first != UInt8(ascii: "+") else { return }
        state.listText = PolicyReplies.printable(text)
        step(.flag, "rblmsg", state.listText, origin: Octets.text(found.origin))
    }

    // MARK: what is left to ask

    /// Later questions whose answer nothing can change.
    private func withNeedless(_ answer: PolicyAnswer) throws(PolicySuspension) -> PolicyAnswer {
        var answer = answer
        // Who wants to see the steps asks for all of them.
        if question.wantsSteps { return answer }
        answer.needless = [.helo]
        if state.flags.contains(.fullTrust) {
            if !state.flags.contains(.submits) { answer.needless.insert(.mail) }
        } else if state.flags.isDisjoint(with: [.alwaysFreeze, .submits, .checksSPF]), state.rates.isEmpty {
            let metadata = try table { () throws(PolicyTrouble) in try database.metadata() }
            if !metadata.judgesSenders { answer.needless.insert(.mail) }
        }
        return answer
    }
}
