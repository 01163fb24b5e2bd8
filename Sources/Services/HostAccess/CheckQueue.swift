import Glibc

/// The checks of this process, one after the other.
///
/// Sound as `@unchecked Sendable`: all mutable state is read and written under `mutex`.
final class CheckQueue: @unchecked Sendable {
    /// libwrap's globals are the process's.
    static let shared = CheckQueue()

    /// Octets of a thread's stack.
    private static let stackSize = 256 * 1024

    private let mutex = UnsafeMutablePointer<pthread_mutex_t>.allocate(capacity: 1)
    /// Something waits for libwrap.
    private let added = UnsafeMutablePointer<pthread_cond_t>.allocate(capacity: 1)
    /// There is something new to watch.
    private let changed = UnsafeMutablePointer<pthread_cond_t>.allocate(capacity: 1)
    private var waiting: [Check] = []
    /// What libwrap works on.
    private var running: Check?
    private var hasWorker = false
    private var hasWatcher = false

    private init() {
        pthread_mutex_init(mutex, nil)
        pthread_cond_init(added, nil)
        var attributes = pthread_condattr_t()
        pthread_condattr_init(&attributes)
        pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC)
        pthread_cond_init(changed, &attributes)
        pthread_condattr_destroy(&attributes)
    }

    func add(_ check: Check) {
        pthread_mutex_lock(mutex)
        let reason: String
        if waiting.count >= HostAccess.maximumWaiting {
            reason = "\(waiting.count) checks of TCP wrappers wait already"
        } else if let problem = startThreads() {
            reason = "no thread for TCP wrappers: \(String(cString: strerror(problem)))"
        } else {
            waiting.append(check)
            pthread_cond_signal(added)
            pthread_cond_signal(changed)
            pthread_mutex_unlock(mutex)
            return
        }
        let answer = check.takeAnswer()
        pthread_mutex_unlock(mutex)
        answer?(.unavailable(reason))
    }

    /// An errno, if one cannot be had.
    private func startThreads() -> Int32? {
        if !hasWorker {
            let code = Self.start { _ in CheckQueue.shared.serve() }
            if code != 0 { return code }
            hasWorker = true
        }
        if !hasWatcher {
            let code = Self.start { _ in CheckQueue.shared.watch() }
            if code != 0 { return code }
            hasWatcher = true
        }
        return nil
    }

    /// 0, or an errno. The thread lives as long as the process.
    private static func start(
        _ body: @convention(c) (UnsafeMutableRawPointer?) -> UnsafeMutableRawPointer?
    ) -> Int32 {
        var attributes = pthread_attr_t()
        pthread_attr_init(&attributes)
        pthread_attr_setstacksize(&attributes, stackSize)
        pthread_attr_setdetachstate(&attributes, Int32(PTHREAD_CREATE_DETACHED))
        defer { pthread_attr_destroy(&attributes) }
        var thread = pthread_t()
        return pthread_create(&thread, &attributes, body, nil)
    }

    // MARK: the threads

    private func serve() -> Never {
        var paths = TablePaths()
        while true {
            pthread_mutex_lock(mutex)
            while waiting.isEmpty { pthread_cond_wait(added, mutex) }
            let check = waiting.removeFirst()
            running = check
            pthread_mutex_unlock(mutex)
            let verdict = check.run(&paths)
            pthread_mutex_lock(mutex)
            running = nil
            let answer = check.takeAnswer()
            pthread_mutex_unlock(mutex)
            answer?(verdict)
        }
    }

    private func watch() -> Never {
        while true {
            pthread_mutex_lock(mutex)
            var late = takeLate()
            while late.isEmpty {
                if let next = deadline {
                    var time = next.value
                    pthread_cond_timedwait(changed, mutex, &time)
                } else {
                    pthread_cond_wait(changed, mutex)
                }
                late = takeLate()
            }
            let answers = late.map { (check: $0, answer: $0.takeAnswer()) }
            pthread_mutex_unlock(mutex)
            for (check, answer) in answers {
                answer?(.unavailable("TCP wrappers did not answer in \(check.timeLimit)"))
            }
        }
    }

    /// Checks whose time is over; they wait no longer.
    private func takeLate() -> [Check] {
        let now = MonotonicTime.now
        let late = waiting.filter { $0.deadline <= now }
        if !late.isEmpty { waiting.removeAll { $0.deadline <= now } }
        if let running, !running.isAnswered, running.deadline <= now { return [running] + late }
        return late
    }

    private var deadline: MonotonicTime? {
        let first = waiting.map(\.deadline).min()
        guard let running, !running.isAnswered else { return first }
        return min(running.deadline, first ?? running.deadline)
    }
}
