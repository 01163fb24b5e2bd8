import ChildProcesses
import Glibc
import SpoolFormat
import Synchronization
import Telemetry

/// What the router's master counts (docs/operations.md, "Metrics").
final class RouterMetrics: Sendable {
    enum Outcome: String, MetricLabel { case routed, deferred, failed, gone }

    let outcomes = MetricCounters<Outcome>(
        "zmailer_router_messages_total", "outcome", "Messages that the routing workers have answered for.")
    let latency = MetricHistogram(
        "zmailer_router_latency_seconds", "From the making of a message's name to its control file.")
    let waiting = MetricGauge("zmailer_router_waiting", "Messages that wait for a routing worker.")
    let deferred = MetricGauge("zmailer_router_deferred", "Messages in deferred/.")
    let poison = MetricCounter("zmailer_router_poison_total", "Messages that have killed two workers.")
    /// When the oldest in router/ was made, in seconds since 1970; 0: there is none.
    private let oldest = OldestMessage()

    func sawOldest(_ id: SpoolID?) { oldest.time.store(id?.unixTime ?? 0, ordering: .relaxed) }

    func answered(_ id: SpoolID, _ outcome: Outcome, milliseconds now: Int64) {
        outcomes.add(outcome)
        if outcome == .routed { latency.observe(milliseconds: now - id.milliseconds) }
    }

    var metrics: Metrics {
        let oldest = oldest
        let age = MetricReading(
            "zmailer_router_oldest_seconds", "Age of the oldest message in router/, as of the last look."
        ) {
            let made = oldest.time.load(ordering: .relaxed)
            return made > 0 ? Int(max(0, Int64(time(nil)) - made)) : 0
        }
        return Metrics([outcomes, latency, waiting, deferred, poison, age])
    }
}

final class OldestMessage: Sendable {
    let time = Atomic<Int64>(0)
}
