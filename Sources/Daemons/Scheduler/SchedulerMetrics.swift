import AgentProtocol
import Glibc
import Scheduling
import SpoolCheck
import SpoolFormat
import Synchronization
import Telemetry

/// What the scheduler counts (docs/operations.md, "Metrics"). Counters are added to by the loop; what describes the queue is put together
/// by it when somebody has asked, at most every ``interval`` and a twentieth of the time.
final class SchedulerMetrics: Sendable {
    /// The first two numbers of an enhanced status code (RFC 3463): class 4 of deferrals, 5 of failures, by subject.
    enum ReplyClass: String, MetricLabel {
        case other40 = "4.0"
        case address4 = "4.1"
        case mailbox4 = "4.2"
        case system4 = "4.3"
        case network4 = "4.4"
        case protocol4 = "4.5"
        case content4 = "4.6"
        case policy4 = "4.7"
        case other50 = "5.0"
        case address5 = "5.1"
        case mailbox5 = "5.2"
        case system5 = "5.3"
        case network5 = "5.4"
        case protocol5 = "5.5"
        case content5 = "5.6"
        case policy5 = "5.7"
        case other

        init(status: String) { self = Self(rawValue: String(status.prefix(3))) ?? .other }
    }

    let results = MetricTable(
        "zmailer_delivery_results_total", .counter, ["channel", "outcome"],
        "Results of attempts, by recipient: delivered, relayed, expanded, failed, expired, deferred.")
    let deferrals = MetricCounters<ReplyClass>(
        "zmailer_delivery_replies_total", "class",
        "Deferrals and failures by class and subject of their enhanced status code (RFC 3463).")
    let queueTime = MetricHistogram(
        "zmailer_delivery_queue_seconds",
        "From the arrival of a message, or its release, to a recipient's final result.",
        bounds: MetricHistogram.slow)
    let attemptTime = MetricHistogram(
        "zmailer_delivery_attempt_seconds", "From the hand-over of a job to an agent to its first report.",
        bounds: MetricHistogram.slow)
    let reports = MetricCounter("zmailer_dsn_total", "Notifications that were submitted.")
    let agentDeaths = MetricCounter("zmailer_agent_deaths_total", "Agents that have ended otherwise than with 0.")
    let agents = MetricGauge("zmailer_agents", "Agents that run.")
    let idleAgents = MetricGauge("zmailer_agents_idle", "Agents that have no job.")
    let messages = MetricGauge("zmailer_queue_messages", "Messages in the queue.")
    let held = MetricGauge("zmailer_queue_held_messages", "Messages that wait for the time their senders have set.")
    let threads = MetricGauge("zmailer_queue_threads", "Destinations (channel and host) with mail.")
    let recipients = MetricTable(
        "zmailer_queue_recipients", .gauge, ["channel", "state"],
        "Recipients in the queue by channel and state of their destination: active, ready, deferred, waiting, unmatched."
    )
    let isLoading = MetricGauge("zmailer_queue_loading", "1 while the queue is being read.")
    let strays = MetricGauge("zmailer_queue_strays", "Strays that the last check has left to a person.")
    private let oldest = Atomic<Int64>(0)
    private let isWanted = Atomic<Bool>(true)

    /// Milliseconds between two looks at the queue.
    static let interval: Int64 = 5000

    /// Whether anybody has asked since the last look.
    func takeWish() -> Bool { isWanted.exchange(false, ordering: .relaxed) }

    /// Looks at every message.
    func describe(_ core: DeliveryScheduler, isLoading loading: Bool) {
        messages.set(core.messageCount)
        held.set(core.heldCount)
        threads.set(core.threadCount)
        agents.set(core.agentCount)
        idleAgents.set(core.idleAgentCount)
        isLoading.set(loading ? 1 : 0)
        var rows: [[String]: Int64] = [:]
        var first: Int64 = .max
        for thread in core.threadDescriptions {
            let state =
                thread.active > 0
                ? "active"
                : !thread.isMatched
                    ? "unmatched"
                    : thread.nextAttempt.map { $0 > core.now ? "deferred" : "ready" } ?? "waiting"
            rows[[thread.channel, state], default: 0] += Int64(thread.recipients)
            first = min(first, thread.oldest)
        }
        recipients.replace(rows.map { (values: $0.key, value: $0.value) }.sorted { $0.value > $1.value })
        oldest.store(first == .max ? 0 : first, ordering: .relaxed)
    }

    func count(_ entry: DeliveryLogEntry) {
        results.add([entry.channel, entry.outcome.rawValue])
        switch entry.outcome {
        case .deferred: deferrals.add(ReplyClass(status: entry.status))
        case .failed, .expired:
            deferrals.add(ReplyClass(status: entry.status))
            queueTime.observe(milliseconds: entry.delay * 1000)
        case .delivered, .relayed, .expanded, .removed: queueTime.observe(milliseconds: entry.delay * 1000)
        }
    }

    /// All of them; `self` is told when somebody reads it.
    var metrics: Metrics {
        let age = MetricReading(
            "zmailer_queue_oldest_seconds", "Age of the oldest message in the queue.", { [self] in oldestAge() })
        return Metrics([
            results, deferrals, queueTime, attemptTime, reports, agentDeaths, agents, idleAgents, messages, held,
            threads,
            recipients, age, isLoading, strays,
        ])
    }

    private func oldestAge() -> Int {
        isWanted.store(true, ordering: .relaxed)
        let arrived = oldest.load(ordering: .relaxed)
        return arrived > 0 ? Int(max(0, Int64(time(nil)) - arrived)) : 0
    }
}

/// When jobs were handed to agents. Confined to the loop.
struct JobTimes {
    private var begun: [Int: [SpoolID: Int64]] = [:]
    private var count = 0
    /// Jobs that are remembered; more are as many as limits allow.
    static let maximumJobs = 20_000

    mutating func fed(_ id: SpoolID, to agent: Int, at now: Int64) {
        guard count < Self.maximumJobs else { return }
        if begun[agent, default: [:]].updateValue(now, forKey: id) == nil { count += 1 }
    }

    /// Milliseconds of a job that is reported for the first time.
    mutating func reported(_ id: SpoolID, by agent: Int, at now: Int64) -> Int64? {
        guard let time = begun[agent]?.removeValue(forKey: id) else { return nil }
        count -= 1
        return now - time
    }

    mutating func ended(_ agent: Int) {
        count -= begun.removeValue(forKey: agent)?.count ?? 0
    }
}
