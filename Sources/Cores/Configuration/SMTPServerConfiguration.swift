import MailModel

/// `smtpserver.conf`, read and checked (smtpserver(8), CONFIGURATION).
///
/// Lines that begin with `PARAM` set a value of this type; all others but comments are ``HelloPattern``s, of which the
/// first that matches holds.
public struct SMTPServerConfiguration: Hashable, Sendable {
    /// One `BindAddress`, `BindSmtp`, `BindSmtpS` or `BindSubmit`.
    public struct Listener: Hashable, Sendable {
        public enum Service: String, Hashable, Sendable {
            case smtp
            /// TLS begins before the greeting (RFC 8314 §3.3).
            case smtps
            /// Clients must authenticate (RFC 6409).
            case submission
            /// A Unix socket that tells whose program is at its other end (`submission-socket`).
            case local

            /// TCP port; 0: it has none.
            public var defaultPort: Int {
                switch self {
                case .local: 0
                case .smtp: 25
                case .smtps: 465
                case .submission: 587
                }
            }
        }
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

        public var service: Service
        public var place: Place
        /// `nil`: `BindPort`.
        public var port: Int?
        /// Where it was written, for error texts: `file:line`; empty for the default.
        public var origin: String

        public init(_ place: Place, service: Service = .smtp, port: Int? = nil, origin: String = "") {
            self.service = service
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
    public var offersETRN = true
    /// `DEBUGcmd`: the verb Z-DEBUG.
    public var enablesDebug = false
    /// `deliverby`: DELIVERBY is offered (RFC 2852), with this least number of seconds.
    public var minimumDeliverBy: Int?
    /// `future-release` (ours): seconds that a message may be held (RFC 4865); 0: not offered.
    public var maximumHold = 0
    /// `mt-priority` (ours): RFC 6710 is offered.
    public var offersPriority = false
    /// `NoREQUIRETLS` (ours) turns it off: RFC 8689 is offered in sessions with TLS.
    public var offersRequireTLS = true
    public var keepsSourceRoute = false
    /// `sum-sizeoption-value`: the space check counts SIZE for each recipient.
    public var sumsSizes = false
    public var tarpit = Tarpit()
    /// `early-talker` (ours): what becomes of a client that talks before it is greeted.
    public var earlyTalker = EarlyTalker.log
    /// `greeting-delay` (ours): seconds that strangers wait for the greeting.
    public var greetingDelay = 0
    /// `session-limit` (ours): seconds that a session may last; 0: no limit.
    public var sessionLimit = 0
    /// `command-timeout` (ours), seconds; RFC 5321 §4.5.3.2.7 asks for at least 300.
    public var commandTimeout = 1200
    /// `data-timeout` (ours): seconds for the next octets of a message; RFC 5321 §4.5.3.2.5 asks for at least 180.
    public var dataTimeout = 600
    public var tls = TLS()
    public var authentication = Authentication()
    /// `listen-ssmtp`: the addresses of `BindAddress` have port 465 too.
    public var listensSMTPS = false
    /// `rcvd-…`: what `Received:` shows of the client.
    public var shownInTrace: TraceElements = []
    /// `proxy-protocol` (ours): clients that begin with a PROXY header; from others it is an unknown command.
    public var proxies: [IPNetwork] = []
    /// `xclient` (ours): clients that may use XCLIENT.
    public var xclients: [IPNetwork] = []
    /// `submission-socket` (ours): where programs of this host submit mail; empty: nowhere.
    public var submissionSocket = ""
    /// `trusted-users` (ours): accounts that may submit mail in any sender's name, beside root and TRUSTEDUSER.
    public var trustedUsers: [String] = []
    /// `account-ratelimit` (ours): messages that an account may submit in an hour at ``submissionSocket``; 0: any number.
    public var accountRateLimit = 0
    public var usesTCPWrapper = false
    /// `tcp-wrapper-tables` (ours): paths instead of /etc/hosts.allow and /etc/hosts.deny; empty: those.
    public var wrapperTables: [String] = []
    public var credentials = CredentialSources()
    public var cluster: [ClusterNode] = []
    public var policyDatabase = PolicyDatabase.files
    public var addsReceivedSPF = false
    public var spfThreshold = SPFThreshold.fail
    /// SPF terms in front of the final `all` of every record; empty: none.
    public var spfLocalPolicy = ""
    public var rejectsPercentKludge = true
    /// `contentfilter`: what messages pass through, in this order; an absolute path, or `unix:` and that of a socket.
    public var contentFilters: [String] = []
    public var contentFiltering = ContentFiltering()
    public var contactPointer = "Ask HELP for our contact information."
    /// Lines of the greeting with their meta tags; empty: the usual one. At most ``maximumGreetingLines``.
    public var greeting: [String] = []
    /// Lines of HELP. At most ``maximumHelpLines``.
    public var help: [String] = []
    /// Files waiting for the router above which new mail is answered 452 (`queue-limit`, ours).
    public var queueLimit = 50_000
    /// Recipients that wait with the scheduler, likewise; 0: no limit (`queue-recipients`, ours).
    public var queueRecipients = 1_000_000
    /// Inodes that must stay free, as ``minimumFreeKilobytes`` must (`min-availinodes`, ours).
    public var minimumFreeInodes = 500
    /// Seconds, the longest by which MAIL is answered later before one of these limits is reached (`throttle-delay`, ours).
    public var throttleDelay = 5

    /// In the order of the file.
    public var patterns: [HelloPattern] = []
    /// One for each `newgroup`: listeners of their own, other values as they were there. Groups have no groups.
    public var groups: [SMTPServerConfiguration] = []

    public static let maximumGreetingLines = 4
    public static let maximumHelpLines = 40
    public static let maximumClusterNodes = 40

    /// `tarpit initial exponent toplimit`: seconds, a factor, seconds (smtpserver.md §5.5).
    public struct Tarpit: Hashable, Sendable {
        public var initial = 0.0
        public var exponent = 0.0
        public var limit = 0.0

        public init(initial: Double = 0, exponent: Double = 0, limit: Double = 0) {
            self.initial = initial
            self.exponent = exponent
            self.limit = limit
        }
    }

    public enum EarlyTalker: String, Hashable, Sendable, CaseIterable {
        /// As if it had waited.
        case ignore
        case log
        /// 554, and the connection ends.
        case refuse
    }

    /// Elements of the comment in `Received:` (smtpserver.md §9).
    public struct TraceElements: OptionSet, Hashable, Sendable {
        public let rawValue: UInt8
        public init(rawValue: UInt8) { self.rawValue = rawValue }

        public static let ident = TraceElements(rawValue: 1)
        public static let whoson = TraceElements(rawValue: 2)
        public static let user = TraceElements(rawValue: 4)
        public static let tlsMode = TraceElements(rawValue: 8)
        public static let tlsPeer = TraceElements(rawValue: 16)
    }

    public init() {}

    /// The first pattern that matches the argument of HELO or EHLO.
    public func pattern(for argument: String) -> HelloPattern? {
        let bytes = Array(asciiLowercased(argument).utf8)
        return patterns.first { $0.pattern.matches(bytes) }
    }
}
