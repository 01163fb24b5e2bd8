import Glibc

/// One thread of this process at a time on one path: locks of lockf(3) belong to the whole process, and waiting here costs no
/// polling.
final class PathGate: @unchecked Sendable {
    // Sound: `busy` is touched with `mutex` held; mutex and condition do not move.
    private let mutex = UnsafeMutablePointer<pthread_mutex_t>.allocate(capacity: 1)
    private let changed = UnsafeMutablePointer<pthread_cond_t>.allocate(capacity: 1)
    private var busy: Set<String> = []

    init() {
        pthread_mutex_init(mutex, nil)
        pthread_cond_init(changed, nil)
    }

    deinit {
        pthread_cond_destroy(changed)
        pthread_mutex_destroy(mutex)
        changed.deallocate()
        mutex.deallocate()
    }

    func with(_ path: String, _ body: () throws(DeliveryProblem) -> Void) throws(DeliveryProblem) {
        pthread_mutex_lock(mutex)
        while !busy.insert(path).inserted { pthread_cond_wait(changed, mutex) }
        pthread_mutex_unlock(mutex)
        defer {
            pthread_mutex_lock(mutex)
            busy.remove(path)
            pthread_cond_broadcast(changed)
            pthread_mutex_unlock(mutex)
        }
        try body()
    }
}
