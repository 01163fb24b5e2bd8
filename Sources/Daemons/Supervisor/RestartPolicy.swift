import Configuration

/// When a program that ended is started again: at once would burn the machine if it dies at its start, never would stop the
/// mail. The clock is an argument.
struct RestartPolicy: Hashable, Sendable {
    static let firstDelay = Duration.seconds(1)
    /// RESTARTLIMIT of zmailer.conf.
    static let standardLimit = 60
    /// A program that was up this long has proven itself: the next delay is the first one again.
    static let provenAfter = Duration.seconds(60)

    private(set) var nextDelay = firstDelay
    private let maximumDelay: Duration

    /// `limit`: seconds; the longest pause.
    init(limit: Int = standardLimit) { maximumDelay = .seconds(limit) }

    /// RESTARTLIMIT in seconds; `nil` if it is no number from 1 to 3600.
    static func limit(_ environment: ZEnvironment) -> Int? {
        guard let text = environment["RESTARTLIMIT"] else { return standardLimit }
        guard let limit = Int(text), (1...3600).contains(limit) else { return nil }
        return limit
    }

    /// The pause before the next start, `uptime` after the last one.
    mutating func delay(afterUptime uptime: Duration) -> Duration {
        if uptime >= Self.provenAfter { nextDelay = Self.firstDelay }
        let delay = nextDelay
        nextDelay = min(nextDelay * 2, maximumDelay)
        return delay
    }
}
