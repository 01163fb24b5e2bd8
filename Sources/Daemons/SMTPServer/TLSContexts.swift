import Glibc
import Synchronization
import Telemetry
import TransportSecurity

/// The TLS contexts of a worker, by group. New ones hold for new sessions; those that there are keep theirs.
final class TLSContexts: Sendable {
    /// Where handshakes are worked on.
    let pool: BlockingPool
    private let plan: TLSPlan
    private let contexts: Mutex<[Int: TLSServerContext]>

    init(_ plan: TLSPlan, _ bundle: TLSBundle, threads: Int) throws(TLSFailure) {
        self.plan = plan
        contexts = Mutex(try Self.make(plan, bundle))
        pool = BlockingPool(threads: threads)
    }

    private static func make(_ plan: TLSPlan, _ bundle: TLSBundle) throws(TLSFailure) -> [Int: TLSServerContext] {
        var made: [Int: TLSServerContext] = [:]
        for group in plan.groups {
            guard let material = bundle.materials[group.index] else { continue }
            made[group.index] = try TLSServerContext(material, group.settings)
        }
        return made
    }

    func replace(_ bundle: TLSBundle) throws(TLSFailure) {
        let fresh = try Self.make(plan, bundle)
        contexts.withLock { $0 = fresh }
    }

    /// `nil`: the group has no TLS.
    func context(of group: Int) -> TLSServerContext? { contexts.withLock { $0[group] } }

    /// A line for each certificate where `tls-loglevel` asks for it.
    func logCertificates(_ log: EventLog) {
        for group in plan.groups where group.logLevel >= 1 {
            for summary in context(of: group.index)?.summaries ?? [] {
                log.notice("certificate", ["group": "\(group.index)", "certificate": summary])
            }
        }
    }
}
