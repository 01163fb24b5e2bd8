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
    let sender: String
    private let storedSize: UInt32
    let isErrorMessage: Bool
    private let storedPriority: Int8
    var isFinishing = false
    var isReporting = false
    /// From when on it may be delivered, and its retention counts: its arrival, or what its sender has asked for.
    let deliverableFrom: UnixTime
    /// When it was read.
    let known: UnixTime
    /// `nil`: its sender has set none.
    var times: SenderTimes?
    var vertices = VertexList()
    private var storedRecipientCount: UInt32 = 0
    private var storedOpen: UInt32 = 0
    private var storedUnreported: UInt32 = 0
    private var storedFailures: UInt32 = 0

    init(_ loaded: LoadedMessage, sender: String, known: UnixTime) {
        self.known = known
        id = loaded.id
        arrived = loaded.arrived
        storedSize = UInt32(clamping: loaded.size)
        self.sender = sender
        isErrorMessage = loaded.isErrorMessage
        storedPriority = Int8(clamping: loaded.priority)
        deliverableFrom = max(loaded.arrived, loaded.heldUntil ?? loaded.arrived)
    }

    /// Octets; those above 4 GiB are not counted.
    var size: Int { Int(storedSize) }
    /// −9...9 (RFC 6710).
    var priority: Int { Int(storedPriority) }
    var recipientCount: Int {
        get { Int(storedRecipientCount) }
        set { storedRecipientCount = UInt32(clamping: newValue) }
    }
    /// Recipients without a final result.
    var open: Int {
        get { Int(storedOpen) }
        set { storedOpen = UInt32(clamping: newValue) }
    }
    /// Results that the sender must be told and has not been.
    var unreported: Int {
        get { Int(storedUnreported) }
        set { storedUnreported = UInt32(clamping: newValue) }
    }
    var failures: Int {
        get { Int(storedFailures) }
        set { storedFailures = UInt32(clamping: newValue) }
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
    unowned var agent: Agent?
    /// In the order of their offsets.
    var recipients = RecipientList()
    var nextAttempt: UnixTime = 0
    /// When it was last handed out.
    var lastAttempt: UnixTime = 0
    /// When an operator let it go again; 0: never kept back.
    var keptUntil: UnixTime = 0
    private let storedNumber: UInt32
    private var storedOpen: UInt32 = 0
    private var storedAwaiting: UInt32 = 0
    private var storedAttempts: UInt32 = 0
    private var storedRetryIndex: UInt32 = 0
    private var storedWrites: UInt32 = 0
    /// The thread's ``DeliveryThread/deferrals`` when it came.
    var deferralsAtStart: UInt32
    private var storedDeaths: UInt8 = 0
    var state = State.done
    /// Attempts since this scheduler was started: without one nothing expires by ``ThreadRules/expiry`` (scheduler.md §2.2).
    var hasAttemptHere = false
    /// Past its expiry without an attempt.
    var isOverdue = false
    /// Counts in the limits; jobs handed ahead do not.
    var isCounted = false
    /// The last job ended with all of the thread deferred.
    var isHeldByThread = false

    init(message: QueuedMessage, thread: DeliveryThread, number: Int) {
        self.message = message
        self.thread = thread
        storedNumber = UInt32(clamping: number)
        deferralsAtStart = thread.deferrals
    }

    /// Index in the message's vertices.
    var number: Int { Int(storedNumber) }
    /// Recipients without a final result, and those of them that the agent has not reported on.
    var open: Int {
        get { Int(storedOpen) }
        set { storedOpen = UInt32(clamping: newValue) }
    }
    var awaiting: Int {
        get { Int(storedAwaiting) }
        set { storedAwaiting = UInt32(clamping: newValue) }
    }
    var attempts: Int {
        get { Int(storedAttempts) }
        set { storedAttempts = UInt32(clamping: newValue) }
    }
    var retryIndex: Int {
        get { Int(storedRetryIndex) }
        set { storedRetryIndex = UInt32(clamping: newValue) }
    }
    /// Agents that have died with it in hand.
    var deaths: Int {
        get { Int(storedDeaths) }
        set { storedDeaths = UInt8(clamping: newValue) }
    }
    /// Records on their way to the file: until they are there no agent may read it.
    var writes: Int {
        get { Int(storedWrites) }
        set { storedWrites = UInt32(clamping: newValue) }
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
    /// In its pool's ``AgentPool/runnable``, with this priority.
    var isQueued = false
    var queuedPriority = 0
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

/// The agents that can serve a thread: those of its rules and channel, and of its host if they are bound to one. Its timer is the
/// time from which a process may be started again.
final class AgentPool: Timed {
    struct Key: Hashable {
        let rules: ThreadRules
        let channel: String
        let host: String?
    }
    let key: Key
    var rules: ThreadRules { key.rules }
    /// Threads that it serves.
    var threads = 0
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
    /// The limit that it waits for.
    var waitsFor: (count: JobCount, forStart: Bool)?
    /// Of its place there: places with an older number are void.
    var waitNumber: UInt64 = 0
    var isBlocked: Bool { waitsFor != nil }
    /// When it last got something, counted in jobs of all pools.
    var servedAt: UInt64 = 0

    init(key: Key, ring: JobCount, channel: JobCount) {
        self.key = key
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
    /// Jobs that have ended and whose `#hungry` has not come: it is not busy, so that nothing can be handed ahead.
    var owed = 0
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

    /// The job and index of a recipient that it has not reported on.
    func locate(_ id: SpoolID, _ offset: Int) -> (vertex: Vertex, index: Int)? {
        for job in jobs where job.message.id == id {
            if let index = job.index(of: offset), job.recipients[index].state == .awaiting { return (job, index) }
        }
        return nil
    }
}
