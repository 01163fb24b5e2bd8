import AgentKit
import ChildProcesses
import Glibc
import Telemetry

/// Through which all work on users' files goes, so that none of them can hold the agent up: neither a home directory whose file
/// system never answers, nor a program that takes its time.
///
/// One account has some of the agent's threads and no more. Work on its files that comes no step further for too long is left to
/// itself: its thread goes on alone, and ends when they answer; until then the account's mail is deferred at once. And one thread
/// of this process at a time is at one path: locks of lockf(3) belong to the whole process.
final class DeliveryGate: @unchecked Sendable {
    // Sound: `places` and `busy` are touched with `mutex` held; mutex and condition do not move.
    private let mutex = UnsafeMutablePointer<pthread_mutex_t>.allocate(capacity: 1)
    private let changed = UnsafeMutablePointer<pthread_cond_t>.allocate(capacity: 1)
    private var places: DeliveryPlaces
    private var busy: Set<String> = []
    private let limits: Limits
    private let log: EventLog?

    typealias Limits = DeliveryPlaces.Limits

    init(_ limits: Limits = Limits(), log: EventLog? = nil) {
        self.limits = limits
        places = DeliveryPlaces(limits)
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

    /// Work on files of an account, on a thread that has its identity; `nil`: as ourselves, here, for as long as it takes. `path`: a
    /// file that is the thread's alone meanwhile. `body` may go on after this has thrown: it tells its passage of each step, and
    /// asks it before it does what cannot be undone.
    func files(
        of account: String, as identity: ChildRequest.Identity?, path: String? = nil,
        _ body: @escaping (Passage) throws(DeliveryProblem) -> Void
    ) throws(DeliveryProblem) {
        guard let identity else {
            enter(path)
            defer { leave(path) }
            return try body(Passage())
        }
        let (number, passage) = try enter(account, path)
        let end = ContinuousClock.now + limits.longest
        let deadline = { [limits] in min(end, passage.lastProgress + limits.patience) }
        var problem: DeliveryProblem?
        let hasEnded: Bool
        do throws(IdentityThread.Failure) {
            hasEnded = try IdentityThread.run(as: identity, until: deadline) {
                do throws(DeliveryProblem) { try body(passage) } catch { problem = error }
            } late: { [self] in
                self.end(account, number, path)
                log?.notice("home-answers", ["user": account, "uid": "\(identity.uid)"])
            }
        } catch {
            self.end(account, number, path)
            throw .temporary("4.3.0", error.description)
        }
        if hasEnded {
            self.end(account, number, path)
        } else if let problem = leaveToItself(account, identity.uid, number) {
            passage.close()
            throw problem
        }
        if let problem { throw problem }
    }

    /// A program of an account. It is ended in time by whoever runs it.
    func program(
        of account: String, as identity: ChildRequest.Identity?,
        _ body: () throws(DeliveryProblem) -> RecipientResult
    ) throws(DeliveryProblem) -> RecipientResult {
        guard identity != nil else { return try body() }
        let (number, _) = try enter(account, nil, isProgram: true)
        defer { end(account, number, nil) }
        return try body()
    }

    // MARK: Places

    private func enter(
        _ account: String, _ path: String?, isProgram: Bool = false
    ) throws(DeliveryProblem) -> (number: UInt64, passage: Passage) {
        let deadline = ContinuousClock.now + limits.entry
        pthread_mutex_lock(mutex)
        defer { pthread_mutex_unlock(mutex) }
        while true {
            let now = ContinuousClock.now
            if let problem = places.obstacle(account, now) { throw problem }
            let hasPlace = places.hasPlace(account)
            if hasPlace, path.map({ !busy.contains($0) }) ?? true { break }
            guard now < deadline else {
                throw hasPlace ? .temporary("4.2.0", "\(path ?? "") is busy") : places.fullProblem(account)
            }
            wait(until: min(deadline, places.nextObstacle(account) ?? deadline))
        }
        if let path { busy.insert(path) }
        let passage = Passage()
        return (places.begin(account, isProgram ? nil : passage, .now), passage)
    }

    /// As ourselves there is nobody who could be held up but those who wait for the same.
    private func enter(_ path: String?) {
        guard let path else { return }
        pthread_mutex_lock(mutex)
        while busy.contains(path) { pthread_cond_wait(changed, mutex) }
        busy.insert(path)
        pthread_mutex_unlock(mutex)
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

    private func end(_ account: String, _ number: UInt64, _ path: String?) {
        pthread_mutex_lock(mutex)
        if let path { busy.remove(path) }
        places.end(account, number)
        pthread_cond_broadcast(changed)
        pthread_mutex_unlock(mutex)
    }

    /// `nil`: it has ended in this moment after all.
    private func leaveToItself(_ account: String, _ uid: uid_t, _ number: UInt64) -> DeliveryProblem? {
        pthread_mutex_lock(mutex)
        let time = places.leaveToItself(account, number, .now)
        let count = places.stuck
        pthread_cond_broadcast(changed)
        pthread_mutex_unlock(mutex)
        guard let time else { return nil }
        let seconds = time.components.seconds
        log?.warning(
            "home-unresponsive",
            ["user": account, "uid": "\(uid)", "seconds": "\(seconds)", "waiting": "\(count)"])
        return DeliveryPlaces.silentProblem(account, time)
    }
}
