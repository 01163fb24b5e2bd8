import MailModel

/// The verbs this module knows (RFC 5321 §4.1 and extensions).
public enum Verb: String, Hashable, Sendable, CaseIterable {
    case ehlo = "EHLO"
    case helo = "HELO"
    case lhlo = "LHLO"
    case mail = "MAIL"
    case rcpt = "RCPT"
    case data = "DATA"
    case bdat = "BDAT"
    case rset = "RSET"
    case noop = "NOOP"
    case help = "HELP"
    case vrfy = "VRFY"
    case expn = "EXPN"
    case quit = "QUIT"
    case starttls = "STARTTLS"
    case auth = "AUTH"
    case etrn = "ETRN"
    case turn = "TURN"
    case turnme = "TURNME"
    case verb = "VERB"
    case onex = "ONEX"
    case tick = "TICK"
    case send = "SEND"
    case soml = "SOML"
    case saml = "SAML"
    case xclient = "XCLIENT"
    case debug = "Z-DEBUG"
    case crash = "Z-CRASH"

    /// Octets; a longer word is an unknown command without a look at the table.
    static let maximumLength = 8

    private static let table: [UInt64: Verb] = {
        var table: [UInt64: Verb] = [:]
        for verb in allCases {
            let name = Array(verb.rawValue.utf8)
            table[key(name[...])] = verb
        }
        return table
    }()

    private static func key(_ word: ArraySlice<UInt8>) -> UInt64 {
        var key: UInt64 = 0
        for octet in word { key = key << 8 | UInt64((0x61...0x7a).contains(octet) ? octet & 0xdf : octet) }
        return key
    }

    /// Without regard to case.
    init?(_ word: ArraySlice<UInt8>) {
        guard word.count <= Self.maximumLength, let verb = Self.table[Self.key(word)] else { return nil }
        self = verb
    }
}

/// A command line, parsed (RFC 5321 §4.1).
public enum Command: Hashable, Sendable {
    /// The argument as it came, blanks around it removed; it may be empty.
    case ehlo(String)
    case helo(String)
    case lhlo(String)
    case mail(MailCommand)
    case rcpt(RecipientCommand)
    case data
    /// RFC 3030 §2.
    case bdat(octets: Int, isLast: Bool)
    case rset
    /// `RSET` followed by something, in strict mode: it is done, and complained about.
    case rsetWithJunk
    case noop
    case help(String)
    case vrfy(String)
    case expn(String)
    case quit
    case starttls
    /// The arguments; never logged.
    case auth(String)
    case etrn(String)
    case turn
    case verb
    case onex
    case tick(String)
    /// `SEND`, `SOML`, `SAML`: obsolete (RFC 5321 Appendix F.6).
    case send
    /// Attributes as they came (Postfix, XCLIENT_README).
    case xclient(String)
    /// `Z-DEBUG`
    case debug
    /// `Z-CRASH`, which debug builds have for tests.
    case crash
}

/// `BY=` (RFC 2852 §4).
public struct DeliverBy: Hashable, Sendable {
    public enum Mode: String, Hashable, Sendable {
        /// What is not delivered by then is returned.
        case `return` = "R"
        /// The sender is notified, and delivery goes on.
        case notify = "N"
    }
    /// From now; not above 0 only with `notify`.
    public var seconds: Int
    public var mode: Mode
    /// The sender wants to know of relaying.
    public var isTraced: Bool

    public init(seconds: Int, mode: Mode, isTraced: Bool = false) {
        self.seconds = seconds
        self.mode = mode
        self.isTraced = isTraced
    }
}

/// `HOLDFOR=` or `HOLDUNTIL=` (RFC 4865 §5).
public enum Hold: Hashable, Sendable {
    case seconds(Int)
    /// Seconds since 1970.
    case until(Int64)
}

/// `BODY=` (RFC 6152 §2). BINARYMIME is not offered.
public enum BodyType: String, Hashable, Sendable {
    case sevenBit = "7BIT"
    case eightBitMIME = "8BITMIME"
}

/// `RET=` (RFC 3461 §4.3).
public enum ReturnContent: String, Hashable, Sendable {
    case full = "FULL"
    case headers = "HDRS"
}

/// `NOTIFY=` (RFC 3461 §4.1).
public struct Notify: OptionSet, Hashable, Sendable, CustomStringConvertible {
    public let rawValue: UInt8
    public init(rawValue: UInt8) { self.rawValue = rawValue }

    public static let never = Notify(rawValue: 1)
    public static let success = Notify(rawValue: 2)
    public static let failure = Notify(rawValue: 4)
    public static let delay = Notify(rawValue: 8)

    /// `nil` unless `NEVER` alone, or a list of the others, each at most once; any case.
    public init?(_ text: some StringProtocol) {
        var value: Notify = []
        for word in text.split(separator: ",", omittingEmptySubsequences: false) {
            let keyword: Notify
            switch asciiLowercased(word) {
            case "never": keyword = .never
            case "success": keyword = .success
            case "failure": keyword = .failure
            case "delay": keyword = .delay
            default: return nil
            }
            guard value.isDisjoint(with: keyword) else { return nil }
            value.insert(keyword)
        }
        guard value == .never || !value.contains(.never) else { return nil }
        self = value
    }

    /// The value of the parameter.
    public var description: String {
        var words: [String] = []
        if contains(.never) { words.append("NEVER") }
        if contains(.success) { words.append("SUCCESS") }
        if contains(.failure) { words.append("FAILURE") }
        if contains(.delay) { words.append("DELAY") }
        return words.joined(separator: ",")
    }
}

/// `MAIL FROM:<…>` and its parameters.
public struct MailCommand: Hashable, Sendable {
    public var reversePath: ReversePath
    /// `@a,@b` of `<@a,@b:c@d>`.
    public var sourceRoute: String?
    /// Octets the client announces (RFC 1870 §6).
    public var size: Int?
    public var body: BodyType?
    public var ret: ReturnContent?
    /// xtext as it came (RFC 3461 §4.4), at most 100 characters.
    public var envelopeID: String?
    /// xtext as it came (RFC 4954 §5).
    public var auth: String?
    /// RFC 6531 §3.4.
    public var isSMTPUTF8 = false
    public var deliverBy: DeliverBy?
    public var hold: Hold?
    /// −9 to 9 (RFC 6710 §4).
    public var priority: Int?
    /// RFC 8689 §2.
    public var requiresTLS = false

    public init(reversePath: ReversePath) { self.reversePath = reversePath }
}

/// `RCPT TO:<…>` and its parameters.
public struct RecipientCommand: Hashable, Sendable {
    public var forwardPath: ForwardPath
    public var sourceRoute: String?
    public var notify: Notify?
    /// `type;xtext` as it came (RFC 3461 §4.2), at most 500 characters.
    public var originalRecipient: String?

    public init(forwardPath: ForwardPath) { self.forwardPath = forwardPath }
}
