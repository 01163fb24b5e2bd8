import DequeModule
import SpoolFormat

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
    /// Threads that can run, in turn; among them places that threads have left for one of a higher priority, which are void.
    var runnable = TurnQueue<DeliveryThread.Place>()
    var voidPlaces = 0
    /// Threads in ``runnable``.
    var waitingThreads: Int { runnable.count - voidPlaces }
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
