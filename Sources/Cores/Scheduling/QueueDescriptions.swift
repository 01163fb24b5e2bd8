import SpoolFormat

// What is told of the queue.

public struct MessageDescription: Hashable, Sendable {
    public var id: SpoolID
    public var size: Int
    public var arrived: UnixTime
    /// Empty for `<>`.
    public var sender: String
    /// −9...9 (RFC 6710).
    public var priority: Int
    /// While it waits for its release (RFC 4865).
    public var heldUntil: UnixTime?
    /// When an operator began to hold it.
    public var heldSince: UnixTime?
    /// The deliver-by-time (RFC 2852), also when it has passed.
    public var deliverBy: UnixTime?
    public var recipients: [RecipientDescription]
}

public struct RecipientDescription: Hashable, Sendable {
    public enum State: String, Sendable {
        case held, waiting, active, delivered, failed, deferred, suspended, removed
    }
    public var offset: Int
    public var address: String
    public var original: String
    public var channel: String
    public var host: String
    public var state: State
    public var attempts: Int
    /// `nil`: none is planned, or it is at work or done.
    public var nextAttempt: UnixTime?
    public var expires: UnixTime?
    public var status: String
    public var last: String
    /// Why an operator keeps it back.
    public var reason: String?
}

public struct ThreadDescription: Hashable, Sendable {
    public var channel: String
    public var host: String
    public var recipients: Int
    public var messages: Int
    /// Jobs being worked on.
    public var active: Int
    public var nextAttempt: UnixTime?
    public var attempts: Int
    /// `false`: no clause has a command for it.
    public var isMatched: Bool
    public var status: String
    public var last: String
    /// Number of its clause; `nil`: none.
    public var ring: Int?
    public var isAgentPerHost: Bool
    /// Its agents are at a limit.
    public var isBlocked: Bool
    /// When its oldest message arrived; `.max`: it has none.
    public var oldest: UnixTime
    /// Of its messages: not to be tried before their sender or an operator lets them.
    public var held: Int
    /// Those that work on it.
    public var agents: [AgentDescription]
}

public struct AgentDescription: Hashable, Sendable {
    /// ZMailer's names are in scheduler.md §2.3.
    public enum State: Sendable {
        case starting, working, retiring, idle
    }
    public var number: Int
    public var state: State
    /// Handed out and not reported.
    public var jobs: Int
    public var hungrySince: UnixTime
    /// `nil`: it has no job.
    public var fedAt: UnixTime?
}

/// The threads and agents of one clause.
public struct RingDescription: Hashable, Sendable {
    public var ring: Int
    public var rules: ThreadRules
    public var threads = 0
    public var jobs = 0
    public var agents = 0
    public var idle = 0
}

/// The recipients of one message in one thread.
public struct JobDescription: Hashable, Sendable {
    public struct Recipient: Hashable, Sendable {
        public var offset: Int
        public var last: String
    }
    public var id: SpoolID
    /// Empty for `<>`.
    public var sender: String
    /// Those that are not done.
    public var recipients: [Recipient]
    public var expires: UnixTime?
    /// `nil`: none is planned, or it is at work.
    public var nextAttempt: UnixTime?
    /// 0: never.
    public var lastAttempt: UnixTime
    public var attempts: Int
    public var isActive: Bool
    public var isBlocked: Bool
}
