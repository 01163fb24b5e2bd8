import DequeModule
import MailModel
import SpoolFormat

// The objects of the queue. They refer to each other and are touched by the one thread that owns the DeliveryScheduler.

/// What can be waited for: at most one time each.
class Timed {
    /// Entries of the timer queue with another generation are void.
    final var generation: UInt32 = 0
    /// `.max`: nothing is waited for.
    final var due: UnixTime = .max
}

final class QueuedMessage: Timed {
    let id: SpoolID
    let arrived: UnixTime
    let size: Int
    let sender: String
    let isErrorMessage: Bool
    /// −9...9 (RFC 6710).
    let priority: Int
    /// From when on it may be delivered, and its retention counts: its arrival, or what its sender has asked for.
    let deliverableFrom: UnixTime
    /// When it was read.
    let known: UnixTime
    /// `nil`: its sender has set none.
    var times: SenderTimes?
    var vertices: [Vertex] = []
    var recipientCount = 0
    /// Recipients without a final result.
    var open = 0
    /// Results that the sender must be told and has not been.
    var unreported = 0
    var failures = 0
    var isFinishing = false
    var isReporting = false

    init(_ loaded: LoadedMessage, known: UnixTime) {
        self.known = known
        id = loaded.id
        arrived = loaded.arrived
        size = loaded.size
        sender = loaded.sender
        isErrorMessage = loaded.isErrorMessage
        priority = loaded.priority
        deliverableFrom = max(loaded.arrived, loaded.heldUntil ?? loaded.arrived)
    }

    /// The vertex and index of the recipient whose `r` is at `offset`.
    func locate(_ offset: Int) -> (vertex: Vertex, index: Int)? {
        for vertex in vertices {
            if let index = vertex.index(of: offset) { return (vertex, index) }
        }
        return nil
    }
}

/// What a sender has set for a message. Its timer runs by the wall clock.
final class SenderTimes: Timed {
    unowned let message: QueuedMessage
    let heldUntil: UnixTime?
    let deliverBy: UnixTime?
    /// Not to be delivered yet.
    var isHeld = false
    /// ``deliverBy`` has not come yet.
    var isDeadlineAhead = false

    init(message: QueuedMessage, heldUntil: UnixTime?, deliverBy: UnixTime?) {
        self.message = message
        self.heldUntil = heldUntil
        self.deliverBy = deliverBy
    }

    /// `nil`: nothing more to come.
    var next: UnixTime? {
        let release = isHeld ? heldUntil : nil
        let deadline = isDeadlineAhead ? deliverBy : nil
        guard let release, let deadline else { return release ?? deadline }
        return min(release, deadline)
    }
}

struct QueuedRecipient {
    enum State: UInt8 {
        case open
        /// Handed to an agent.
        case awaiting
        case delivered
        case failed
        /// Taken out by an operator.
        case removed
    }
    var offset: UInt32
    var headerOffset: Int32
    var notaryOffset: Int32
    var notify: Notify
    var state: State
    var hasErrorAddress: Bool
    /// What is still to be done when the message's deliver-by-time comes.
    var deadline: LoadedRecipient.Deadline
    var address: String
    var original: String?
    var status: String
    var problem: String

    var isDone: Bool {
        switch state {
        case .open, .awaiting: false
        case .delivered, .failed, .removed: true
        }
    }
}

/// The recipients of one message in one thread: what an agent gets as one job (ZMailer's word).
final class Vertex: Timed {
    enum State: UInt8 {
        /// Its message is not released yet, or an operator keeps it back.
        case held
        /// In its thread's ``DeliveryThread/ready``.
        case ready
        /// Waits for ``nextAttempt``.
        case waiting
        /// Given to ``agent``.
        case active
        /// Must be tried alone: in its pool's ``AgentPool/suspects``.
        case suspect
        case done
    }
    unowned let message: QueuedMessage
    let thread: DeliveryThread
    /// Index in the message's vertices.
    let number: Int
    /// In the order of their offsets.
    var recipients: [QueuedRecipient] = []
    var state = State.done
    /// Recipients without a final result, and those of them that the agent has not reported on.
    var open = 0
    var awaiting = 0
    var attempts = 0
    /// Attempts since this scheduler was started: without one nothing expires by ``ThreadRules/expiry`` (scheduler.md §2.2).
    var hasAttemptHere = false
    var retryIndex = 0
    var nextAttempt: UnixTime = 0
    /// When it was last handed out.
    var lastAttempt: UnixTime = 0
    /// Agents that have died with it in hand.
    var deaths = 0
    /// When an operator let it go again; 0: never kept back.
    var keptUntil: UnixTime = 0
    /// Records on their way to the file: until they are there no agent may read it.
    var writes = 0
    /// The thread's ``DeliveryThread/deferrals`` when it came.
    var deferralsAtStart: UInt32
    /// Past its expiry without an attempt.
    var isOverdue = false
    /// Counts in the limits; jobs handed ahead do not.
    var isCounted = false
    /// The last job ended with all of the thread deferred.
    var isHeldByThread = false
    unowned var agent: Agent?

    init(message: QueuedMessage, thread: DeliveryThread, number: Int) {
        self.message = message
        self.thread = thread
        self.number = number
        deferralsAtStart = thread.deferrals
    }

    func index(of offset: Int) -> Int? {
        var low = 0
        var high = recipients.count
        while low < high {
            let middle = (low + high) / 2
            let found = Int(recipients[middle].offset)
            if found == offset { return middle }
            if found < offset { low = middle + 1 } else { high = middle }
        }
        return nil
    }

    var hasBeenTried: Bool { hasAttemptHere || thread.deferrals != deferralsAtStart }
}

struct ThreadKey: Hashable {
    let channel: String
    let host: String
}

/// All mail for one host by one channel. Its timer is the end of a back-off.
final class DeliveryThread: Timed {
    let key: ThreadKey
    /// `nil`: no clause has a command for it.
    var rules: ThreadRules?
    var pool: AgentPool?
    var ready = TurnQueue<Vertex>()
    /// Vertices not done, and those of them that are held.
    var vertices = 0
    var held = 0
    /// Jobs being worked on.
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
    /// In its pool's ``AgentPool/runnable``, with this priority.
    var isQueued = false
    var queuedPriority = 0
    /// Flushed: a queue-only thread may run until nothing is ready, or its host is down.
    var isReleased = false
    var attempts = 0
    var lastAttempt: UnixTime = 0
    var status = ""
    var problem = ""
    var tally = ThreadTally()
    /// Number of the agent that had the last job: it may have the connection open.
    var lastAgent = 0

    init(key: ThreadKey) { self.key = key }

    /// Jobs at a time just now.
    var limit: Int { isProbing ? 1 : min(window, rules?.maximumThreadJobs ?? 0) }

    func canRun(at now: UnixTime) -> Bool {
        guard let rules, !ready.isEmpty, wakeup <= now, active < limit else { return false }
        return !rules.isQueueOnly || isReleased
    }
}

/// Jobs of a channel or ring that are being worked on.
final class JobCount {
    var active = 0
}

/// The agents that can serve a thread: those of its clause and channel, and of its host if the command names it. Its timer is the
/// time from which a process may be started again.
final class AgentPool: Timed {
    struct Key: Hashable {
        let ring: Int
        let channel: String
        let host: String?
    }
    let key: Key
    let rules: ThreadRules
    let ring: JobCount
    let channel: JobCount
    /// Threads that can run, in turn.
    var runnable = TurnQueue<DeliveryThread>()
    var suspects: Deque<Vertex> = []
    var agents: [Agent] = []
    /// Started and not yet hungry.
    var starting = 0
    /// Agents in a row that ended without a result.
    var failures = 0
    var notBefore: UnixTime = 0
    var isDirty = false
    var isBlocked = false
    /// When it last got something, counted in jobs of all pools.
    var servedAt: UInt64 = 0

    init(key: Key, rules: ThreadRules, ring: JobCount, channel: JobCount) {
        self.key = key
        self.rules = rules
        self.ring = ring
        self.channel = channel
    }
}

/// A process. Its timer is the end of its idle time.
final class Agent: Timed {
    let number: Int
    let pool: AgentPool
    /// `#hungry` not yet answered with a job; below zero: jobs handed ahead.
    var credits = 0
    /// When it was hungry last; 0: never.
    var lastCredit: UnixTime = 0
    /// In the order in which they were handed out.
    var jobs: [Vertex] = []
    var isStarting = true
    /// Its input is closed.
    var isRetiring = false
    /// For suspects only: one job at a time.
    var isReserved = false
    /// Some job of it has ended with a result.
    var hasWorked = false

    init(number: Int, pool: AgentPool) {
        self.number = number
        self.pool = pool
    }
}
