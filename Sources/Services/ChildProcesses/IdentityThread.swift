import CPosix
import Glibc

/// Blocking work under another user, inside this process (docs/architecture.md): a thread of its own takes the identity with raw
/// system calls, works, and ends; no other thread is touched and nothing can be left with the wrong identity.
public enum IdentityThread {
    public struct Failure: Error, Hashable, Sendable, CustomStringConvertible {
        public let identity: ChildRequest.Identity
        /// `errno`.
        public let code: Int32
        public var description: String {
            "cannot work as uid \(identity.uid), gid \(identity.gid): \(String(cString: strerror(code)))"
        }
    }

    /// Octets of the thread's stack.
    private static let stackSize = 512 * 1024

    /// Runs `body` and waits for its end. `body` is not called if the identity cannot be had. It may use what the caller
    /// owns, as the caller waits.
    public static func run(as identity: ChildRequest.Identity, _ body: () -> Void) throws(Failure) {
        let code = withoutActuallyEscaping(body) { body in
            let work = Work(identity, body)
            var attributes = pthread_attr_t()
            pthread_attr_init(&attributes)
            pthread_attr_setstacksize(&attributes, stackSize)
            defer { pthread_attr_destroy(&attributes) }
            var thread = pthread_t()
            let argument = Unmanaged.passUnretained(work).toOpaque()
            let error = pthread_create(&thread, &attributes, { runWork($0) }, argument)
            guard error == 0 else { return error }
            pthread_join(thread, nil)
            return work.code
        }
        guard code == 0 else { throw Failure(identity: identity, code: code) }
    }

    /// The same for work that may never come back, as on a file system whose server is gone: waits no longer than until
    /// `deadline`, which is asked for a later one when it has come. Returns whether `body` has ended; if not, it goes on, and
    /// `late` is called on its thread when it ends after all. What `body` uses it must own, or share with nobody.
    public static func run(
        as identity: ChildRequest.Identity, until deadline: () -> ContinuousClock.Instant,
        _ body: @escaping () -> Void, late: @escaping @Sendable () -> Void
    ) throws(Failure) -> Bool {
        let work = PatientWork(identity, body, late: late)
        var attributes = pthread_attr_t()
        pthread_attr_init(&attributes)
        pthread_attr_setstacksize(&attributes, stackSize)
        defer { pthread_attr_destroy(&attributes) }
        var thread = pthread_t()
        let argument = Unmanaged.passRetained(work)
        let error = pthread_create(&thread, &attributes, { runPatientWork($0) }, argument.toOpaque())
        guard error == 0 else {
            argument.release()
            throw Failure(identity: identity, code: error)
        }
        guard work.wait(until: deadline) else {
            pthread_detach(thread)
            return false
        }
        pthread_join(thread, nil)
        guard work.code == 0 else { throw Failure(identity: identity, code: work.code) }
        return true
    }

    fileprivate final class Work {
        let identity: ChildRequest.Identity
        let body: () -> Void
        var code: Int32 = 0

        init(_ identity: ChildRequest.Identity, _ body: @escaping () -> Void) {
            self.identity = identity
            self.body = body
        }
    }
}

private func runWork(_ argument: UnsafeMutableRawPointer?) -> UnsafeMutableRawPointer? {
    guard let argument else { return nil }
    // Not retained: the starting thread holds it until this one has ended.
    let work = Unmanaged<IdentityThread.Work>.fromOpaque(argument).takeUnretainedValue()
    work.code = cposix_thread_identity(work.identity.uid, work.identity.gid)
    if work.code == 0 { work.body() }
    return nil
}

/// What two threads know of work that one of them waits for.
private final class PatientWork: @unchecked Sendable {
    // Sound: `hasEnded` and `isLeft` are touched with `mutex` held, `code` and `body` by the working thread until `hasEnded`.
    let identity: ChildRequest.Identity
    let late: @Sendable () -> Void
    var body: (() -> Void)?
    var code: Int32 = 0
    private var hasEnded = false
    private var isLeft = false
    private let mutex = UnsafeMutablePointer<pthread_mutex_t>.allocate(capacity: 1)
    private let ended = UnsafeMutablePointer<pthread_cond_t>.allocate(capacity: 1)

    init(_ identity: ChildRequest.Identity, _ body: @escaping () -> Void, late: @escaping @Sendable () -> Void) {
        self.identity = identity
        self.body = body
        self.late = late
        pthread_mutex_init(mutex, nil)
        var attributes = pthread_condattr_t()
        pthread_condattr_init(&attributes)
        pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC)
        pthread_cond_init(ended, &attributes)
        pthread_condattr_destroy(&attributes)
    }

    deinit {
        pthread_cond_destroy(ended)
        pthread_mutex_destroy(mutex)
        ended.deallocate()
        mutex.deallocate()
    }

    /// Whether it ends by then.
    func wait(until deadline: () -> ContinuousClock.Instant) -> Bool {
        pthread_mutex_lock(mutex)
        defer { pthread_mutex_unlock(mutex) }
        while !hasEnded {
            let rest = deadline() - .now
            guard rest > .zero else {
                isLeft = true
                return false
            }
            var end = timespec()
            clock_gettime(CLOCK_MONOTONIC, &end)
            let nanoseconds = end.tv_nsec + Int(rest.components.attoseconds / 1_000_000_000)
            end.tv_sec += Int(rest.components.seconds) + nanoseconds / 1_000_000_000
            end.tv_nsec = nanoseconds % 1_000_000_000
            pthread_cond_timedwait(ended, mutex, &end)
        }
        return true
    }

    func end() {
        // What it holds on to goes before anybody is told.
        body = nil
        pthread_mutex_lock(mutex)
        hasEnded = true
        let isLeft = isLeft
        pthread_cond_signal(ended)
        pthread_mutex_unlock(mutex)
        if isLeft { late() }
    }
}

private func runPatientWork(_ argument: UnsafeMutableRawPointer?) -> UnsafeMutableRawPointer? {
    guard let argument else { return nil }
    let work = Unmanaged<PatientWork>.fromOpaque(argument).takeRetainedValue()
    work.code = cposix_thread_identity(work.identity.uid, work.identity.gid)
    if work.code == 0 { work.body?() }
    work.end()
    return nil
}
