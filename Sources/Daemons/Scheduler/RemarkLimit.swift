/// How much an agent may add to the log: one that talks without end must not fill the disk. Times are milliseconds of the steady clock.
struct RemarkLimit {
    /// Lines in an interval.
    static let maximum = 100
    static let interval: Int64 = 60_000

    private var begun: Int64?
    private var count = 0
    /// Lines that have not been written, and of which nothing has been said.
    private var lost = 0

    /// Whether a line may be written.
    mutating func admits(at now: Int64) -> Bool {
        if now - (begun ?? now) >= Self.interval || begun == nil { (begun, count) = (now, 0) }
        guard count < Self.maximum else {
            lost += 1
            return false
        }
        count += 1
        return true
    }

    /// How many are missing from the log, to be said there.
    mutating func takeLost() -> Int {
        defer { lost = 0 }
        return lost
    }
}
