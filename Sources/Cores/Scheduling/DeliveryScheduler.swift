import AgentProtocol
import SpoolFormat

/// The queue as a state machine: events in, ``SchedulerAction``s out. Clock and randomness are inputs; no I/O.
///
/// Message × thread = vertex, thread = (channel, host), ring = the threads of one clause. Confined to one thread.
///
///     scheduler.advance(to: now)
///     scheduler.load(message)
///     for action in scheduler.takeActions() { … }
public final class DeliveryScheduler {
    public typealias RulesLookup = (_ channel: String, _ host: String) -> ThreadRules?

    /// Never goes back.
    public internal(set) var now: UnixTime
    /// The clock as it is.
    public internal(set) var wall: UnixTime
    public internal(set) var reportInterval: Int64

    var rules: RulesLookup
    var random: SplitMix64
    var messages: [SpoolID: QueuedMessage] = [:]
    var threads: [ThreadKey: DeliveryThread] = [:]
    var pools: [AgentPool.Key: AgentPool] = [:]
    var agents: [Int: Agent] = [:]
    var rings: [Int: JobCount] = [:]
    var channels: [String: JobCount] = [:]
    let total = JobCount()
    var timers = TimerQueue()
    /// ``SenderTimes`` only.
    var wallTimers = TimerQueue()
    var heldMessages = 0
    var actions: [SchedulerAction] = []
    /// Pools in which something may be handed out.
    var dirtyPools: [AgentPool] = []
    var hosts: [String: HostJobs] = [:]
    /// Of threads that are gone and whose rate is not.
    var restingRates: [ThreadKey: (window: HandOutWindow, until: UnixTime)] = [:]
    var restingRatesLimit = 1024
    var strings = StringCache()
    var lastAgent = 0
    var jobsHandedOut: UInt64 = 0
    var openRecipients = 0
    var operators = OperatorState()
    /// Since this scheduler was started.
    public internal(set) var counters = SchedulerCounters()
    var isStopped = false
    /// What ``dispatch()`` may still take out of the queues.
    var dropsLeft = 0
    /// ``takeActions()`` has not looked at everything that might be handed out, so that it does not take long: call it again soon.
    public internal(set) var isBehind = false
    /// Nothing is handed out and no process is started.
    public var isFrozen = false
    /// Likewise, for a moment: the host is behind with what it was given.
    public var isPaused = false

    /// `reportInterval`: seconds that the first result of a message waits for the others before it is reported.
    public init(now: UnixTime, seed: UInt64, reportInterval: Int64 = 900, rules: @escaping RulesLookup) {
        self.now = now
        wall = now
        self.reportInterval = reportInterval
        self.rules = rules
        random = SplitMix64(seed: seed)
    }

    /// Hands out what can be handed out, and returns everything to be done since the last call. After a suspension half a million jobs
    /// may have to be put aside before the next one is found: see ``isBehind``.
    public func takeActions() -> [SchedulerAction] {
        dispatch()
        guard !actions.isEmpty else { return [] }
        let taken = actions
        actions.removeAll(keepingCapacity: true)
        return taken
    }

    /// When ``advance(to:)`` is due at the latest.
    public var nextEvent: UnixTime? {
        [timers.nextTime, wallTimers.nextTime, operators.suspensions.nextEnd].compactMap { $0 }.min()
    }

    /// Fires what is due. A clock that goes back is ignored until it has caught up, but for the times that senders have set.
    public func advance(to time: UnixTime) {
        wall = time
        now = max(now, time)
        fireSenderTimes()
        endSuspensions()
        while let target = timers.popDue(now) {
            switch target {
            case .vertex(let vertex): fire(vertex)
            case .thread(let thread): wake(thread)
            case .message(let message): report(message)
            case .agent(let agent): fire(agent)
            case .pool(let pool): markDirty(pool)
            case .times(let times): fire(times)
            }
        }
    }

    /// Hands out nothing more and closes the agents' inputs; reports are still taken.
    public func stop() {
        isStopped = true
        for agent in agents.values.sorted(by: { $0.number < $1.number }) { retire(agent) }
    }

    // MARK: Counts

    public var messageCount: Int { messages.count }
    public var recipientCount: Int { openRecipients }
    /// Messages that wait for their release.
    public var heldCount: Int { heldMessages }
    public var threadCount: Int { threads.count }
    public var agentCount: Int { agents.count }
    public var activeJobs: Int { total.active }

    public func knows(_ id: SpoolID) -> Bool { messages[id] != nil }
    /// Something of it is still to be done.
    public func isOpen(_ id: SpoolID) -> Bool { messages[id].map { !$0.isFinishing } ?? false }
}

/// What has passed since the start.
public struct SchedulerCounters: Hashable, Sendable {
    public var receivedMessages = 0
    public var receivedRecipients = 0
    /// Removed, whatever became of them.
    public var finishedMessages = 0
    /// With a final result.
    public var finishedRecipients = 0
    public var startedAgents = 0
}
