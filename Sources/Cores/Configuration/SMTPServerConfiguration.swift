import MailModel

/// `smtpserver.conf`, read and checked (smtpserver(8), CONFIGURATION).
///
/// Lines that begin with `PARAM` set a value of this type; all others but comments are ``HelloPattern``s, of which the
/// first that matches holds.
public struct SMTPServerConfiguration: Hashable, Sendable {
    /// One `BindAddress` or `BindSmtp`.
    public struct Listener: Hashable, Sendable {
        public enum Place: Hashable, Sendable {
            /// Every address of the families that are on.
            case any
            /// Every IPv6 address (`any6`).
            case anyIPv6
            case address(IPAddress)
            /// All addresses of a network interface; `family` as in `iface:v4:eth0`.
            case interface(String, family: Family)
        }
        public enum Family: Hashable, Sendable {
            case both
            case ipv4
            case ipv6
        }

        public var place: Place
        /// `nil`: `BindPort`.
        public var port: Int?
        /// Where it was written, for error texts: `file:line`; empty for the default.
        public var origin: String

        public init(_ place: Place, port: Int? = nil, origin: String = "") {
            self.place = place
            self.port = port
            self.origin = origin
        }
    }

    /// Where the policy comes from.
    public enum PolicyDatabase: Hashable, Sendable {
        /// The text files of `$MAILVAR/db`, merged in memory; also what holds without `policydb`.
        case files
        /// Base name, an absolute path; `.gdbm` is appended.
        case gdbm(String)
    }

    /// `spf-threshold`: SPF results below it are refused (policy.md §11).
    public enum SPFThreshold: String, Hashable, Sendable, CaseIterable {
        case fail
        case softfail
        case none
        case neutral
        case pass
    }

    /// Octets of a message; 0: no limit.
    public var maximumMessageSize = 0
    /// KiB that must stay free in POSTOFFICE; less than 1000 means 1000.
    public var minimumFreeKilobytes = 5000
    /// Recipients of a message from `<>`.
    public var maximumErrorRecipients = 3
    /// The session ends with this many.
    public var maximumUnknownCommands = 10
    /// Sessions from one address.
    public var maximumSameSource = 100
    /// Sessions in all.
    public var maximumParallel = 800
    /// listen(2).
    public var listenQueueSize = 20000
    /// Octets; 0: the system's default.
    public var receiveBufferSize = 0
    /// Octets; 0: the system's default.
    public var transmitBufferSize = 0
    /// Recipients of a transaction; RFC 5321 §4.5.3.1.8 asks for at least 100.
    public var maximumRecipients = 100
    /// TCP port of listeners that name none.
    public var port = 25
    /// Empty: everywhere.
    public var listeners: [Listener] = []

    public var enablesRouter = false
    public var enablesVRFY = false
    public var enablesEXPN = false
    public var offersEHLO = true
    public var offersPipelining = true
    public var offersEightBitMIME = true
    public var offersChunking = true
    public var offersDSN = true
    public var offersEnhancedStatusCodes = true
    public var writesMultilineReplies = true
    public var forcesNotifyNever = false
    public var isLMTP = false
    public var policyDatabase = PolicyDatabase.files
    public var addsReceivedSPF = false
    public var spfThreshold = SPFThreshold.fail
    /// SPF terms in front of the final `all` of every record; empty: none.
    public var spfLocalPolicy = ""
    public var rejectsPercentKludge = true
    public var contactPointer = "Ask HELP for our contact information."
    /// Lines of the greeting with their meta tags; empty: the usual one. At most ``maximumGreetingLines``.
    public var greeting: [String] = []
    /// Lines of HELP. At most ``maximumHelpLines``.
    public var help: [String] = []
    /// Files waiting for the router above which new mail is answered 452 (`queue-limit`, ours).
    public var queueLimit = 50_000

    /// In the order of the file.
    public var patterns: [HelloPattern] = []

    public static let maximumGreetingLines = 4
    public static let maximumHelpLines = 40

    public init() {}

    /// The first pattern that matches the argument of HELO or EHLO.
    public func pattern(for argument: String) -> HelloPattern? {
        let bytes = Array(asciiLowercased(argument).utf8)
        return patterns.first { $0.pattern.matches(bytes) }
    }
}
