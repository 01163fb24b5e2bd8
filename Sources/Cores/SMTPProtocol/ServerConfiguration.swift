import MailModel

/// Extensions that EHLO offers (RFC 5321 §2.2).
public struct Extensions: OptionSet, Hashable, Sendable {
    public let rawValue: UInt16
    public init(rawValue: UInt16) { self.rawValue = rawValue }

    /// EHLO itself (`NoEHLO` removes it).
    public static let ehlo = Extensions(rawValue: 1 << 0)
    /// RFC 2920.
    public static let pipelining = Extensions(rawValue: 1 << 1)
    /// RFC 6152. Only the advertisement: `BODY=8BITMIME` is always understood (smtpserver(8), No8BITMIME).
    public static let eightBitMIME = Extensions(rawValue: 1 << 2)
    /// RFC 3030, without BINARYMIME.
    public static let chunking = Extensions(rawValue: 1 << 3)
    /// RFC 3461.
    public static let dsn = Extensions(rawValue: 1 << 4)
    /// RFC 2034.
    public static let enhancedStatusCodes = Extensions(rawValue: 1 << 5)
    /// RFC 6531.
    public static let smtputf8 = Extensions(rawValue: 1 << 6)

    /// RFC 3207.
    public static let starttls = Extensions(rawValue: 1 << 7)
    /// RFC 1985.
    public static let etrn = Extensions(rawValue: 1 << 8)
    /// RFC 2852.
    public static let deliverBy = Extensions(rawValue: 1 << 9)
    /// RFC 4865.
    public static let futureRelease = Extensions(rawValue: 1 << 10)
    /// RFC 6710.
    public static let priority = Extensions(rawValue: 1 << 11)
    /// RFC 8689. Only offered, and its parameter only known, in sessions with TLS.
    public static let requireTLS = Extensions(rawValue: 1 << 12)

    /// What needs nothing beside the session.
    public static let all: Extensions = [
        .ehlo, .pipelining, .eightBitMIME, .chunking, .dsn, .enhancedStatusCodes, .smtputf8,
    ]
}

/// What all sessions of a listener share; a session holds one reference to it.
public final class ServerConfiguration: Sendable {
    /// The values, with their defaults.
    public struct Values: Sendable {
        /// Our own name: in greetings, replies, and addresses without a domain.
        public var hostName: String
        public var extensions: Extensions = .all
        /// LHLO, and a reply for each recipient at the end of a message (RFC 2033).
        public var isLMTP = false
        /// Octets of content; 0 = no limit but ``ServerSession/sizeCeiling``.
        public var maximumMessageSize = 0
        /// Accepted recipients of a transaction (RcptLimitCount); RFC 5321 §4.5.3.1.8 asks for at least 100.
        public var maximumRecipients = 100
        /// Recipients of a message from `<>` (max-error-recipients).
        public var maximumErrorRecipients = 3
        /// The session ends at this many unknown or illegal command lines (max-unknown-commands).
        public var maximumUnknownCommands = 10
        /// Octets of a command line, CRLF included.
        public var maximumLineLength = CommandDecoder.defaultMaximumLineLength
        /// Recipient questions that may be out at the same time, so that a host can ask them together.
        public var maximumOpenQuestions = 1
        public var style: Style = .default
        /// `-h`: a HELO argument must be a domain or an address literal.
        public var checksHelloSyntax = false
        /// Not `-g`: the answer to HELO tells a peer the name that its address has.
        public var isSkeptical = true
        /// Whether a transaction needs HELO first.
        public var requiresHello = true
        public var enablesVRFY = false
        public var enablesEXPN = false
        /// SASL mechanisms, in upper case, in the order of the offer; AUTH is not offered if there is none.
        public var mechanisms: [String] = []
        /// Of these, those that send a password in clear text may be used without TLS too.
        public var allowsClearTextAuthentication = false
        /// `tls-enforce-tls`: STARTTLS must come before a transaction.
        public var requiresTLS = false
        /// MSA-mode: clients that are not trusted must authenticate before a transaction.
        public var requiresAuthentication = false
        /// Seconds; the least that BY may ask for in mode R (RFC 2852 §4). 0: any.
        public var minimumDeliverBy = 0
        /// Seconds that a message may be held (RFC 4865 §4).
        public var maximumHold = 0
        /// DEBUGcmd: Z-DEBUG is known.
        public var enablesDebug = false
        /// `allowsourceroute`: the reply does not claim that the route was dropped.
        public var keepsSourceRoute = false
        /// `force-rcpt-notify-never`.
        public var forcesNotifyNever = false
        public var bareLineEnds: BareLineEnds = .refuse
        /// `no-multiline-replies`.
        public var writesSingleLines = false
        /// `help` lines of smtpserver.conf.
        public var help: [String] = []
        /// In the first lines of HELP.
        public var version = ""
        /// `contact-pointer-message`.
        public var contactPointer = "Ask HELP for our contact information."

        public init(hostName: String) { self.hostName = hostName }
    }

    public let values: Values
    let encoder: ReplyEncoder
    /// The lines of an EHLO reply behind `SIZE`, encoded; by ``Variant``.
    private let keywords: [[UInt8]]

    /// What the keywords depend on.
    private struct Variant: OptionSet {
        let rawValue: Int
        static let secure = Variant(rawValue: 1)
        static let authenticated = Variant(rawValue: 2)
        static let changesClient = Variant(rawValue: 4)
        static let count = 8
    }

    public init(_ values: Values) {
        self.values = values
        encoder = ReplyEncoder(
            writesEnhancedStatus: values.extensions.contains(.enhancedStatusCodes),
            writesSingleLines: values.writesSingleLines)
        keywords = (0..<Variant.count).map { Self.keywords(values, Variant(rawValue: $0)) }
    }

    /// Mechanisms that a client may use now.
    func mechanisms(isSecure: Bool) -> [String] { Self.mechanisms(values, isSecure: isSecure) }

    private static func mechanisms(_ values: Values, isSecure: Bool) -> [String] {
        values.mechanisms.filter { name in
            if isSecure { return true }
            // There is no channel to bind to; the others send the password as it is.
            return name.hasPrefix("SCRAM-") ? !name.hasSuffix("-PLUS") : values.allowsClearTextAuthentication
        }
    }

    /// In the order of smtpserver.md §7.3.
    private static func keywords(_ values: Values, _ variant: Variant) -> [UInt8] {
        let extensions = values.extensions
        let isSecure = variant.contains(.secure)
        var keywords: [String] = []
        if extensions.contains(.eightBitMIME) { keywords.append("8BITMIME") }
        if extensions.contains(.pipelining) { keywords.append("PIPELINING") }
        if extensions.contains(.chunking) { keywords.append("CHUNKING") }
        if extensions.contains(.enhancedStatusCodes) { keywords.append("ENHANCEDSTATUSCODES") }
        if values.enablesEXPN, values.style.contains(.expands) { keywords.append("EXPN") }
        if values.enablesVRFY, values.style.contains(.verifies) { keywords.append("VRFY") }
        if extensions.contains(.dsn) { keywords.append("DSN") }
        if extensions.contains(.deliverBy) {
            keywords.append(values.minimumDeliverBy > 0 ? "DELIVERBY \(values.minimumDeliverBy)" : "DELIVERBY")
        }
        if values.maximumRecipients > 100 { keywords.append("X-RCPTLIMIT \(values.maximumRecipients)") }
        keywords.append("LIMITS RCPTMAX=\(values.maximumRecipients)")
        if extensions.contains(.smtputf8) { keywords.append("SMTPUTF8") }
        if extensions.contains(.priority) { keywords.append("MT-PRIORITY") }
        if extensions.contains(.requireTLS), isSecure { keywords.append("REQUIRETLS") }
        let offered = mechanisms(values, isSecure: isSecure)
        // RFC 3207 §4.2: before TLS, a client that must use it is offered nothing that needs it.
        if !offered.isEmpty, !variant.contains(.authenticated), isSecure || !values.requiresTLS {
            // Old clients know this form only.
            if offered.contains("LOGIN") { keywords.append("AUTH=LOGIN") }
            keywords.append("AUTH \(offered.joined(separator: " "))")
        }
        if extensions.contains(.starttls), !isSecure { keywords.append("STARTTLS") }
        if extensions.contains(.etrn), !values.requiresAuthentication || variant.contains(.authenticated) {
            keywords.append("ETRN")
        }
        if variant.contains(.changesClient) {
            keywords.append("XCLIENT NAME ADDR PORT LOGIN DESTADDR DESTPORT")
        }
        return Array((keywords.map { "250-\($0)\r\n" }.joined() + "250 HELP\r\n").utf8)
    }

    func appendEHLOKeywords(
        isSecure: Bool, isAuthenticated: Bool, mayChangeClient: Bool, holdsAsOf unixTime: Int64?,
        to replies: inout [UInt8]
    ) {
        if let unixTime {
            let last = CalendarDate(unixTime: unixTime + Int64(values.maximumHold)).rfc3339
            replies.append(contentsOf: "250-FUTURERELEASE \(values.maximumHold) \(last)\r\n".utf8)
        }
        var variant: Variant = []
        if isSecure { variant.insert(.secure) }
        if isAuthenticated { variant.insert(.authenticated) }
        if mayChangeClient { variant.insert(.changesClient) }
        replies.append(contentsOf: keywords[variant.rawValue])
    }
}
