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
            if !value.isEmpty { text += "\t\(key)=\(Octets.cleaned(value))" }
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
    public init?(line: some StringProtocol) { self.init(octets: Array(line.utf8)[...]) }

    /// The same from octets.
    public init?(octets: ArraySlice<UInt8>) {
        let fields = Octets.split(octets, at: 0x09)
        guard fields.count >= 2, let number = Octets.unsigned(fields[0]), let verb = Verb(octets: fields[1]) else {
            return nil
        }
        self.init(number: number, verb: verb, session: "", client: nil)
        for field in fields[2...] {
            guard let equals = Octets.index(of: UInt8(ascii: "="), in: field) else { return nil }
            let key = field[..<equals]
            let value = field[(equals + 1)...]
            if Octets.equal(key, "session") {
                session = Octets.text(value)
            } else if Octets.equal(key, "client") {
                guard let address = IPAddress(Octets.text(value)) else { return nil }
                client = address
            } else if Octets.equal(key, "helo") {
                helo = Octets.text(value)
            } else if Octets.equal(key, "from") {
                sender = Octets.text(value)
            } else if Octets.equal(key, "to") {
                recipient = Octets.text(value)
            } else if Octets.equal(key, "auth") {
                authenticatedUser = Octets.text(value)
            }
        }
    }
}

extension PolicyQuestion.Verb {
    init?(octets: ArraySlice<UInt8>) {
        guard octets.count <= 10 else { return nil }
        self.init(rawValue: Octets.text(octets))
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
        text += Octets.cleaned(reason)
        for line in reply?.lines ?? [] { text += "\t" + Octets.cleaned(line) }
        return text
    }

    public init?(line: some StringProtocol) { self.init(octets: Array(line.utf8)[...]) }

    /// The same from octets.
    public init?(octets: ArraySlice<UInt8>) {
        let fields = Octets.split(octets, at: 0x09)
        guard fields.count >= 5, let number = Octets.unsigned(fields[0]),
            let verdict = Verdict(rawValue: Octets.text(fields[1])), let code = Octets.decimal(fields[2]),
            code == 0 || (200...599).contains(code)
        else { return nil }
        let reply =
            code == 0 ? nil : Reply(code, EnhancedStatusCode(octets: fields[3]), fields[5...].map(Octets.text))
        self.init(number: number, verdict: verdict, reply: reply, reason: Octets.text(fields[4]))
    }
}
