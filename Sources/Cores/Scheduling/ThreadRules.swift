/// Seconds since 1970.
public typealias UnixTime = Int64

/// What scheduler.conf says about one channel and host. Times are seconds.
public struct ThreadRules: Hashable, Sendable {
    /// Threads with the same number form a ring: ``maximumRingJobs`` counts their jobs together.
    public var ring: Int
    public var interval: Int64
    /// Multipliers of ``interval``; never empty, all positive.
    public var retries: [Int]
    /// At least 1 (scheduler.md §2.1).
    public var skew: Int64
    public var expiry: Int64
    /// 0: one day.
    public var expiry2: Int64
    /// Jobs being worked on: of all threads, of the channel, of the ring, of one thread.
    public var maximumJobs: Int
    public var maximumChannelJobs: Int
    public var maximumRingJobs: Int
    public var maximumThreadJobs: Int
    /// Jobs handed ahead to an agent that is busy with the same thread.
    public var overfeed: Int
    public var idleLimit: Int64
    /// Starts only when flushed.
    public var isQueueOnly: Bool
    /// New mail does not wake a thread that waits for its next attempt.
    public var wakesOnRestartOnly: Bool
    /// Oldest message first, also among those tried before.
    public var isAgeOrdered: Bool
    /// An agent serves one host only: its command names it, or the clause says so.
    public var isAgentPerHost: Bool
    /// Threads whose rules or agents' commands and users differ have different numbers: no agent serves both.
    public var variant: Int
    /// Jobs being worked on for one host, over the threads of all channels.
    public var maximumHostJobs: Int
    /// Messages handed out for one thread in any ``rateInterval`` seconds.
    public var rate: Int
    public var rateInterval: Int64
    /// What an agent sends over one connection.
    public var messagesPerConnection: Int?
    /// Seconds after which the sender is told that a recipient is late, in ascending order.
    public var reportTimes: [Int64]

    public init(
        ring: Int = 0, interval: Int64 = 60, retries: [Int] = [1, 1, 2, 3, 5, 8, 13, 21, 34], skew: Int64 = 5,
        expiry: Int64 = 3 * 86400, expiry2: Int64 = 0, maximumJobs: Int = .max, maximumChannelJobs: Int = .max,
        maximumRingJobs: Int = .max, maximumThreadJobs: Int = 1, overfeed: Int = 0, idleLimit: Int64 = 180,
        isQueueOnly: Bool = false, wakesOnRestartOnly: Bool = false, isAgeOrdered: Bool = false,
        isAgentPerHost: Bool = false, variant: Int = 0, maximumHostJobs: Int = .max, rate: Int = .max,
        rateInterval: Int64 = 1, messagesPerConnection: Int? = nil, reportTimes: [Int64] = []
    ) {
        precondition(interval > 0 && skew > 0 && !retries.isEmpty, "rules without a next attempt")
        self.ring = ring
        self.interval = interval
        self.retries = retries
        self.skew = skew
        self.expiry = expiry
        self.expiry2 = expiry2
        self.maximumJobs = maximumJobs
        self.maximumChannelJobs = maximumChannelJobs
        self.maximumRingJobs = maximumRingJobs
        self.maximumThreadJobs = maximumThreadJobs
        self.overfeed = overfeed
        self.idleLimit = idleLimit
        self.isQueueOnly = isQueueOnly
        self.wakesOnRestartOnly = wakesOnRestartOnly
        self.isAgeOrdered = isAgeOrdered
        self.isAgentPerHost = isAgentPerHost
        self.variant = variant
        self.maximumHostJobs = maximumHostJobs
        self.rate = max(1, rate)
        self.rateInterval = max(1, rateInterval)
        self.messagesPerConnection = messagesPerConnection
        self.reportTimes = reportTimes
    }

    /// The next attempt after one at `time` (scheduler.md §2.1): always later than `time`. `index` counts the attempts; beyond the
    /// table it is drawn at random.
    func nextAttempt(after time: UnixTime, index: inout Int, random: inout SplitMix64) -> UnixTime {
        if index >= retries.count { index = Int(random.next() % UInt64(retries.count)) }
        let phase = time % interval
        // Half of what attempts are apart from the interval's grid is taken back, so that threads meet in fewer moments.
        let shift = (phase <= interval / 2 ? -(phase + skew - 1) : phase + skew - 1) / skew
        var next = time + shift + Int64(retries[index]) * interval
        index += 1
        while next <= time { next += interval }
        return next
    }
}

/// A small generator whose whole state is its seed: the same seed gives the same schedule.
struct SplitMix64 {
    private var state: UInt64
    init(seed: UInt64) { state = seed }
    mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var value = state
        value = (value ^ (value >> 30)) &* 0xbf58_476d_1ce4_e5b9
        value = (value ^ (value >> 27)) &* 0x94d0_49bb_1331_11eb
        return value ^ (value >> 31)
    }
}
