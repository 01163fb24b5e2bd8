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
        /// A message was stored for `count` recipients: what rates count. Its answer is of no interest.
        case stored
        /// A client wants to log in, as ``authenticatedUser`` if that is known yet: may it try?
        case auth
        /// A login has failed, as ``authenticatedUser`` if that was known: what `auth` counts. Its answer is of no interest.
        case authFailed = "authfail"
        case verify
        case expand
    }
    /// Chosen by the asker, repeated in the answer. 0: told and not asked, there is no answer; a `connect` is then only counted.
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
    /// The authenticated user, empty if there is none; of `auth` and `authfail` the one that is tried.
    public var authenticatedUser: String
    /// How ``authenticatedUser`` was made sure of.
    public enum Identity: String, Hashable, Sendable {
        /// By a login.
        case login = ""
        /// The account of a program on this host, as the system says: it may use the addresses of its name.
        case account = "user"
        /// The same, of an account that may submit in any sender's name.
        case trustedAccount = "trusted"
    }
    public var identity: Identity
    /// Somebody is logged in from the client's address, as a whoson server says: to be told with each question of the session.
    public var hasWhosonLogin: Bool
    /// What the last answer about this session said (``PolicyAnswer/state``), as it was; empty before the first. Answers of
    /// `connect` and `helo` hold for the session, those of `mail` and `rcpt` until the transaction ends.
    public var state: String
    /// Recipients of a stored message.
    public var count: Int
    /// Whether the answer shall tell each step (``PolicyAnswer/steps``).
    public var wantsSteps: Bool

    public init(
        number: UInt64, verb: Verb, session: String, client: IPAddress?, helo: String = "", sender: String = "",
        recipient: String = "", authenticatedUser: String = "", identity: Identity = .login,
        hasWhosonLogin: Bool = false, state: String = "",
        count: Int = 0, wantsSteps: Bool = false
    ) {
        self.number = number
        self.verb = verb
        self.session = session
        self.client = client
        self.helo = helo
        self.sender = sender
        self.recipient = recipient
        self.authenticatedUser = authenticatedUser
        self.identity = identity
        self.hasWhosonLogin = hasWhosonLogin
        self.state = state
        self.count = count
        self.wantsSteps = wantsSteps
    }

    /// Without the newline. Empty values are left out; TAB and control characters in values become spaces.
    public var line: String {
        var octets: [UInt8] = []
        encode(into: &octets)
        return String(decoding: octets, as: UTF8.self)
    }

    /// Appends the line, without its end.
    public func encode(into octets: inout [UInt8]) {
        func add(_ key: StaticString, _ value: String) {
            guard !value.isEmpty else { return }
            octets.append(0x09)
            octets.append(contentsOf: UnsafeBufferPointer(start: key.utf8Start, count: key.utf8CodeUnitCount))
            octets.append(UInt8(ascii: "="))
            Octets.append(cleaned: value, to: &octets)
        }
        Octets.append(number, to: &octets)
        octets.append(0x09)
        octets.append(contentsOf: verb.rawValue.utf8)
        add("session", session)
        if let client { add("client", client.description) }
        add("helo", helo)
        add("from", sender)
        add("to", recipient)
        add("auth", authenticatedUser)
        add("local", identity.rawValue)
        if hasWhosonLogin { add("whoson", "+") }
        add("state", state)
        if count != 0 { add("count", String(count)) }
        if wantsSteps { add("steps", "+") }
    }

    /// `nil` if the line is no question of this protocol; unknown keys are ignored.
    public init?(line: some StringProtocol) { self.init(octets: Array(line.utf8)[...]) }

    /// The same from octets.
    public init?(octets: ArraySlice<UInt8>) {
        var fields = Octets.Fields(octets, separator: 0x09)
        guard let first = fields.next(), let number = Octets.unsigned(first), let second = fields.next(),
            let verb = Verb(octets: second)
        else { return nil }
        self.init(number: number, verb: verb, session: "", client: nil)
        while let field = fields.next() {
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
            } else if Octets.equal(key, "local") {
                guard let known = Identity(rawValue: Octets.text(value)) else { return nil }
                identity = known
            } else if Octets.equal(key, "whoson") {
                hasWhosonLogin = Octets.equal(value, "+")
            } else if Octets.equal(key, "state") {
                state = Octets.text(value)
            } else if Octets.equal(key, "count") {
                guard let number = Octets.decimal(value) else { return nil }
                count = number
            } else if Octets.equal(key, "steps") {
                wantsSteps = true
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
