import MailModel

/// VRFY and EXPN; texts of router.md §7.
extension PolicyInquiry {
    /// Lines of an answer.
    private static let maximumLines = 100

    func verify(expanding: Bool) throws(PolicySuspension) -> PolicyAnswer {
        let argument = Self.withoutBrackets(question.recipient)
        guard !argument.isEmpty, Mailbox(argument) != nil || Mailbox("\(argument)@localhost") != nil else {
            return refuse(
                Reply(554, EnhancedStatusCode(5, 1, 7), "illegal address syntax: <\(argument)>"), "syntax")
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
        var lines = found.filter { $0.channel != "error" }.prefix(Self.maximumLines).map(Self.line)
        if found.count > Self.maximumLines { lines.append("... and \(found.count - Self.maximumLines) more") }
        let isLocal = found.contains { $0.channel == "local" }
        return accept(
            question.verb.rawValue,
            reply: Reply(250, isLocal ? EnhancedStatusCode(2, 1, 5) : EnhancedStatusCode(2, 0, 0), lines))
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
