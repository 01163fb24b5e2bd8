import MailModel

/// A question to the policy service, one line: `<number>\t<verb>[\tkey=value]…` (docs/protocols.md §2).
/// Questions are values: whoever evaluates them needs no memory of the session but the connection count.
public struct PolicyQuestion: Hashable, Sendable {
    public enum Verb: String, Hashable, Sendable, CaseIterable {
        /// A client has connected; counted until `disconnect` or the end of the asking connection.
        case connect
        case disconnect
        case helo
        case mail
        case rcpt
        case verify
        case expand
    }
    /// Chosen by the asker, repeated in the answer.
    public var number: UInt64
    public var verb: Verb
    /// The session's log id: ties `connect` and `disconnect`, and log lines, together.
    public var session: String
    public var client: IPAddress?
    /// The HELO or EHLO argument.
    public var helo: String
    /// The reverse-path without brackets, empty for `<>`.
    public var sender: String
    /// The forward-path without brackets; for `verify` and `expand` the argument.
    public var recipient: String
    /// The authenticated user, empty if there is none.
    public var authenticatedUser: String

    public init(
        number: UInt64, verb: Verb, session: String, client: IPAddress?, helo: String = "", sender: String = "",
        recipient: String = "", authenticatedUser: String = ""
    ) {
        self.number = number
        self.verb = verb
        self.session = session
        self.client = client
        self.helo = helo
        self.sender = sender
        self.recipient = recipient
        self.authenticatedUser = authenticatedUser
    }

    /// Without the newline. Empty values are left out; TAB and control characters in values become spaces.
    public var line: String {
        var text = "\(number)\t\(verb.rawValue)"
        func add(_ key: String, _ value: String) {
            if !value.isEmpty { text += "\t\(key)=\(PolicyText.clean(value))" }
        }
        add("session", session)
        add("client", client.map { "\($0)" } ?? "")
        add("helo", helo)
        add("from", sender)
        add("to", recipient)
        add("auth", authenticatedUser)
        return text
    }

    /// `nil` if the line is no question of this protocol; unknown keys are ignored.
    public init?(line: some StringProtocol) {
        var fields = line.split(separator: "\t", omittingEmptySubsequences: false).makeIterator()
        guard let number = fields.next().flatMap({ UInt64($0) }),
            let verb = fields.next().flatMap({ Verb(rawValue: String($0)) })
        else { return nil }
        self.init(number: number, verb: verb, session: "", client: nil)
        while let field = fields.next() {
            guard let equals = field.firstIndex(of: "=") else { return nil }
            let value = String(field[field.index(after: equals)...])
            switch field[..<equals] {
            case "session": session = value
            case "client":
                guard let address = IPAddress(value) else { return nil }
                client = address
            case "helo": helo = value
            case "from": sender = value
            case "to": recipient = value
            case "auth": authenticatedUser = value
            default: continue
            }
        }
    }
}

/// The answer: `<number>\t<verdict>\t<code>\t<status>\t<reason>[\t<line>]…`.
public struct PolicyAnswer: Hashable, Sendable {
    public enum Verdict: String, Hashable, Sendable {
        /// Go on; the reply is optional (code 0: the server's own text).
        case accept
        /// Accept, and complete the header: the client may submit (design §2.8).
        case submit
        case refuse
        /// Close the connection without a word.
        case drop
    }
    public var number: UInt64
    public var verdict: Verdict
    /// `nil`: the server's own text for this command.
    public var reply: Reply?
    /// Why, for the log: which table, key and line decided.
    public var reason: String

    public init(number: UInt64, verdict: Verdict, reply: Reply? = nil, reason: String) {
        self.number = number
        self.verdict = verdict
        self.reply = reply
        self.reason = reason
    }

    public var line: String {
        var text = "\(number)\t\(verdict.rawValue)\t\(reply?.code ?? 0)\t\(reply?.status?.description ?? "-")\t"
        text += PolicyText.clean(reason)
        for line in reply?.lines ?? [] { text += "\t" + PolicyText.clean(line) }
        return text
    }

    public init?(line: some StringProtocol) {
        let fields = line.split(separator: "\t", omittingEmptySubsequences: false)
        guard fields.count >= 5, let number = UInt64(fields[0]), let verdict = Verdict(rawValue: String(fields[1])),
            let code = Int(fields[2]), code == 0 || (200...599).contains(code)
        else { return nil }
        let lines: [String] = fields[5...].map { String($0) }
        let reply: Reply? = code == 0 ? nil : Reply(code, EnhancedStatusCode(fields[3]), lines)
        self.init(number: number, verdict: verdict, reply: reply, reason: String(fields[4]))
    }
}

/// Values of the policy protocol cannot hold its separators.
enum PolicyText {
    static func clean(_ text: String) -> String {
        if text.utf8.allSatisfy({ $0 >= 0x20 && $0 != 0x7f }) { return text }
        return String(decoding: text.utf8.map { $0 < 0x20 || $0 == 0x7f ? 0x20 : $0 }, as: UTF8.self)
    }
}
