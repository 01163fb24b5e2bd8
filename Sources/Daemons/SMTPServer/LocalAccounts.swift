import Glibc
import ProgramKit
import Synchronization

/// The accounts of this host whose programs have sessions: how many each has, and what they are called. Shared by all event loops.
final class LocalAccounts: Sendable {
    /// Seconds that a name is believed without asking again.
    private static let lifetime = 60
    /// Names that are kept.
    private static let maximumNames = 1000
    /// The name service may be slow; nobody else waits for it.
    private static let threads = 2

    private struct Known {
        let account: LocalAccount
        let until: Int
    }

    private struct State {
        var sessions: [uid_t: Int] = [:]
        var known: [uid_t: Known] = [:]
        var pool: BlockingPool?
        var isStopped = false
    }
    private let state = Mutex(State())
    private let settings: Settings

    init(_ settings: Settings) { self.settings = settings }

    /// One more session of the account; how many there are now.
    func begin(_ uid: uid_t) -> Int {
        state.withLock { state in
            state.sessions[uid, default: 0] += 1
            return state.sessions[uid, default: 0]
        }
    }

    func end(_ uid: uid_t) {
        state.withLock { state in
            guard let count = state.sessions[uid] else { return }
            state.sessions[uid] = count > 1 ? count - 1 : nil
        }
    }

    /// Finds out what an account is called; `body` runs at once, or on a thread of ours.
    func find(
        _ uid: uid_t, _ body: @escaping @Sendable (Result<LocalAccount, SystemAccount.Failure>) -> Void
    ) {
        let now = WorkerProgram.monotonicSeconds()
        let (known, pool) = state.withLock { state -> (LocalAccount?, BlockingPool?) in
            if let known = state.known[uid], known.until > now { return (known.account, nil) }
            guard !state.isStopped else { return (nil, nil) }
            let pool = state.pool ?? BlockingPool(threads: Self.threads)
            state.pool = pool
            return (nil, pool)
        }
        if let known { return body(.success(known)) }
        pool?.submit { [self] in
            do throws(SystemAccount.Failure) {
                let account = try LocalAccount.named(uid, settings)
                keep(account)
                body(.success(account))
            } catch {
                body(.failure(error))
            }
        }
    }

    private func keep(_ account: LocalAccount) {
        let until = WorkerProgram.monotonicSeconds() + Self.lifetime
        state.withLock { state in
            if state.known.count >= Self.maximumNames { state.known = [:] }
            state.known[account.uid] = Known(account: account, until: until)
        }
    }

    func stop() {
        let pool = state.withLock { state in
            state.isStopped = true
            return state.pool
        }
        pool?.stop()
    }
}
