import Synchronization
import TransportSecurity

/// Sessions that servers let us resume, so that the next connection costs them and us less. In memory, of this process.
///
/// Bounded: ``maximumSessions``; beyond that what is over is dropped, then all.
final class TLSSessionCache: Sendable {
    private struct Entry: Sendable {
        let session: TLSClientSession
        let until: Deadline
    }
    static let maximumSessions = 1000

    private let entries = Mutex<[TLSPlan.SessionKey: Entry]>([:])
    private let lifetime: Duration

    /// - Parameter lifetime: zero: nothing is kept.
    init(lifetime: Duration) { self.lifetime = lifetime }

    func session(for key: TLSPlan.SessionKey) -> TLSClientSession? {
        entries.withLock { entries in
            guard let entry = entries[key] else { return nil }
            if entry.until.hasPassed {
                entries[key] = nil
                return nil
            }
            return entry.session
        }
    }

    func insert(_ session: TLSClientSession, for key: TLSPlan.SessionKey) {
        guard lifetime > .zero else { return }
        let entry = Entry(session: session, until: Deadline(after: lifetime))
        entries.withLock { entries in
            if entries.count >= Self.maximumSessions, entries[key] == nil {
                entries = entries.filter { !$0.value.until.hasPassed }
                if entries.count >= Self.maximumSessions { entries = [:] }
            }
            entries[key] = entry
        }
    }

    /// After a handshake that failed: whatever the session has to do with it, the next one is a full one.
    func remove(_ key: TLSPlan.SessionKey) { entries.withLock { $0[key] = nil } }
}
