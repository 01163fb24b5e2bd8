import Glibc

/// Which run of this machine it is, so that what is found can be told from what an earlier run has left.
struct SystemStart: Hashable, Sendable {
    /// Another after each start, no two alike; empty where the system does not say.
    let id: String
    /// Seconds since 1970.
    let time: Int

    static let current: SystemStart = {
        var now = timespec()
        var up = timespec()
        clock_gettime(CLOCK_REALTIME, &now)
        clock_gettime(CLOCK_BOOTTIME, &up)
        let octets: [UInt8]
        do { octets = try OpenFile("/proc/sys/kernel/random/boot_id", O_RDONLY).contents(limit: 64) } catch {
            // Without it a part that was cut off in this run stays: nothing is lost by that.
            octets = []
        }
        return SystemStart(
            id: String(decoding: octets.prefix { $0 > 0x20 }, as: UTF8.self), time: now.tv_sec - up.tv_sec)
    }()
}
