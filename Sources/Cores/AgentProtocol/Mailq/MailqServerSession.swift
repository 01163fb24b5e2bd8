import MailModel
import SpoolFormat

/// The scheduler's side of one mailq connection, version 2 (scheduler.md §5), with no I/O: octets in, one action at a time out.
///
///     var session = MailqServerSession(challenge: challenge)
///     send(session.greeting)
///     session.append(octets)
///     while let action = session.next() { … }
public struct MailqServerSession: Sendable {
    public enum Report: Hashable, Sendable {
        case snmp
        case queue
        case threads
        /// `THREADS2`: with TABs, as ZMailer's mailq reads it.
        case threadFields
        case thread(channel: String, host: String)
        case counters
    }

    /// What the right `KILL` allows.
    public enum Deed: String, Hashable, Sendable {
        case kill = "KILL"
        case reroute = "REROUTE"
    }

    /// What a ``Deed`` is done to.
    public enum Target: Hashable, Sendable {
        /// By our name of it, or by ZMailer's spool id.
        case message(SpoolID)
        case thread(channel: String, host: String)
    }

    public enum Outcome: Hashable, Sendable {
        /// There is nothing that it could be done to.
        case nothing
        /// And is on the disk.
        case done
        /// It could not be done, or a restart may undo it.
        case problem(String)
    }

    public enum Action: Hashable, Sendable {
        case send(String)
        /// Compare `response` with the ``MailqDigest`` of ``material(password:)``, then call ``authenticated(rights:)`` or ``refused()``.
        case authenticate(user: [UInt8], response: [UInt8])
        /// Send ``listHead``, the report through ``stuffed(_:)``, ``listEnd``.
        case list(Report)
        /// Start it, then send what ``started(_:)`` says. `remark`: for whom, as the asker says.
        case etrn(ETRNTarget, remark: String)
        /// Take it out of the queue, or have it routed again, then send what ``answer(_:_:)`` says.
        case act(Deed, Target)
        /// Send it, read nothing more, close.
        case close(String)
    }

    private enum State: Hashable {
        case awaitingAuthentication(failures: Int)
        case authenticated(MailqRights)
        case closed
    }

    /// Octets of a command, without its end.
    public static let maximumLine = 1024
    /// Passwords tried on a connection.
    public static let maximumFailures = 3

    public static let banner = "version zmailer 2.0\n"
    /// For an address from which nobody may log in.
    public static let noAccess = "\(banner)550 NO ACCESS FOR YOU\n"
    public static let listHead = "+OK until LF.LF\n"
    public static let listEnd = ".\n"

    private let challenge: String
    private var state = State.awaitingAuthentication(failures: 0)
    private var input: [UInt8] = []
    /// Octets of `input` that were looked at and hold no LF.
    private var searched = 0

    /// `nonce`: one line without blanks that nobody can foresee.
    public init(nonce: String) {
        challenge = "220 MAILQ-V2-CHALLENGE: \(Octets.cleaned(nonce))"
    }

    public var greeting: String { "\(Self.banner)\(challenge)\n" }

    /// What is digested: the challenge line and the password.
    public func material(password: [UInt8]) -> [UInt8] { Array(challenge.utf8) + password }

    public var isAuthenticated: Bool {
        switch state {
        case .authenticated: true
        case .awaitingAuthentication, .closed: false
        }
    }

    /// At most a line's worth is kept: ask for actions before appending more.
    public mutating func append(_ octets: some Collection<UInt8>) { input.append(contentsOf: octets) }

    /// What the next complete command wants; `nil`: read more.
    public mutating func next() -> Action? {
        guard state != .closed else { return nil }
        guard let end = input[searched...].firstIndex(of: 0x0a) else {
            searched = input.count
            return input.count > Self.maximumLine ? close("-BAD; LINE TOO LONG\n") : nil
        }
        var line = Array(input[..<end])
        if line.last == 0x0d { line.removeLast() }
        input.removeFirst(end + 1)
        searched = 0
        guard line.count <= Self.maximumLine else { return close("-BAD; LINE TOO LONG\n") }
        return interpret(line[...])
    }

    public mutating func authenticated(rights: MailqRights) -> Action {
        state = .authenticated(rights)
        return .send("+OK\n")
    }

    /// The same words whatever was wrong: whether there is such a user is nobody's business. (Deviates: ZMailer tells.)
    public mutating func refused() -> Action {
        guard case .awaitingAuthentication(let failures) = state else { return close("") }
        let text = "-BAD USER OR AUTHENTICATOR OR CONTACT ADDRESS\n"
        guard failures + 1 < Self.maximumFailures else { return close(text) }
        state = .awaitingAuthentication(failures: failures + 1)
        return .send(text)
    }

    public static func started(_ didStart: Bool) -> String {
        didStart ? "+OK; an ETRN started something.\n" : "+OK; an ETRN didn't start anything.\n"
    }

    public static func answer(_ deed: Deed, _ outcome: Outcome) -> String {
        switch (outcome, deed) {
        case (.nothing, _): "+OK; didn't \(deed.rawValue) anything.\n"
        case (.done, .kill): "+OK; KILLed something.\n"
        case (.done, .reroute): "+OK; REROUTEd something.\n"
        case (.problem(let reason), _): "-\(deed.rawValue): \(Octets.cleaned(reason))\n"
        }
    }

    /// Whole lines with a dot in front of those that begin with one.
    public static func stuffed(_ lines: String) -> String {
        var out: [UInt8] = []
        out.reserveCapacity(lines.utf8.count + 8)
        var isStart = true
        for octet in lines.utf8 {
            if isStart, octet == UInt8(ascii: ".") { out.append(octet) }
            out.append(octet)
            isStart = octet == 0x0a
        }
        return String(decoding: out, as: UTF8.self)
    }

    private mutating func close(_ text: String) -> Action {
        state = .closed
        input = []
        searched = 0
        return .close(text)
    }

    private mutating func interpret(_ line: ArraySlice<UInt8>) -> Action {
        let words = Octets.words(line)
        let verb = words.first.map(Octets.text) ?? ""
        // In any case, as ZMailer takes these two alone.
        switch String(decoding: verb.utf8.map { $0 & 0xdf }, as: UTF8.self) {
        case "QUIT", "EXIT": return close("+Bye bye\n")
        default: break
        }
        switch state {
        case .closed: return close("")
        case .awaitingAuthentication:
            guard verb == "AUTH", words.count == 3 else { return .send("-BAD; USER MUST AUTHENTICATE\n") }
            return .authenticate(user: Array(words[1]), response: Array(words[2]))
        case .authenticated(let rights):
            let rest = words.dropFirst().map(Octets.text)
            return command(verb, rest, rights) ?? .send(Self.unknown(verb, line))
        }
    }

    private func command(_ verb: String, _ rest: [String], _ rights: MailqRights) -> Action? {
        switch verb {
        case "SHOW":
            guard let (report, needed) = Self.report(rest), rights.isSuperset(of: needed) else { return nil }
            return .list(report)
        case "ETRN":
            guard rights.contains(.etrn) else { return .send("-No ETRN allowed for you.\n") }
            guard let word = rest.first, let target = ETRNTarget(word) else {
                return .send("-BAD; ETRN needs a host, @domain or #channel\n")
            }
            return .etrn(target, remark: rest.count > 1 ? rest[1] : "")
        case "KILL", "REROUTE":
            guard let deed = Deed(rawValue: verb) else { return nil }
            guard rights.contains(.kill) else { return .send("-No \(verb) allowed for you.\n") }
            guard let target = Self.target(rest) else {
                return .send("-BAD; \(verb) needs MSG spoolid or THREAD channel host\n")
            }
            return .act(deed, target)
        default: return nil
        }
    }

    private static func target(_ words: [String]) -> Target? {
        switch (words.first, words.count) {
        case ("MSG", 2): (SpoolID(words[1]) ?? SpoolID(zmailerName: words[1])).map { .message($0) }
        case ("THREAD", 3): .thread(channel: words[1], host: words[2])
        default: nil
        }
    }

    /// The report that the words behind `SHOW` name, and the right that it needs; `nil`: there is none.
    public static func report(_ words: [String]) -> (Report, needs: MailqRights)? {
        switch (words.first, words.count) {
        case ("SNMP", 1): (.snmp, .snmp)
        case ("COUNTERS", 1): (.counters, [])
        case ("QUEUE", 2):
            switch words[1] {
            case "SHORT": (.queue, .queue)
            case "THREADS": (.threads, .threads)
            case "THREADS2": (.threadFields, .threads)
            default: nil
            }
        case ("THREAD", 3): (.thread(channel: words[1], host: words[2]), .threads)
        default: nil
        }
    }

    private static func unknown(_ verb: String, _ line: ArraySlice<UInt8>) -> String {
        var rest = line.drop(while: isBlank)
        rest = rest.drop { !isBlank($0) }
        rest = rest.drop(while: isBlank)
        return "-MAILQ2 Unknown command, or refused by access control; VERB='\(Octets.cleaned(verb))' "
            + "REST='\(Octets.cleaned(Octets.text(rest)))'\n"
    }

    private static func isBlank(_ octet: UInt8) -> Bool { octet == 0x20 || octet == 0x09 }
}
