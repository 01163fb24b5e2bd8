import Glibc
import SpoolFormat
import Synchronization

/// A few threads for blocking work on spool files. The loop hands over a turn's jobs at once and gets results back in batches,
/// announced through a pipe.
///
/// Sound as `@unchecked Sendable`: the queues and results are touched with their mutex held only; the rest never changes.
final class FileWorkers: @unchecked Sendable {
    /// Readable when there are results.
    let descriptor: Int32
    private let announcer: Int32
    private let lanes: [Lane]
    private let resultLock = Lock()
    private var results: [FileResult] = []
    /// An octet is on its way to the loop.
    private var isAnnounced = false
    /// Quiet results that are kept for the loop's next turn; more wake it.
    private static let quietLimit = 32

    /// `makeWorker` is called once for each thread, on it.
    init(threads: Int, makeWorker: @escaping @Sendable () -> FileWorker) {
        guard let ends = Descriptor.pipe() else { preconditionFailure("pipe failed: no descriptors left at start") }
        (descriptor, announcer) = ends
        Descriptor.setNonblocking(descriptor)
        lanes = (0..<max(2, threads)).map { _ in Lane() }
        for lane in lanes { startThread { [self] in run(lane, makeWorker()) } }
    }

    /// Jobs of one message go to the same thread, but for those that are ``FileJob/isQuick``. `threads` is at least 2.
    func submit(_ jobs: [FileJob]) {
        guard !jobs.isEmpty else { return }
        var split = [[FileJob]](repeating: [], count: lanes.count)
        for job in jobs {
            // Where it failed is where it must be resumed: that may have been either.
            if case .resume = job { split[0].append(job) }
            split[job.isQuick ? 0 : lane(of: job.id)].append(job)
        }
        for (lane, jobs) in zip(lanes, split) where !jobs.isEmpty { lane.add(jobs) }
    }

    private func lane(of id: SpoolID) -> Int {
        1 + Int((id.rawValue >> 22 &+ id.rawValue & 4095) % UInt64(lanes.count - 1))
    }

    /// Runs `work` on a thread of its own; its result comes back like those of jobs.
    func runAside(_ work: @escaping @Sendable () -> [FileResult]) {
        startThread { [self] in deliver(work()) }
    }

    /// Likewise, when every job that was submitted before has been done, or has failed, and its result delivered.
    func runBehindJobs(_ work: @escaping @Sendable () -> [FileResult]) {
        let behind = Countdown(lanes.count) { [self] in runAside(work) }
        for lane in lanes { lane.add(behind) }
    }

    /// Call it when ``descriptor`` is readable.
    func takeAnnounced() -> [FileResult] {
        var octets: (UInt64, UInt64) = (0, 0)
        _ = read(descriptor, &octets, 16)
        return resultLock.with {
            isAnnounced = false
            defer { results = [] }
            return results
        }
    }

    /// What is there without having been announced.
    func takeQuiet() -> [FileResult] {
        resultLock.with {
            defer { results = [] }
            return results
        }
    }

    private func deliver(_ new: [FileResult]) {
        guard !new.isEmpty else { return }
        let isQuiet = new.allSatisfy(\.isQuiet)
        let announces = resultLock.with {
            results += new
            guard !isAnnounced, !isQuiet || results.count > Self.quietLimit else { return false }
            isAnnounced = true
            return true
        }
        guard announces else { return }
        // At most one octet is under way, so this never waits.
        var one: UInt8 = 1
        _ = write(announcer, &one, 1)
    }

    private func run(_ lane: Lane, _ worker: FileWorker) {
        while true {
            // Results go back in portions, so that the loop has work while a long batch is done.
            let (taken, behind) = lane.take()
            var jobs = taken[...]
            while !jobs.isEmpty {
                let portion = jobs.prefix(64)
                jobs = jobs.dropFirst(portion.count)
                deliver(worker.perform(portion))
            }
            for countdown in behind { countdown.step() }
        }
    }
}

/// The queue of one thread.
private final class Lane: @unchecked Sendable {
    // Sound: `jobs` and `behind` are touched with the lock held only.
    private let lock = Lock()
    private var jobs: [FileJob] = []
    private var behind: [Countdown] = []

    func add(_ new: [FileJob]) {
        lock.with { jobs += new }
        lock.wake()
    }

    /// When the jobs that are there have been done.
    func add(_ countdown: Countdown) {
        lock.with { behind.append(countdown) }
        lock.wake()
    }

    /// Everything that is there; waits until there is something.
    func take() -> (jobs: [FileJob], behind: [Countdown]) {
        lock.withWaiting(until: { !jobs.isEmpty || !behind.isEmpty }) {
            defer { (jobs, behind) = ([], []) }
            return (jobs, behind)
        }
    }
}

/// Runs something when all of a number of threads have come so far.
private final class Countdown: Sendable {
    private let rest: Atomic<Int>
    private let work: @Sendable () -> Void

    init(_ count: Int, _ work: @escaping @Sendable () -> Void) {
        rest = Atomic(count)
        self.work = work
    }

    func step() {
        if rest.subtract(1, ordering: .acquiringAndReleasing).newValue == 0 { work() }
    }
}

/// A mutex with its condition.
private final class Lock: @unchecked Sendable {
    // Sound: pthread objects at addresses that do not move.
    private let mutex = UnsafeMutablePointer<pthread_mutex_t>.allocate(capacity: 1)
    private let condition = UnsafeMutablePointer<pthread_cond_t>.allocate(capacity: 1)

    init() {
        pthread_mutex_init(mutex, nil)
        pthread_cond_init(condition, nil)
    }

    deinit {
        pthread_mutex_destroy(mutex)
        pthread_cond_destroy(condition)
        mutex.deallocate()
        condition.deallocate()
    }

    func with<Result>(_ body: () -> Result) -> Result {
        pthread_mutex_lock(mutex)
        defer { pthread_mutex_unlock(mutex) }
        return body()
    }

    func withWaiting<Result>(until isReady: () -> Bool, _ body: () -> Result) -> Result {
        pthread_mutex_lock(mutex)
        defer { pthread_mutex_unlock(mutex) }
        while !isReady() { pthread_cond_wait(condition, mutex) }
        return body()
    }

    func wake() { pthread_cond_signal(condition) }
}

private final class ThreadBody {
    let run: @Sendable () -> Void
    init(_ run: @escaping @Sendable () -> Void) { self.run = run }
}

/// A detached thread of 1 MiB stack. Without threads the daemon can do nothing: failing to start one ends it, and its supervisor
/// starts it again.
private func startThread(_ body: @escaping @Sendable () -> Void) {
    var attributes = pthread_attr_t()
    pthread_attr_init(&attributes)
    pthread_attr_setstacksize(&attributes, 1 << 20)
    pthread_attr_setdetachstate(&attributes, Int32(PTHREAD_CREATE_DETACHED))
    defer { pthread_attr_destroy(&attributes) }
    var thread: pthread_t = 0
    let context = Unmanaged.passRetained(ThreadBody(body)).toOpaque()
    let code = pthread_create(
        &thread, &attributes,
        { raw in
            guard let raw else { return nil }
            Unmanaged<ThreadBody>.fromOpaque(raw).takeRetainedValue().run()
            return nil
        }, context)
    precondition(code == 0, "pthread_create: \(String(cString: strerror(code)))")
}
