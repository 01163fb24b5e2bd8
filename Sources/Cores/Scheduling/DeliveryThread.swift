import SpoolFormat

struct ThreadKey: Hashable {
    let channel: String
    let host: String
}

/// All mail for one host by one channel. Its timer is the end of a back-off.
final class DeliveryThread: Timed {
    let key: ThreadKey
    /// `nil`: no clause has a command for it.
    var rules: ThreadRules? { pool?.rules }
    var pool: AgentPool?
    let host: HostJobs
    var ready = TurnQueue<Vertex>()
    /// Vertices not done, and those of them that are held.
    var vertices = 0
    var held = 0
    /// Jobs that agents have, and those of them that are being worked on.
    var handedOut = 0
    var active = 0
    /// Nothing is handed out before; 0: no back-off.
    var wakeup: UnixTime = 0
    var retryIndex = 0
    /// The host has failed as a whole: one job at a time until it answers.
    var isProbing = false
    /// Jobs that the host takes at a time, learned when it refuses one while it answers others; grows with its successes.
    var window = Int.max
    var successesInWindow = 0
    /// When the host last said something about a recipient.
    var lastAnswer: UnixTime = .min
    /// How often all of it was deferred.
    var deferrals: UInt32 = 0
    /// Vertices with ``Vertex/isOverdue``.
    var overdue = 0
    /// In its pool's ``AgentPool/runnable``, since then, with this priority.
    var isQueued = false
    var queuedPriority = 0
    var queuedSince: UnixTime = 0
    /// Of its last place there.
    var placeNumber: UInt32 = 0
    /// Flushed: a queue-only thread may run until nothing is ready, or its host is down.
    var isReleased = false
    var attempts = 0
    var lastAttempt: UnixTime = 0
    var tally = ThreadTally()
    /// What was said last about all of it, and about one of its recipients: mostly the next one hears the same.
    var last = QueuedRecipient.Result.none
    var lastOfRecipient = QueuedRecipient.Result.none
    var status: String { last.status }
    var problem: String { last.problem }
    /// The domain of its last recipient, for the next one.
    var domain = ""
    /// Number of the agent that had the last job: it may have the connection open.
    var lastAgent = 0
    /// What was handed out lately, where there is a rate; and from when on the rate allows another one.
    var handOuts = HandOutWindow()
    var rateOpens: UnixTime = 0

    /// In the queue of a pool; void if the thread has another one.
    struct Place {
        let thread: DeliveryThread
        let number: UInt32

        var isVoid: Bool { number != thread.placeNumber || !thread.isQueued }
    }

    init(key: ThreadKey, host: HostJobs) {
        self.key = key
        self.host = host
    }

    /// Jobs at a time just now.
    var limit: Int { isProbing ? 1 : min(window, rules?.maximumThreadJobs ?? 0) }

    func canRun(at now: UnixTime) -> Bool {
        guard !ready.isEmpty, let pool, hasRoom(at: now) else { return false }
        return !pool.rules.isQueueOnly || isReleased
    }

    /// One job more would break no limit of the host.
    func hasRoom(at now: UnixTime) -> Bool {
        wakeup <= now && rateOpens <= now && active < limit && host.active < pool?.rules.maximumHostJobs ?? 0
    }
}

/// Jobs for one host that are being worked on, and its threads: one of each channel.
final class HostJobs {
    struct Member {
        unowned let thread: DeliveryThread
    }
    var active = 0
    var members: [Member] = []
}
