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
