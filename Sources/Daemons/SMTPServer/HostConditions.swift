import Glibc
import Postoffice
import SpoolFormat
import Synchronization
import Telemetry

/// What decides whether new mail is taken, looked up about once a second off the event loops.
final class HostConditions: Sendable {
    /// Free KiB of POSTOFFICE's file system; −1: unknown.
    private let freeKilobytes = Atomic<Int>(-1)
    private let freeInodes = Atomic<Int>(Int.max)
    /// Files in `router/`, counted up to just above the limit.
    private let queued = Atomic<Int>(0)
    /// The load average of the last minute, in hundredths.
    private let load = Atomic<Int>(0)
    private let isLooking = Atomic<Bool>(false)
    /// Inodes that must stay free, as `min-availspace` has to.
    static let minimumFreeInodes = 500
    private let postoffice: Postoffice
    private let queueLimit: Int
    private let log: EventLog
    private let loadAverage: LoadAverage

    /// Of the last minute, in hundredths; 0 if it cannot be known.
    typealias LoadAverage = @Sendable () -> Int

    init(_ postoffice: Postoffice, queueLimit: Int, loadAverage: @escaping LoadAverage, log: EventLog) {
        self.postoffice = postoffice
        self.queueLimit = queueLimit
        self.loadAverage = loadAverage
        self.log = log
    }

    var freeKilobytesNow: Int { freeKilobytes.load(ordering: .relaxed) }
    var isShortOfInodes: Bool { freeInodes.load(ordering: .relaxed) < Self.minimumFreeInodes }
    var isQueueFull: Bool { queued.load(ordering: .relaxed) > queueLimit }
    /// Whether the load average is above `limit`.
    func isLoadAbove(_ limit: Int) -> Bool { load.load(ordering: .relaxed) > limit * 100 }

    /// Blocks: for a pool thread. Does nothing while another thread looks.
    func look(countsQueue: Bool) {
        guard !isLooking.exchange(true, ordering: .acquiring) else { return }
        defer { isLooking.store(false, ordering: .releasing) }
        do throws(PostofficeError) {
            let space = try postoffice.freeSpace()
            freeKilobytes.store(Int(clamping: space.bytes / 1024), ordering: .relaxed)
            freeInodes.store(Int(clamping: space.inodes), ordering: .relaxed)
            if countsQueue {
                let count = try countQueued()
                let wasFull = isQueueFull
                queued.store(count, ordering: .relaxed)
                if isQueueFull != wasFull {
                    log.warning(
                        isQueueFull ? "queue-full" : "queue-has-room", ["directory": postoffice.root + "/router"])
                }
            }
        } catch {
            if freeKilobytes.exchange(-1, ordering: .relaxed) != -1 {
                log.error("spool-unusable", ["reason": error.description])
            }
        }
        load.store(loadAverage(), ordering: .relaxed)
    }

    private func countQueued() throws(PostofficeError) -> Int {
        var count = 0
        let limit = queueLimit
        try postoffice.forEachEntry(.router) { _ in
            count += 1
            return count <= limit
        }
        return count
    }

    /// That of this host.
    static let systemLoadAverage: LoadAverage = {
        var values = [0.0]
        guard getloadavg(&values, 1) == 1 else { return 0 }
        return Int(values[0] * 100)
    }
}
