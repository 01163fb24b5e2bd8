import MailModel

/// Decides about clients, senders and recipients. Relay control is one function, ``recipient(_:)``: a recipient's domain is ours
/// or in `smtp-policy.mx`, or the client is in `smtp-policy.relay` or authenticated; nobody else relays, this host included.
public struct LegacyPolicyEvaluator {
    private let tables: any LegacyPolicyTables

    /// Rounds of the `%` and `!` analysis (policy.md §8).
    public static let maximumRoutingRounds = 20
    /// Lines of an answer to VRFY or EXPN.
    public static let maximumLines = 100

    public init(tables: any LegacyPolicyTables) { self.tables = tables }

    /// All questions but `connect` and `disconnect`, which ``connect(_:_:_:)`` counts.
    public func answer(_ question: PolicyQuestion) -> PolicyAnswer {
        do throws(PolicyTrouble) {
            switch question.verb {
            case .connect, .disconnect, .helo, .stored:
                return PolicyAnswer(number: question.number, verdict: .accept, reason: question.verb.rawValue)
            case .mail: return try mail(question)
            case .rcpt: return try recipient(question)
            case .verify: return try verify(question, expanding: false)
            case .expand: return try verify(question, expanding: true)
            }
        } catch {
            return Self.trouble(question.number, error.description)
        }
    }

    public static func trouble(_ number: UInt64, _ reason: String) -> PolicyAnswer {
        PolicyAnswer(
            number: number, verdict: .refuse,
            reply: Reply(451, EnhancedStatusCode(4, 3, 0), "Temporary local trouble, try again later"),
            reason: "trouble: \(reason)")
    }

    /// A session begins; `counts` holds it already (smtpserver.md §5.1, §5.2).
    public static func connect(
        _ question: PolicyQuestion, _ counts: ConnectionCounts, _ limits: ConnectionLimits
    ) -> PolicyAnswer {
        func refuse(_ lines: [String], _ reason: String) -> PolicyAnswer {
            PolicyAnswer(
                number: question.number, verdict: .refuse, reply: Reply(450, EnhancedStatusCode(4, 7, 0), lines),
                reason: reason)
        }
        if limits.total > 0, counts.total > limits.total {
            let reason = "MaxParallelConnections \(counts.total) max \(limits.total)"
            if counts.total > limits.total + 100 {
                return PolicyAnswer(number: question.number, verdict: .drop, reason: reason)
            }
            let text = "Too many simultaneous connections to this server (\(counts.total) max \(limits.total))"
            return refuse(["Come again later", text], reason)
        }
        if limits.perAddress > 0, let client = question.client {
            let count = counts.count(client)
            let reason = "MaxSameIpSource \(count) max \(limits.perAddress)"
            if count > 4 * limits.perAddress {
                return PolicyAnswer(number: question.number, verdict: .drop, reason: reason)
            }
            if count > limits.perAddress, count > 1 {
                let text = "Too many simultaneous connections from same IP address (\(count) max \(limits.perAddress))"
                return refuse(["Come again later", text], reason)
            }
        }
        return PolicyAnswer(number: question.number, verdict: .accept, reason: "connect")
    }

    /// What a client may do: nothing special, relay, or submit.
    private enum Rights {
        case stranger
        case relay(origin: String)
        case submit(origin: String)
    }

    private func rights(_ question: PolicyQuestion) throws(PolicyTrouble) -> Rights {
        if !question.authenticatedUser.isEmpty { return .submit(origin: "authenticated") }
        guard let client = question.client, let entry = try tables.relayClient(client) else { return .stranger }
        return entry.submits ? .submit(origin: entry.origin) : .relay(origin: entry.origin)
    }

    private func accept(_ question: PolicyQuestion, _ rights: Rights, _ reason: String) -> PolicyAnswer {
        switch rights {
        case .submit: PolicyAnswer(number: question.number, verdict: .submit, reason: reason)
        case .stranger, .relay: PolicyAnswer(number: question.number, verdict: .accept, reason: reason)
        }
    }

    private func refuse(
        _ question: PolicyQuestion, _ code: Int, _ status: EnhancedStatusCode, _ text: String, _ reason: String
    ) -> PolicyAnswer {
        PolicyAnswer(number: question.number, verdict: .refuse, reply: Reply(code, status, text), reason: reason)
    }

    private func mail(_ question: PolicyQuestion) throws(PolicyTrouble) -> PolicyAnswer {
        let rights = try rights(question)
        switch rights {
        case .stranger: return accept(question, rights, "sender")
        case .relay(let origin), .submit(let origin): return accept(question, rights, origin)
        }
    }

    private func recipient(_ question: PolicyQuestion) throws(PolicyTrouble) -> PolicyAnswer {
        let rights = try rights(question)
        if asciiLowercased(question.recipient) == "postmaster" { return accept(question, rights, "postmaster") }
        guard let mailbox = Mailbox(question.recipient) else {
            return refuse(
                question, 553, EnhancedStatusCode(5, 1, 3), "Bad recipient address syntax", "syntax of the recipient")
        }
        if let origin = try tables.localDomain(mailbox.domain) {
            return try local(question, mailbox, origin, rights)
        }
        switch rights {
        case .relay(let origin), .submit(let origin): return accept(question, rights, origin)
        case .stranger: break
        }
        guard let origin = try tables.relayTarget(mailbox.domain) else { return relayDenied(question, "no relay") }
        // The domain we pass mail on to may trust us: its `%` and `!` must not lead where we would not relay to.
        guard try !routesElsewhere(mailbox.localPart) else {
            return relayDenied(question, "local part routes beyond \(origin)")
        }
        return accept(question, rights, origin)
    }

    private func local(
        _ question: PolicyQuestion, _ mailbox: Mailbox, _ origin: String, _ rights: Rights
    ) throws(PolicyTrouble) -> PolicyAnswer {
        let name = mailbox.localPart.text
        if let found = try tables.localRecipient(name) { return accept(question, rights, "\(origin) \(found)") }
        // RFC 5321 §4.5.1: postmaster of each domain that we serve.
        if asciiLowercased(name) == "postmaster" { return accept(question, rights, "\(origin) postmaster") }
        if try routesElsewhere(mailbox.localPart) { return relayDenied(question, "local part routes beyond \(origin)") }
        return refuse(
            question, 550, EnhancedStatusCode(5, 1, 1), "No such user: <\(question.recipient)>",
            "\(origin) no such user")
    }

    private func relayDenied(_ question: PolicyQuestion, _ reason: String) -> PolicyAnswer {
        // Wording of ZMailer (policy.md §8.2).
        let client = question.client.map { "\($0)" } ?? "unknown"
        return refuse(
            question, 550, EnhancedStatusCode(5, 7, 1),
            "Your IP address \(client) is not allowed to relay to email address <\(question.recipient)> via our server",
            reason)
    }

    /// Whether a local part such as `user%there.org` or `there.org!user` names a domain that we do not take mail for
    /// (policy.md §8). Routing never follows such a path; this keeps others from following it on our word.
    private func routesElsewhere(_ localPart: LocalPart) throws(PolicyTrouble) -> Bool {
        var text = localPart.text[...]
        for _ in 0..<Self.maximumRoutingRounds {
            let domain: Substring
            if let bang = text.utf8.firstIndex(of: UInt8(ascii: "!")) {
                domain = text[..<bang]
                text = text[text.index(after: bang)...]
            } else if let separator = text.utf8.lastIndex(where: { $0 == UInt8(ascii: "%") || $0 == UInt8(ascii: "@") })
            {
                domain = text[text.index(after: separator)...]
                text = text[..<separator]
            } else {
                return false
            }
            // A word that is no domain leads nowhere.
            guard let name = MailDomain(domain) else { continue }
            if try tables.localDomain(name) != nil { continue }
            if try tables.relayTarget(name) == nil { return true }
        }
        return true
    }

    /// Texts of router.md §7.
    private func verify(_ question: PolicyQuestion, expanding: Bool) throws(PolicyTrouble) -> PolicyAnswer {
        let argument = Self.withoutBrackets(question.recipient)
        guard !argument.isEmpty, Mailbox(argument) != nil || Mailbox("\(argument)@localhost") != nil else {
            return refuse(
                question, 554, EnhancedStatusCode(5, 1, 7), "illegal address syntax: <\(argument)>", "syntax")
        }
        let found = try tables.destinations(argument, expanding: expanding)
        let failures = found.filter { $0.channel == "error" }
        if failures.count == found.count {
            let isUnknown = failures.allSatisfy { $0.host == "nosuchuser" }
            return isUnknown
                ? refuse(question, 550, EnhancedStatusCode(5, 1, 1), "no such user: <\(argument)>", "no such user")
                : refuse(
                    question, 550, EnhancedStatusCode(5, 0, 0), "Error \(failures.first?.host ?? "") <\(argument)>",
                    "unresolvable")
        }
        var lines = found.filter { $0.channel != "error" }.prefix(Self.maximumLines).map(Self.line)
        if found.count > Self.maximumLines { lines.append("… and \(found.count - Self.maximumLines) more") }
        let isLocal = found.contains { $0.channel == "local" }
        return PolicyAnswer(
            number: question.number, verdict: .accept,
            reply: Reply(250, isLocal ? EnhancedStatusCode(2, 1, 5) : EnhancedStatusCode(2, 0, 0), lines),
            reason: question.verb.rawValue)
    }

    private static func line(_ destination: Destination) -> String {
        guard destination.channel == "local" else {
            return "\(destination.channel) delivery to \(destination.host) for <\(destination.user)>"
        }
        // What a program or file is called is nobody's business.
        if destination.host.hasPrefix("pipe.") || destination.host.hasPrefix("file.") {
            return "local delivery for <\(destination.host.dropFirst(5))>"
        }
        return "<\(destination.user)>"
    }

    private static func withoutBrackets(_ text: String) -> String {
        guard let open = text.firstIndex(of: "<"), let close = text.lastIndex(of: ">"), open < close else {
            return text
        }
        return String(text[text.index(after: open)..<close])
    }
}
