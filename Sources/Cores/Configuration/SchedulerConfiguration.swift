/// scheduler.conf (scheduler.md §2): which agent serves which channel and host, how often, how many at a time.
public struct SchedulerConfiguration: Hashable, Sendable {
    /// In the order of the file.
    public let clauses: [SchedulerClause]
    public let parameters: SchedulerParameters

    /// What holds for a channel and host: the values of all matching clauses in their order, up to the first one with a command
    /// (design §7). `nil`: no matching clause has a command; such mail waits.
    public func settings(channel: String, host: String) -> SchedulerSettings? {
        var settings = SchedulerSettings()
        for (index, clause) in clauses.enumerated() where clause.matches(channel: channel, host: host) {
            settings.apply(clause)
            settings.matched.append(index)
            if settings.command != nil {
                settings.clause = index
                settings.clauseName = clause.name
                return settings
            }
        }
        return nil
    }
}

/// `PARAMname = value` lines.
public struct SchedulerParameters: Hashable, Sendable {
    /// `global-report-interval`: how long the first failed recipient of a message waits for the others, so that one
    /// notification tells of all (default 15 minutes).
    public var reportInterval: Duration = .seconds(900)
    /// `store-error-on-error`: keep a copy of an undeliverable notification in `postman/` (default: only the log tells).
    public var storesErrorOnError = false
    /// `double-fault`: who is told of a report that cannot be delivered: addresses (default: nobody).
    public var doubleFaultAddresses: [String] = []
    /// `authfile`: who may ask over ``mailqSocket`` (scheduler.auth; ZMailer's smtpserver reads the same file). An absolute path.
    public var authFile: String?
    /// `mailqsock`: where mailq of version 2 is answered (default: nowhere, because it opens a port).
    public var mailqSocket: MailqSocket?
    /// `notifysock`: accepted for ZMailer's files. Notices always come through `.scheduler.notify` of POSTOFFICE, which every
    /// program of an instance knows.
    public var notifySocket: String?
    /// `msgwriteasync`: accepted for ZMailer's files. Records are always written by threads beside the loop.
    public var writesAsynchronously = true

    public init() {}
}

/// One clause: its patterns and what it sets; `nil` is what it leaves to others.
public struct SchedulerClause: Hashable, Sendable {
    /// Several when empty clauses stand in front of it.
    public var patterns: [SchedulerPattern]
    public var line: Int
    public var interval: Duration?
    public var idleLimit: Duration?
    public var expiry: Duration?
    public var expiry2: Duration?
    public var retries: [Int]?
    public var maximumJobs: Int?
    public var maximumChannelJobs: Int?
    public var maximumRingJobs: Int?
    public var maximumThreadJobs: Int?
    public var overfeed: Int?
    public var skew: Int?
    public var user: String?
    public var group: String?
    public var command: SchedulerCommand?
    public var isQueueOnly: Bool?
    public var wakesOnRestartOnly: Bool?
    public var isAgeOrdered: Bool?
    public var nice: SchedulerNiceness?
    public var maximumHostJobs: Int?
    public var rate: SchedulerRate?
    public var messagesPerConnection: Int?
    public var isHostBound: Bool?
    /// Accepted for ZMailer's files: an agent always serves one channel only.
    public var isChannelBound: Bool?
    public var deliveryForm: String?
    public var expiryForm: String?
    public var reportTimes: [Duration]?
    /// Where each keyword was set last, for ``SchedulerConfiguration/explanation(channel:host:)``.
    var sources: [String: SchedulerValueSource] = [:]

    init(pattern: SchedulerPattern, line: Int) {
        patterns = [pattern]
        self.line = line
    }

    public var name: String { patterns.map(\.text).joined(separator: " ") }

    public func matches(channel: String, host: String) -> Bool {
        patterns.contains { $0.matches(channel: channel, host: host) }
    }
}

/// `nice=` adds to the scheduler's own niceness, `priority=` replaces it.
public enum SchedulerNiceness: Hashable, Sendable {
    case relative(Int)
    case absolute(Int)
}

/// `maxrate=n/time`: messages in any span of that length.
public struct SchedulerRate: Hashable, Sendable {
    /// 0: no limit.
    public var count: Int
    /// A whole number of seconds, at least 1.
    public var interval: Duration

    public init(count: Int, interval: Duration) {
        self.count = count
        self.interval = interval
    }

    public static let unlimited = SchedulerRate(count: 0, interval: .seconds(1))
}

/// `command=`: `[VAR=value …] program arguments…`, split into words; no shell sees them.
public struct SchedulerCommand: Hashable, Sendable {
    /// `NAME=value`.
    public var environment: [String]
    /// The name of a file in `$MAILBIN/ta`.
    public var program: String
    /// `$channel` and `$host` are still in them.
    public var arguments: [String]

    public init(environment: [String] = [], program: String, arguments: [String] = []) {
        self.environment = environment
        self.program = program
        self.arguments = arguments
    }

    /// An agent of such a command serves one channel only.
    public var namesChannel: Bool { (environment + arguments).contains { $0.contains("$channel") } }
    /// An agent of such a command serves one host only.
    public var namesHost: Bool { (environment + arguments).contains { $0.contains("$host") } }

    /// With `$channel` and `$host` replaced.
    public func resolved(channel: String, host: String) -> SchedulerCommand {
        func fill(_ text: String) -> String {
            Self.replace(Self.replace(text, "$channel", channel), "$host", host)
        }
        return SchedulerCommand(environment: environment.map(fill), program: program, arguments: arguments.map(fill))
    }

    private static func replace(_ text: String, _ name: String, _ value: String) -> String {
        var out: [UInt8] = []
        var rest = Array(text.utf8)[...]
        let pattern = Array(name.utf8)
        while !rest.isEmpty {
            if rest.starts(with: pattern) {
                out.append(contentsOf: value.utf8)
                rest = rest.dropFirst(pattern.count)
            } else {
                out.append(rest.removeFirst())
            }
        }
        return String(decoding: out, as: UTF8.self)
    }
}

/// The values that hold for one channel and host; the defaults are those of scheduler.md §2 unless a line says otherwise.
public struct SchedulerSettings: Hashable, Sendable {
    /// Index of the clause with the command: its threads form a ring.
    public var clause = 0
    public var clauseName = ""
    /// Indices of all clauses whose values these are. Equal ones mean equal values.
    public var matched: [Int] = []
    /// A number for ``matched``: no agent serves threads of two, because their users, commands or limits may differ.
    public var variant: Int { matched.reduce(17) { ($0 &* 31) &+ $1 &+ 1 } }
    public var interval: Duration = .seconds(60)
    private var idle: Duration?
    /// Not tried after this (default 3 days).
    public var expiry: Duration = .seconds(3 * 86400)
    /// Added to `expiry` for what was never tried; zero: one day.
    public var expiry2: Duration = .zero
    /// Multipliers of `interval`; never empty, all positive.
    public var retries = [1, 1, 2, 3, 5, 8, 13, 21, 34]
    /// Jobs being worked on; `Int.max`: no limit.
    public var maximumJobs = 200
    public var maximumChannelJobs = Int.max
    public var maximumRingJobs = Int.max
    public var maximumThreadJobs = 1
    /// Jobs handed to a busy agent ahead (default 0: none).
    public var overfeed = 0
    public var skew = 5
    public var user: String?
    public var group: String?
    public var command: SchedulerCommand?
    public var isQueueOnly = false
    public var wakesOnRestartOnly = false
    public var isAgeOrdered = false
    public var nice: SchedulerNiceness?
    /// `maxconn`: jobs, and so connections, at a time for one destination host, whatever the channel; `Int.max`: no limit.
    public var maximumHostJobs = Int.max
    /// `maxrate`: messages handed out for one channel and host.
    public var rate = SchedulerRate.unlimited
    /// `maxmsgs`: messages an agent sends over one connection; `nil`: no limit.
    public var messagesPerConnection: Int? { connectionMessages == .max ? nil : connectionMessages }
    private var connectionMessages = Int.max
    /// `byhost`: an agent serves one host only, also if its command does not name it.
    public var isHostBound = false
    /// `deliveryform`: the name of a file in `$MAILSHARE/forms` for reports of failure (default: `delivery`).
    public var deliveryForm: String?
    /// `expiryform`: likewise for what has expired (default: `expired`).
    public var expiryForm: String?
    /// `reporttimes`: ages at which the sender is told that a recipient is late; at most 4, in ascending order.
    public var reportTimes: [Duration] = []

    public init() {}

    /// An agent serves one host only.
    public var isAgentPerHost: Bool { isHostBound || (command?.namesHost ?? false) }

    /// How long an agent with nothing to do is kept (default three intervals).
    public var idleLimit: Duration { idle ?? interval * 3 }

    mutating func apply(_ clause: SchedulerClause) {
        func set<Value>(_ path: WritableKeyPath<SchedulerSettings, Value>, _ value: Value?) {
            if let value { self[keyPath: path] = value }
        }
        func setOptional<Value>(_ path: WritableKeyPath<SchedulerSettings, Value?>, _ value: Value?) {
            if value != nil { self[keyPath: path] = value }
        }
        set(\.interval, clause.interval)
        setOptional(\.idle, clause.idleLimit)
        set(\.expiry, clause.expiry)
        set(\.expiry2, clause.expiry2)
        set(\.retries, clause.retries)
        set(\.maximumJobs, clause.maximumJobs)
        set(\.maximumChannelJobs, clause.maximumChannelJobs)
        set(\.maximumRingJobs, clause.maximumRingJobs)
        set(\.maximumThreadJobs, clause.maximumThreadJobs)
        set(\.overfeed, clause.overfeed)
        set(\.skew, clause.skew)
        setOptional(\.user, clause.user)
        setOptional(\.group, clause.group)
        setOptional(\.command, clause.command)
        set(\.isQueueOnly, clause.isQueueOnly)
        set(\.wakesOnRestartOnly, clause.wakesOnRestartOnly)
        set(\.isAgeOrdered, clause.isAgeOrdered)
        setOptional(\.nice, clause.nice)
        set(\.maximumHostJobs, clause.maximumHostJobs)
        set(\.rate, clause.rate)
        set(\.connectionMessages, clause.messagesPerConnection)
        set(\.isHostBound, clause.isHostBound)
        setOptional(\.deliveryForm, clause.deliveryForm)
        setOptional(\.expiryForm, clause.expiryForm)
        set(\.reportTimes, clause.reportTimes)
    }
}
