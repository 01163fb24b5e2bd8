import AgentKit
import ChildProcesses
import Glibc
import Telemetry

/// Through which all work on users' files goes, so that none of them can hold the agent up: neither a home directory whose file
/// system never answers, nor a program that takes its time.
///
/// One user has some of the agent's threads and no more. Who has waited for his files for too long is left to himself: his thread
/// goes on alone, and ends when they answer; until then his mail is deferred at once. And one thread of this process at a time is
/// at one path: locks of lockf(3) belong to the whole process.
final class DeliveryGate: @unchecked Sendable {
    // Sound: `users`, `busy` and `stuck` are touched with `mutex` held; mutex and condition do not move.
    private let mutex = UnsafeMutablePointer<pthread_mutex_t>.allocate(capacity: 1)
    private let changed = UnsafeMutablePointer<pthread_cond_t>.allocate(capacity: 1)
    private var users: [uid_t: User] = [:]
    private var busy: Set<String> = []
    private var stuck = 0
    private let limits: Limits
    private let log: EventLog?

    struct Limits: Hashable, Sendable {
        /// Threads that one user may have at the same time.
        var places = 4
        /// How long another delivery waits for a place, and how long one may take before others to the same user are deferred at once.
        var entry = Duration.seconds(10)
        /// How long work on files may take before it is left to itself.
        var patience = Duration.seconds(30)
        /// Threads that are left to themselves. With so many no new work on users' files is begun.
        var stuck = 200

        /// A quarter of the agent's threads for one user.
        init(jobs: Int = 16) { places = max(1, jobs / 4) }
    }

    private struct User {
        /// When the work of each began.
        var begun: [UInt64: ContinuousClock.Instant] = [:]
        /// Left to themselves.
        var stuck: Set<UInt64> = []
        /// Which of `begun` are programs: they may take their time.
        var programs: Set<UInt64> = []
        var next: UInt64 = 0

        /// When the work on files began that is at it for the longest time.
        var oldestFiles: ContinuousClock.Instant? {
            begun.filter { !programs.contains($0.key) }.values.min()
        }
    }

    init(_ limits: Limits = Limits(), log: EventLog? = nil) {
        self.limits = limits
        self.log = log
        pthread_mutex_init(mutex, nil)
        var attributes = pthread_condattr_t()
        pthread_condattr_init(&attributes)
        pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC)
        pthread_cond_init(changed, &attributes)
        pthread_condattr_destroy(&attributes)
    }

    deinit {
        pthread_cond_destroy(changed)
        pthread_mutex_destroy(mutex)
        changed.deallocate()
        mutex.deallocate()
    }

    /// Work on files of a user, on a thread that has his identity; `nil`: as ourselves, here, for as long as it takes. `path`: a file
    /// that is the thread's alone meanwhile. `body` may go on after this has thrown: it asks its passage before it does what
    /// cannot be undone.
    func files(
        of identity: ChildRequest.Identity?, path: String? = nil,
        _ body: @escaping (Passage) throws(DeliveryProblem) -> Void
    ) throws(DeliveryProblem) {
        guard let identity else {
            try enter(nil, path)
            defer { leave(path) }
            return try body(Passage())
        }
        let number = try enter(identity.uid, path)
        let passage = Passage()
        var problem: DeliveryProblem?
        let hasEnded: Bool
        do throws(IdentityThread.Failure) {
            hasEnded = try IdentityThread.run(as: identity, patience: limits.patience) {
                do throws(DeliveryProblem) { try body(passage) } catch { problem = error }
            } late: { [self] in
                end(identity.uid, number, path)
                log?.notice("home-answers", ["uid": "\(identity.uid)"])
            }
        } catch {
            end(identity.uid, number, path)
            throw .temporary("4.3.0", error.description)
        }
        guard hasEnded else {
            passage.close()
            throw leaveToItself(identity.uid, number)
        }
        end(identity.uid, number, path)
        if let problem { throw problem }
    }

    /// A program of a user. It is ended in time by whoever runs it.
    func program(
        of identity: ChildRequest.Identity?, _ body: () throws(DeliveryProblem) -> RecipientResult
    ) throws(DeliveryProblem) -> RecipientResult {
        guard let identity else { return try body() }
        let number = try enter(identity.uid, nil, isProgram: true)
        defer { end(identity.uid, number, nil) }
        return try body()
    }

    // MARK: Places

    @discardableResult
    private func enter(_ uid: uid_t?, _ path: String?, isProgram: Bool = false) throws(DeliveryProblem) -> UInt64 {
        let deadline = ContinuousClock.now + limits.entry
        pthread_mutex_lock(mutex)
        defer { pthread_mutex_unlock(mutex) }
        while true {
            let now = ContinuousClock.now
            if let uid, let problem = obstacle(uid, now) { throw problem }
            let hasPlace = uid.map { (users[$0]?.begun.count ?? 0) < limits.places } ?? true
            if hasPlace, path.map({ !busy.contains($0) }) ?? true { break }
            // As ourselves there is nobody who could be held up but those who wait for the same.
            guard let uid else {
                pthread_cond_wait(changed, mutex)
                continue
            }
            guard now < deadline else {
                throw hasPlace ? .temporary("4.2.0", "\(path ?? "") is busy") : fullProblem(uid)
            }
            wait(until: min(deadline, (users[uid]?.oldestFiles).map { $0 + limits.entry } ?? deadline))
        }
        if let path { busy.insert(path) }
        guard let uid else { return 0 }
        var user = users[uid] ?? User()
        user.next += 1
        user.begun[user.next] = ContinuousClock.now
        if isProgram { user.programs.insert(user.next) }
        users[uid] = user
        return user.next
    }

    /// Why nothing more of a user is begun.
    private func obstacle(_ uid: uid_t, _ now: ContinuousClock.Instant) -> DeliveryProblem? {
        if let user = users[uid] {
            if let oldest = user.oldestFiles, !user.stuck.isEmpty || now - oldest >= limits.entry {
                return .temporary(
                    "4.3.0",
                    "home does not answer: files of uid \(uid) have been waited for for \((now - oldest).components.seconds) s"
                )
            }
            if user.begun.count >= limits.places, let oldest = user.begun.values.min(), now - oldest >= limits.entry {
                return fullProblem(uid)
            }
        }
        guard stuck < limits.stuck else {
            return .temporary("4.3.0", "home directories do not answer: \(stuck) deliveries to them are waiting")
        }
        return nil
    }

    private func fullProblem(_ uid: uid_t) -> DeliveryProblem {
        .temporary("4.3.0", "uid \(uid) has \(limits.places) deliveries at work, and they take their time")
    }

    private func wait(until end: ContinuousClock.Instant) {
        var time = timespec()
        clock_gettime(CLOCK_MONOTONIC, &time)
        let rest = max(.milliseconds(1), end - .now).components
        let nanoseconds = time.tv_nsec + Int(rest.attoseconds / 1_000_000_000)
        time.tv_sec += Int(rest.seconds) + nanoseconds / 1_000_000_000
        time.tv_nsec = nanoseconds % 1_000_000_000
        pthread_cond_timedwait(changed, mutex, &time)
    }

    private func leave(_ path: String?) {
        guard let path else { return }
        pthread_mutex_lock(mutex)
        busy.remove(path)
        pthread_cond_broadcast(changed)
        pthread_mutex_unlock(mutex)
    }

    private func end(_ uid: uid_t, _ number: UInt64, _ path: String?) {
        pthread_mutex_lock(mutex)
        if let path { busy.remove(path) }
        if users[uid]?.stuck.remove(number) != nil { stuck -= 1 }
        users[uid]?.begun[number] = nil
        users[uid]?.programs.remove(number)
        if users[uid]?.begun.isEmpty == true { users[uid] = nil }
        pthread_cond_broadcast(changed)
        pthread_mutex_unlock(mutex)
    }

    private func leaveToItself(_ uid: uid_t, _ number: UInt64) -> DeliveryProblem {
        pthread_mutex_lock(mutex)
        // It may have ended in this moment.
        if users[uid]?.begun[number] != nil {
            users[uid]?.stuck.insert(number)
            stuck += 1
        }
        let count = stuck
        pthread_cond_broadcast(changed)
        pthread_mutex_unlock(mutex)
        let seconds = limits.patience.components.seconds
        log?.warning("home-unresponsive", ["uid": "\(uid)", "seconds": "\(seconds)", "waiting": "\(count)"])
        return .temporary("4.3.0", "home does not answer: files of uid \(uid) have been waited for for \(seconds) s")
    }
}
