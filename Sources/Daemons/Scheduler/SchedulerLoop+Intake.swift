import AgentProtocol
import Glibc
import Postoffice
import Scheduling
import SpoolFormat
import Telemetry

/// Messages on their way into the queue.
extension SchedulerLoop {
    func takeNotices() {
        for notice in notices.receive() {
            switch notice {
            case .scan: nextScan = 0
            case .new(_, let ids): loading.announced(ids)
            }
        }
    }

    func scan() {
        nextScan = .max
        scanStarted = Self.monotonicMilliseconds()
        let postoffice = postoffice
        let isFirst = !loading.hasListed
        files.runAside { SpoolScan.run(postoffice, includingOrphans: isFirst) }
    }

    /// A look at a large directory takes its time: it is not taken more than a twentieth of all time.
    func scheduleScan() {
        let now = Self.monotonicMilliseconds()
        nextScan = now + max(Self.scanInterval, 20 * (now - scanStarted))
    }

    func loadMore() {
        guard !stops else { return }
        while let (id, isUrgent) = loading.next(isKnown: core.knows) { submit(.load(id, isUrgent: isUrgent)) }
    }
}
