import MailModel

/// Logins: who may try one, and which sender addresses it gives a right to (smtpserver.md §10, RFC 6409 §6.1).
extension PolicyInquiry {
    /// AUTH. Failures of the address count, so that nobody can lock others out; those of the user are told only.
    func authentication() -> PolicyAnswer {
        step(.chain, "auth", question.authenticatedUser)
        guard let client, let key = RateKey(client: client) else { return accept("no client address") }
        let limit = max(settings.authFailureRate, AskerSettings.minimumAuthFailureRate)
        let failures = counters.authFailures(key)
        step(.count, "failed logins of \(key) in an hour", "\(failures) of \(limit)")
        var reason = "\(failures) failed logins of \(key) in an hour, auth-failrate \(limit)"
        if !question.authenticatedUser.isEmpty {
            let ofUser = counters.authFailures(as: question.authenticatedUser)
            step(.count, "failed logins as \(question.authenticatedUser) in an hour", "\(ofUser)")
            reason += "; \(ofUser) as \(question.authenticatedUser)"
        }
        guard failures < limit else { return refuse(PolicyReplies.tooManyFailures(client), reason) }
        return accept(reason)
    }

    enum SenderPermission {
        /// Nobody is logged in.
        case notAsked
        case permitted(reason: String)
        case refused(PolicyAnswer)
    }

    /// What the login makes of the sender. A login without a line may use nothing: who makes such a table means it.
    func senderRight() throws(PolicySuspension) -> SenderPermission {
        guard isAuthenticated else { return .notAsked }
        switch question.identity {
        case .login: break
        case .trustedAccount: return .permitted(reason: "trusted account \(question.authenticatedUser)")
        case .account: return try senderRightOfAccount()
        }
        guard !settings.senderTable.isEmpty else { return .permitted(reason: "authenticated") }
        let user = question.authenticatedUser
        let mailbox = Mailbox(question.sender)
        guard mailbox != nil || question.sender.isEmpty else { return .refused(notTheirs("no address")) }
        let right = try table { () throws(PolicyTrouble) in
            try tables.senderRight(of: user, to: mailbox, table: settings.senderTable)
        }
        switch right {
        case .granted(let origin):
            step(.table, user, "may send as <\(question.sender)>", origin: origin)
            return .permitted(reason: "authenticated; \(origin)")
        case .denied(let origin):
            step(.table, user, "may not send as <\(question.sender)>", origin: origin)
            return .refused(notTheirs("\(origin) does not give <\(question.sender)> to \(user)"))
        case .noLine(let file):
            step(.table, user, "has no line", origin: file)
            return .refused(notTheirs("\(file) has no line for \(user)"))
        }
    }

    /// An account of this host has the addresses of its name, and what the table of senders gives its name beside them.
    private func senderRightOfAccount() throws(PolicySuspension) -> SenderPermission {
        let user = question.authenticatedUser
        guard !question.sender.isEmpty else { return .permitted(reason: "account \(user)") }
        guard let mailbox = Mailbox(question.sender) else { return .refused(notTheirs("no address")) }
        if Self.isOwn(mailbox.localPart.text, of: user) {
            let domain = try table { () throws(PolicyTrouble) in try tables.localDomain(mailbox.domain) }
            let ownName = mailbox.domain == MailDomain(settings.hostName) ? "name of this host" : nil
            if let domain = domain ?? ownName {
                step(.table, user, "has the address <\(question.sender)>", origin: domain)
                return .permitted(reason: "account \(user); \(domain)")
            }
        }
        guard !settings.senderTable.isEmpty else {
            step(.table, user, "may not send as <\(question.sender)>")
            return .refused(notTheirs("<\(question.sender)> is no address of the account \(user)"))
        }
        let right = try table { () throws(PolicyTrouble) in
            try tables.senderRight(of: user, to: mailbox, table: settings.senderTable)
        }
        switch right {
        case .granted(let origin):
            step(.table, user, "may send as <\(question.sender)>", origin: origin)
            return .permitted(reason: "account \(user); \(origin)")
        case .denied(let origin):
            step(.table, user, "may not send as <\(question.sender)>", origin: origin)
            return .refused(notTheirs("\(origin) does not give <\(question.sender)> to the account \(user)"))
        case .noLine(let file):
            step(.table, user, "has no line", origin: file)
            return .refused(notTheirs("<\(question.sender)> is no address of the account \(user); \(file) has no line"))
        }
    }

    /// `user` and `user+detail`, as mail for them is delivered.
    private static func isOwn(_ localPart: String, of user: String) -> Bool {
        let name = asciiLowercased(localPart)
        let user = asciiLowercased(user)
        return name == user || name.hasPrefix("\(user)+")
    }

    private func notTheirs(_ reason: String) -> PolicyAnswer {
        switch question.identity {
        case .login: refuse(PolicyReplies.notTheirs(question.verb, client, question.sender), reason)
        case .account, .trustedAccount:
            refuse(PolicyReplies.notOfAccount(question.verb, question.authenticatedUser, question.sender), reason)
        }
    }
}
