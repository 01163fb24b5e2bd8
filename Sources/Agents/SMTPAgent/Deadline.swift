import Glibc

/// A moment of the monotonic clock until which an operation may take.
struct Deadline: Hashable, Comparable, Sendable {
    /// CLOCK_MONOTONIC.
    let nanoseconds: Int64

    init(after duration: Duration) {
        let (seconds, attoseconds) = duration.components
        nanoseconds = Self.now + seconds * 1_000_000_000 + attoseconds / 1_000_000_000
    }

    /// Nanoseconds of CLOCK_MONOTONIC.
    static var now: Int64 {
        var time = timespec()
        clock_gettime(CLOCK_MONOTONIC, &time)
        return Int64(time.tv_sec) * 1_000_000_000 + Int64(time.tv_nsec)
    }

    var hasPassed: Bool { Self.now >= nanoseconds }

    /// What poll(2) may wait, rounded up so that it never spins; 0 once passed.
    var remainingMilliseconds: Int32 {
        Int32(clamping: max(0, (nanoseconds - Self.now + 999_999) / 1_000_000))
    }

    static func < (left: Self, right: Self) -> Bool { left.nanoseconds < right.nanoseconds }
}
