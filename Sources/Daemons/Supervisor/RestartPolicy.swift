/// When a program that ended is started again: at once would burn the machine if it dies at its start, never would stop the
/// mail. The clock is an argument.
struct RestartPolicy: Hashable, Sendable {
    static let firstDelay = Duration.seconds(1)
    static let maximumDelay = Duration.seconds(60)
    /// A program that was up this long has proven itself: the next delay is the first one again.
    static let provenAfter = Duration.seconds(60)

    private(set) var nextDelay = firstDelay

    /// The pause before the next start, `uptime` after the last one.
    mutating func delay(afterUptime uptime: Duration) -> Duration {
        if uptime >= Self.provenAfter { nextDelay = Self.firstDelay }
        let delay = nextDelay
        nextDelay = min(nextDelay * 2, Self.maximumDelay)
        return delay
    }
}
