import MailModel

/// VRFY and EXPN; texts of router.md §7.
extension PolicyInquiry {
    /// Lines of an answer.
    private static let maximumLines = 100

    func verify(expanding: Bool) throws(PolicySuspension) -> PolicyAnswer {
        let argument = Self.withoutBrackets(question.recipient)
        guard !argument.isEmpty, Mailbox(argument) != nil || Mailbox("\(argument)@localhost") != nil else {
            return refuse(
                Reply(501, EnhancedStatusCode(5, 1, 3), "illegal address syntax: <\(argument)>"), "syntax")
        }
        let found = try table { () throws(PolicyTrouble) in
            try tables.destinations(argument, expanding: expanding)
        }
        let failures = found.filter { $0.channel == "error" }
        if failures.count == found.count {
            let isUnknown = failures.allSatisfy { $0.host == "nosuchuser" }
            return isUnknown
                ? refuse(Reply(550, EnhancedStatusCode(5, 1, 1), "no such user: <\(argument)>"), "no such user")
                : refuse(
                    Reply(550, EnhancedStatusCode(5, 0, 0), "Error \(failures.first?.host ?? "") <\(argument)>"),
                    "unresolvable")
        }
        var lines = found.filter { $0.channel != "error" }.prefix(Self.maximumLines).map(line)
        if found.count > Self.maximumLines { lines.append("... and \(found.count - Self.maximumLines) more") }
        let isLocal = found.contains { $0.channel == "local" }
        // RFC 5321 §3.5.3: 250 only for what was verified; who is elsewhere was not. An expansion is what it is.
        let code = isLocal || expanding ? 250 : 252
        let status =
            isLocal
            ? EnhancedStatusCode(2, 1, 5) : expanding ? EnhancedStatusCode(2, 0, 0) : EnhancedStatusCode(2, 5, 2)
        return accept(question.verb.rawValue, reply: Reply(code, status, lines))
    }

    private func line(_ destination: Destination) -> String {
        guard destination.channel == "local" else {
            return "\(destination.channel) delivery to \(destination.host) for <\(destination.user)>"
        }
        // What a program or file is called is nobody's business.
        if destination.host.hasPrefix("pipe.") || destination.host.hasPrefix("file.") {
            return "local delivery for <\(destination.host.dropFirst(5))>"
        }
        // RFC 5321 §3.5.2: mailboxes are told with their domain.
        return destination.user.utf8.contains(UInt8(ascii: "@")) || settings.hostName.isEmpty
            ? "<\(destination.user)>" : "<\(destination.user)@\(localDomain)>"
    }

    /// Of the question, where it has one: our users have it too.
    private var localDomain: String {
        let argument = Self.withoutBrackets(question.recipient)
        guard let at = argument.utf8.lastIndex(of: UInt8(ascii: "@")) else { return settings.hostName }
        return String(argument[argument.index(after: at)...])
    }

    private static func withoutBrackets(_ text: String) -> String {
        guard let open = text.firstIndex(of: "<"), let close = text.lastIndex(of: ">"), open < close else {
            return text
        }
        return String(text[text.index(after: open)..<close])
    }
}
