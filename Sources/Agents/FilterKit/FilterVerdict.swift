import MailModel

/// What becomes of a message.
public enum FilterVerdict: Hashable, Sendable {
    /// It goes its way. `nil`: in smtpserver's own words.
    case accept(Reply? = nil)
    /// The client gets the reply (`nil`: smtpserver's own), and the message is gone. A code below 400 says to the client that it
    /// was taken, and throws it away.
    case refuse(Reply? = nil)
    /// It waits for the operator in `$POSTOFFICE/freezer`; `code` (1 or above) is part of its name there. The reply is the client's.
    case freeze(code: Int = 1, Reply? = nil)

    /// Refused with 550 5.7.1 and this text.
    public static func refuse(because text: String) -> FilterVerdict {
        .refuse(Reply(550, EnhancedStatusCode(5, 7, 1), text))
    }

    /// Lines of a reply that smtpserver passes on.
    public static let maximumLines = 17

    /// The RESULT of the interface: a number and, behind a blank, code, enhanced code and text, whose lines are separated by CR.
    func line() throws(FilterAnswerError) -> String {
        let number: Int
        let reply: Reply?
        switch self {
        case .accept(let text): (number, reply) = (0, text)
        case .refuse(let text): (number, reply) = (-1, text)
        case .freeze(let code, let text):
            guard code > 0 else { throw .freezeCode(code) }
            (number, reply) = (code, text)
        }
        guard let reply else { return "\(number)" }
        guard (200...599).contains(reply.code) else { throw .replyCode(reply.code) }
        guard reply.lines.count <= Self.maximumLines else { throw .replyLines(reply.lines.count) }
        let status = reply.status.map { " \($0)" } ?? ""
        let text = reply.lines.map { Octets.cleaned($0) }.joined(separator: "\r")
        return "\(number) \(reply.code)\(status)\(text.isEmpty ? "" : " ")\(text)"
    }
}

/// An answer that the interface has no words for.
public enum FilterAnswerError: Error, Hashable, Sendable, CustomStringConvertible {
    case freezeCode(Int)
    case replyCode(Int)
    case replyLines(Int)
    case fieldName(String)
    case fieldNumber(Int)
    case headerLine(Int)
    case recipient(String)
    case tag(String)
    case lineLength(Int)
    case tooManyEdits(Int)

    public var description: String {
        switch self {
        case .freezeCode(let code): "freeze with code \(code): valid is 1 and above"
        case .replyCode(let code): "reply code \(code): valid are 200 to 599"
        case .replyLines(let count): "a reply of \(count) lines: valid are 1 to \(FilterVerdict.maximumLines)"
        case .fieldName(let name): "header field name '\(name)': valid are 1 to 76 of printable ASCII but the colon"
        case .headerLine(let length):
            "a header line of \(length) octets: valid are \(FilterEdit.maximumHeaderLine); a line end in the text folds it"
        case .fieldNumber(let number): "header field number \(number): valid is 1 and above"
        case .recipient(let address): "recipient '\(address)': valid is local@domain"
        case .tag(let word): "tag '\(word)': valid are 1 to 64 of A-Z a-z 0-9 . _ = + -"
        case .lineLength(let length): "a line of \(length) octets: valid are \(FilterAnswer.maximumLine)"
        case .tooManyEdits(let count): "\(count) edits: valid are \(FilterAnswer.maximumEdits)"
        }
    }
}
