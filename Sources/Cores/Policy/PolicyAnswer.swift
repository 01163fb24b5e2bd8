import MailModel

/// The answer: `<number>\t<verdict>\t<code>\t<status>\t<reason>[\t<key>=<value>]…[\t:<line>]…` (docs/protocols.md §2).
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
    /// Whether the client may submit without a login (MSA-mode, smtpserver.md §10).
    public enum Trust: String, Hashable, Sendable {
        case none = "-"
        /// It may be, by its name, but the DNS did not tell: what it lacks is refused for the time being only.
        case unknown = "?"
        /// It is of a network, or has a name, with `fulltrustnet +` or `relaycustnet +`.
        case granted = "+"
    }
    public var number: UInt64
    public var verdict: Verdict
    /// `nil`: the server's own text for this command.
    public var reply: Reply?
    /// Why, for the log: which table, key and line decided.
    public var reason: String
    /// To be given back with the next question about this session; opaque to the asker, printable, at most 2000 octets.
    public var state = ""
    /// The confirmed reverse name of the client, `connect` only.
    public var clientName = ""
    /// `connect`: what the reverse lookup found, `A-B`, each `OK`, `FAIL` or `??` (not looked up, or DNS trouble): the address has a
    /// name; that name has the address (rhost-flags of smtpserver.md §9).
    public var reverseFlags = ""
    /// Of answers to `connect` and `helo`.
    public var trust = Trust.none
    /// Octets that a message of this client may have; 0: no limit of its own.
    public var maximumSize = 0
    /// Not 0: what is accepted goes to the freezer with this code.
    public var freezeCode = 0
    /// Whether content filters run for the message, as far as is known (policy.md §8, DATA).
    public var runsFilter = true
    /// Verbs that need not be asked about this session any more, because the answer is known: accept. Of `mail` it holds until
    /// the client logs in.
    public var needless: Set<PolicyQuestion.Verb> = []
    /// A `comment` line for the message's envelope.
    public var comment = ""
    /// A header field for the top of the message, without its line end: `Received-SPF: …`.
    public var headerField = ""
    /// What was looked at, in order, if the question asked for it.
    public var steps: [PolicyStep] = []

    public init(number: UInt64, verdict: Verdict, reply: Reply? = nil, reason: String) {
        self.number = number
        self.verdict = verdict
        self.reply = reply
        self.reason = reason
    }

    public var line: String {
        var octets: [UInt8] = []
        encode(into: &octets)
        return String(decoding: octets, as: UTF8.self)
    }

    /// Appends the line, without its end.
    public func encode(into octets: inout [UInt8]) {
        func add(_ text: String) { octets.append(contentsOf: text.utf8) }
        func add(_ key: StaticString, _ value: String) {
            guard !value.isEmpty else { return }
            octets.append(0x09)
            octets.append(contentsOf: UnsafeBufferPointer(start: key.utf8Start, count: key.utf8CodeUnitCount))
            octets.append(UInt8(ascii: "="))
            Octets.append(cleaned: value, to: &octets)
        }
        Octets.append(number, to: &octets)
        octets.append(0x09)
        add(verdict.rawValue)
        octets.append(0x09)
        Octets.append(UInt64(reply?.code ?? 0), to: &octets)
        octets.append(0x09)
        add(reply?.status?.description ?? "-")
        octets.append(0x09)
        Octets.append(cleaned: reason, to: &octets)
        add("state", state)
        add("name", clientName)
        add("reverse", reverseFlags)
        if trust != .none { add("trusted", trust.rawValue) }
        if maximumSize != 0 { add("size", "\(maximumSize)") }
        if freezeCode != 0 { add("freeze", "\(freezeCode)") }
        if !runsFilter { add("filter", "-") }
        if !needless.isEmpty { add("needless", needless.map(\.rawValue).sorted().joined(separator: ",")) }
        add("comment", comment)
        add("header", headerField)
        for step in steps { add("step", step.encoded) }
        for line in reply?.lines ?? [] {
            octets.append(0x09)
            octets.append(UInt8(ascii: ":"))
            Octets.append(cleaned: line, to: &octets)
        }
    }

    public init?(line: some StringProtocol) { self.init(octets: Array(line.utf8)[...]) }

    /// The same from octets; unknown keys are ignored.
    public init?(octets: ArraySlice<UInt8>) {
        var fields = Octets.Fields(octets, separator: 0x09)
        guard let first = fields.next(), let number = Octets.unsigned(first), let second = fields.next(),
            let verdict = Verdict(octets: second), let third = fields.next(), let code = Octets.decimal(third),
            code == 0 || (200...599).contains(code), let status = fields.next(), let reason = fields.next()
        else { return nil }
        self.init(number: number, verdict: verdict, reason: Octets.text(reason))
        var lines: [String] = []
        while let field = fields.next() {
            if field.first == UInt8(ascii: ":") {
                lines.append(Octets.text(field.dropFirst()))
                continue
            }
            guard let equals = Octets.index(of: UInt8(ascii: "="), in: field) else { return nil }
            guard take(field[..<equals], field[(equals + 1)...]) else { return nil }
        }
        if code != 0 { reply = Reply(code, EnhancedStatusCode(octets: status), lines) }
    }

    /// `false`: the value makes no sense.
    private mutating func take(_ key: ArraySlice<UInt8>, _ value: ArraySlice<UInt8>) -> Bool {
        func isKey(_ name: StaticString) -> Bool { Octets.equal(key, name) }
        if isKey("state") {
            state = Octets.text(value)
        } else if isKey("comment") {
            comment = Octets.text(value)
        } else if isKey("name") {
            clientName = Octets.text(value)
        } else if isKey("reverse") {
            reverseFlags = Octets.text(value)
        } else if isKey("trusted") {
            guard let trust = Trust(rawValue: Octets.text(value)) else { return false }
            self.trust = trust
        } else if isKey("size") {
            guard let number = Octets.decimal(value) else { return false }
            maximumSize = number
        } else if isKey("freeze") {
            guard let number = Octets.decimal(value) else { return false }
            freezeCode = number
        } else if isKey("filter") {
            runsFilter = false
        } else if isKey("needless") {
            for word in Octets.split(value, at: UInt8(ascii: ",")) {
                if let verb = PolicyQuestion.Verb(octets: word) { needless.insert(verb) }
            }
        } else if isKey("header") {
            headerField = Octets.text(value)
        } else if isKey("step") {
            guard let step = PolicyStep(encoded: Octets.text(value)) else { return false }
            steps.append(step)
        }
        // Others are from a newer service.
        return true
    }
}

extension PolicyAnswer.Verdict {
    fileprivate init?(octets: ArraySlice<UInt8>) {
        if Octets.equal(octets, "accept") {
            self = .accept
        } else if Octets.equal(octets, "refuse") {
            self = .refuse
        } else if Octets.equal(octets, "submit") {
            self = .submit
        } else if Octets.equal(octets, "drop") {
            self = .drop
        } else {
            return nil
        }
    }
}
