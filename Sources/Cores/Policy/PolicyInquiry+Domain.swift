import MailModel

/// What the database and the DNS say about a recipient's domain (policy.md §8).
extension PolicyInquiry {
    func isOwn(_ domain: MailDomain) -> Bool {
        guard case .literal(.ip(let address)) = domain else { return false }
        return tables.isOwnAddress(address.unmapped)
    }

    /// Whether it is the entry of a network of clients. What stands in `_full_rights` for names is no permission for strangers to
    /// send mail to each of its hosts.
    private static func isOfClients(_ domain: MailDomain?, _ findings: PolicyFindings) -> Bool {
        guard case .literal(.ip)? = domain else { return false }
        return findings[.relaycustnet] != nil && findings.plus(.localdomain) == nil
    }

    func findings(of domain: MailDomain) throws(PolicySuspension) -> PolicyFindings {
        switch domain {
        case .name(let name): return try findings(domain: name.lookupName.utf8, Self.wantedOfDomain)
        case .literal(.general): return try findings(domain: ".".utf8, Self.wantedOfDomain)
        case .literal(.ip(let address)):
            let others: PolicyAttributeSet = isOwn(domain) ? [] : [.testDNSRBL, .rcptDNSRBL, .relaycustnet]
            return try findings(address, Self.wantedOfDomain.union(others))
        }
    }

    struct Verdict {
        var outcome: Outcome
        /// We are its mail host as the DNS has it.
        var isExchange = false
        var code: Int { outcome.code }
        init(_ outcome: Outcome, isExchange: Bool = false) {
            self.outcome = outcome
            self.isExchange = isExchange
        }
    }

    /// The rest of the chain, for the domain where the local part leads to.
    func judge(
        _ domain: MailDomain?, _ findings: PolicyFindings, isOwn: Bool
    ) throws(PolicySuspension) -> Verdict {
        let mayRelay = state.flags.contains(.alwaysAccept)
        if isOwn, let domain, self.isOwn(domain) { return Verdict(Outcome(code: 0, reason: "own address")) }
        if let hit = try literalListed(domain, findings) { return Verdict(hit) }
        // What is said about all that is not listed does not take from relay clients the right that they have.
        if let found = findings.minus(.relaytarget), !(mayRelay && findings.isDefault) {
            return Verdict(
                Outcome(
                    code: -1, text: text(found), reason: findings.reason(found), isForStrangers: findings.isDefault))
        }
        if let freeze = findings.plus(.freeze) { return Verdict(frozen(findings, freeze)) }
        if let outcome = listed(findings) { return Verdict(outcome) }
        if let found = findings.plus(.relaytarget), !Self.isOfClients(domain, findings) {
            return Verdict(Outcome(code: 0, text: text(found), reason: findings.reason(found)))
        }
        if mayRelay { return Verdict(try relayed(domain, findings)) }
        if findings[.acceptifmx] != nil || state.flags.contains(.senderNoRelay) {
            return try exchanged(domain, findings)
        }
        if let found = findings[.acceptifdns] {
            guard case .name(let name)? = domain else {
                return Verdict(Outcome(code: -2, text: text(found), reason: findings.reason(found)))
            }
            let code = try existence(of: name, soft: found.isPlus)
            return Verdict(Outcome(code: code, text: code == 0 ? "" : text(found), reason: findings.reason(found)))
        }
        return Verdict(unlisted(findings))
    }

    /// An address literal that `test-dns-rbl` or `rcpt-dns-rbl` of its network lists.
    private func literalListed(_ domain: MailDomain?, _ findings: PolicyFindings) throws(PolicySuspension) -> Outcome? {
        guard case .literal(.ip(let address))? = domain else { return nil }
        for attribute in [PolicyAttribute.testDNSRBL, .rcptDNSRBL] {
            guard let found = findings[attribute], !found.isMinus, found.value.first != UInt8(ascii: "_"),
                attribute == .testDNSRBL || findings.plus(.testRcptDNSRBL) != nil
            else { continue }
            let hit = ask(found.value, about: address.unmapped)
            try settle()
            if let hit {
                return Outcome(
                    code: -1, text: hit.text.isEmpty ? text(found) : hit.text,
                    reason: "\(hit.zone) \(hit.address) \(findings.reason(found))")
            }
        }
        return nil
    }

    /// From a client that may relay: to whatever is there.
    private func relayed(_ domain: MailDomain?, _ findings: PolicyFindings) throws(PolicySuspension) -> Outcome {
        guard let domain else { return Outcome(code: -1, reason: "no domain") }
        guard case .name(let name) = domain else { return Outcome(code: 0, reason: state.reason) }
        let origin = try table { () throws(PolicyTrouble) -> String? in
            if let origin = try tables.localDomain(domain) { return origin }
            return try tables.route(to: domain)
        }
        if let origin {
            step(.table, name.key, "known, the DNS is not asked", origin: origin)
            return Outcome(code: 0, reason: state.reason)
        }
        let found = findings[.acceptifmx]
        let code = try existence(of: name, soft: found?.isPlus ?? false)
        if code == 0 { return Outcome(code: 0, reason: state.reason) }
        let reason = found.map(findings.reason) ?? state.reason
        return Outcome(code: code, text: found.map(text) ?? "", reason: "\(reason): what the DNS says of \(name.key)")
    }

    /// `acceptifmx`, or a sender with `sendernorelay`.
    private func exchanged(_ domain: MailDomain?, _ findings: PolicyFindings) throws(PolicySuspension) -> Verdict {
        let found = findings[.acceptifmx]
        let reason = found.map(findings.reason) ?? state.senderReason
        let text = found.map(text) ?? ""
        let isSoft = found?.isPlus ?? false
        guard case .name(let name)? = domain else {
            return Verdict(Outcome(code: isSoft ? -103 : -3, text: text, reason: reason, isForStrangers: true))
        }
        let code = try exchange(of: name, soft: isSoft)
        return Verdict(
            Outcome(code: code, text: code == 0 ? "" : text, reason: reason, isForStrangers: true),
            isExchange: code == 0)
    }

    /// The end of the chain: nothing decided. ZMailer accepted when an entry of the domain's own was silent about its mail; here
    /// no omission opens the relay.
    private func unlisted(_ findings: PolicyFindings) -> Outcome {
        let key = findings.isFound ? PolicyKey(octets: findings.key).map { " via \($0)" } ?? "" : ""
        return Outcome(
            code: -1, reason: "nothing says that mail for the domain is taken\(key)", isForStrangers: true)
    }
}
