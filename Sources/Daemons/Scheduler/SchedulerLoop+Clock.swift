import Glibc

extension SchedulerLoop {
    /// Since 1970.
    static func milliseconds() -> Int64 { milliseconds(CLOCK_REALTIME) }

    /// For intervals: nobody sets this clock.
    static func monotonicMilliseconds() -> Int64 { milliseconds(CLOCK_MONOTONIC) }

    private static func milliseconds(_ clock: clockid_t) -> Int64 {
        var now = timespec()
        clock_gettime(clock, &now)
        return Int64(now.tv_sec) * 1000 + Int64(now.tv_nsec) / 1_000_000
    }
}
