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

    typealias LookUp = @Sendable (uid_t) -> Result<LocalAccount, SystemAccount.Failure>
    typealias Answer = @Sendable (Result<LocalAccount, SystemAccount.Failure>) -> Void

    /// Whose sessions are counted together.
    enum Holder: Hashable, Sendable {
        case uid(uid_t)
        /// Uids that are known to have no account: of these a user with subordinate ones (subuid(5)) has thousands.
        case nobody
    }

    /// What a session was counted as, and how many there are with it.
    struct Place: Hashable, Sendable {
        let holder: Holder
        let ofHolder: Int
        let total: Int
    }

    private struct Known {
        let account: LocalAccount
        let until: Int
    }

    private struct State {
        var sessions: [Holder: Int] = [:]
        var total = 0
        var known: [uid_t: Known] = [:]
        /// Who waits for the look-up of a uid; one is on its way for each.
        var waiting: [uid_t: [Answer]] = [:]
        var pool: BlockingPool?
        var isStopped = false

        func account(_ uid: uid_t, _ now: Int) -> LocalAccount? {
            known[uid].flatMap { $0.until > now ? $0.account : nil }
        }
    }
    private let state = Mutex(State())
    private let lookUp: LookUp

    init(_ lookUp: @escaping LookUp) { self.lookUp = lookUp }

    /// One more session of the uid.
    func begin(_ uid: uid_t) -> Place {
        let now = WorkerProgram.monotonicSeconds()
        return state.withLock { state in
            let holder: Holder = state.account(uid, now)?.exists == false ? .nobody : .uid(uid)
            let count = state.sessions[holder, default: 0] + 1
            state.sessions[holder] = count
            state.total += 1
            return Place(holder: holder, ofHolder: count, total: state.total)
        }
    }

    func end(_ place: Place) {
        state.withLock { state in
            guard let count = state.sessions[place.holder] else { return }
            state.sessions[place.holder] = count > 1 ? count - 1 : nil
            state.total -= 1
        }
    }

    /// Finds out what an account is called; `body` runs once, at once or on a thread of ours.
    func find(_ uid: uid_t, _ body: @escaping Answer) {
        enum Step {
            case answer(Result<LocalAccount, SystemAccount.Failure>)
            case ask(BlockingPool)
            case wait
        }
        let now = WorkerProgram.monotonicSeconds()
        let step = state.withLock { state -> Step in
            if let known = state.account(uid, now) { return .answer(.success(known)) }
            guard !state.isStopped else { return .answer(.failure(SystemAccount.Failure(code: ECANCELED))) }
            let isFirst = state.waiting[uid] == nil
            state.waiting[uid, default: []].append(body)
            guard isFirst else { return .wait }
            let pool = state.pool ?? BlockingPool(threads: Self.threads)
            state.pool = pool
            return .ask(pool)
        }
        switch step {
        case .answer(let result): body(result)
        case .ask(let pool): pool.submit { [self] in ask(uid) }
        case .wait: break
        }
    }

    private func ask(_ uid: uid_t) {
        let result = lookUp(uid)
        if case .success(let account) = result { keep(account) }
        for body in state.withLock({ $0.waiting.removeValue(forKey: uid) }) ?? [] { body(result) }
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
