import DequeModule
import Glibc

/// A fixed number of threads for calls that block: spool writes, directory reads.
///
/// One waiting thread is woken for each job, none when all are busy. The queue is bounded by its users: a session has at
/// most one job out.
///
/// Sound as `@unchecked Sendable`: `jobs`, `idle` and `isStopping` are read and written only with `mutex` held.
final class BlockingPool: @unchecked Sendable {
    typealias Job = @Sendable () -> Void

    /// Enough to keep a disk's queue full while files are synced (docs/architecture.md).
    static let defaultThreads = 16

    private let mutex = UnsafeMutablePointer<pthread_mutex_t>.allocate(capacity: 1)
    private let condition = UnsafeMutablePointer<pthread_cond_t>.allocate(capacity: 1)
    private var jobs = Deque<Job>()
    private var idle = 0
    private var isStopping = false

    init(threads: Int = BlockingPool.defaultThreads) {
        mutex.initialize(to: pthread_mutex_t())
        condition.initialize(to: pthread_cond_t())
        pthread_mutex_init(mutex, nil)
        pthread_cond_init(condition, nil)
        for _ in 0..<threads {
            var thread = pthread_t()
            let context = Unmanaged.passRetained(self)
            let code = pthread_create(
                &thread, nil,
                { raw in
                    guard let raw else { return nil }
                    Unmanaged<BlockingPool>.fromOpaque(raw).takeRetainedValue().work()
                    return nil
                }, context.toOpaque())
            precondition(code == 0, "no thread for the pool at start: \(String(cString: strerror(code)))")
            pthread_detach(thread)
        }
    }

    deinit {
        // The threads hold references: none is left here.
        pthread_cond_destroy(condition)
        pthread_mutex_destroy(mutex)
        condition.deallocate()
        mutex.deallocate()
    }

    func submit(_ job: @escaping Job) {
        pthread_mutex_lock(mutex)
        jobs.append(job)
        let wakes = idle > 0
        if wakes { idle -= 1 }
        pthread_mutex_unlock(mutex)
        if wakes { pthread_cond_signal(condition) }
    }

    /// The threads end when the queue is empty.
    func stop() {
        pthread_mutex_lock(mutex)
        isStopping = true
        pthread_mutex_unlock(mutex)
        pthread_cond_broadcast(condition)
    }

    private func work() {
        pthread_mutex_lock(mutex)
        while true {
            if let job = jobs.popFirst() {
                pthread_mutex_unlock(mutex)
                job()
                pthread_mutex_lock(mutex)
            } else if isStopping {
                pthread_mutex_unlock(mutex)
                return
            } else {
                // `submit` counts a thread as busy before it wakes one; a wake-up without a job counts it again.
                idle += 1
                pthread_cond_wait(condition, mutex)
            }
        }
    }
}
