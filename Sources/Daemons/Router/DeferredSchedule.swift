import SpoolFormat

/// When messages in `deferred/` are routed again: after a minute at first, then after a quarter of their age, at most 15 minutes.
public struct DeferredSchedule {
    /// Seconds between two looks.
    public static let interval: Int64 = 60
    public static let longestWait: Int64 = 900

    /// Seconds since 1970.
    private var due: [SpoolID: Int64] = [:]

    public init() {}

    /// `present`: what is in `deferred/` now. The result is to be routed again now; after a restart that is everything.
    public mutating func take(_ present: [SpoolID], now: Int64) -> [SpoolID] {
        var next: [SpoolID: Int64] = [:]
        var result: [SpoolID] = []
        for id in present {
            let time = due[id] ?? now
            if time <= now {
                result.append(id)
                next[id] = now + min(Self.longestWait, max(Self.interval, (now - id.unixTime) / 4))
            } else {
                next[id] = time
            }
        }
        // Those that are not there are being routed: their next turn is remembered until it is past.
        for (id, time) in due where next[id] == nil && time > now { next[id] = time }
        due = next
        return result
    }
}
