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
    /// The lines of an EHLO reply behind `SIZE`, encoded.
    let ehloTail: [UInt8]

    public init(_ values: Values) {
        self.values = values
        let extensions = values.extensions
        encoder = ReplyEncoder(
            writesEnhancedStatus: extensions.contains(.enhancedStatusCodes),
            writesSingleLines: values.writesSingleLines)
        var keywords: [String] = []
        if extensions.contains(.eightBitMIME) { keywords.append("8BITMIME") }
        if extensions.contains(.pipelining) { keywords.append("PIPELINING") }
        if extensions.contains(.chunking) { keywords.append("CHUNKING") }
        if extensions.contains(.enhancedStatusCodes) { keywords.append("ENHANCEDSTATUSCODES") }
        if values.enablesEXPN, values.style.contains(.expands) { keywords.append("EXPN") }
        if values.enablesVRFY, values.style.contains(.verifies) { keywords.append("VRFY") }
        if extensions.contains(.dsn) { keywords.append("DSN") }
        if values.maximumRecipients > 100 { keywords.append("X-RCPTLIMIT \(values.maximumRecipients)") }
        if extensions.contains(.smtputf8) { keywords.append("SMTPUTF8") }
        ehloTail = Array((keywords.map { "250-\($0)\r\n" }.joined() + "250 HELP\r\n").utf8)
    }
}
