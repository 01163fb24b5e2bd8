import CPosix
import Glibc

/// fsync of one directory, shared by all threads that wait for it: whoever comes while one runs is covered by the next.
/// Those who wait for the running one and those who wait for the next have a condition each, so that nobody is woken in vain.
///
/// Sound as `@unchecked Sendable`: all mutable state is read and written under `mutex`; the descriptor never changes.
final class DirectorySync: @unchecked Sendable {
    let path: String
    let descriptor: Int32
    private let mutex = UnsafeMutablePointer<pthread_mutex_t>.allocate(capacity: 1)
    /// By the parity of the sync that is waited for.
    private let ended = UnsafeMutablePointer<pthread_cond_t>.allocate(capacity: 2)
    private var started: UInt64 = 0
    private var finished: UInt64 = 0
    /// The last sync that failed, and how: everyone whom it was to cover must hear of it.
    private var failed: (sync: UInt64, code: Int32) = (0, 0)
    private var isRunning = false

    init(_ path: String) throws(PostofficeError) {
        self.path = path
        // Before anything can fail: `deinit` runs after a throw too.
        pthread_mutex_init(mutex, nil)
        pthread_cond_init(ended, nil)
        pthread_cond_init(ended + 1, nil)
        descriptor = cposix_open(path, O_RDONLY | O_DIRECTORY, 0)
        guard descriptor >= 0 else { throw PostofficeError(path, code: errno, missing: .missing) }
    }

    deinit {
        if descriptor >= 0 { close(descriptor) }
        pthread_mutex_destroy(mutex)
        pthread_cond_destroy(ended)
        pthread_cond_destroy(ended + 1)
        mutex.deallocate()
        ended.deallocate()
    }

    /// Returns when every change made to the directory before the call is durable.
    func wait() throws(PostofficeError) {
        pthread_mutex_lock(mutex)
        let mine = started + 1
        while finished < mine {
            if isRunning {
                pthread_cond_wait(ended + Int(mine & 1), mutex)
                continue
            }
            isRunning = true
            started += 1
            let sync = started
            pthread_mutex_unlock(mutex)
            let code = fsync(descriptor) == 0 ? 0 : errno
            pthread_mutex_lock(mutex)
            if code != 0 { failed = (sync, code) }
            finished = sync
            isRunning = false
            // All that this one covered; and one of those who came meanwhile, to run the next for all of them.
            pthread_cond_broadcast(ended + Int(sync & 1))
            pthread_cond_signal(ended + Int((sync + 1) & 1))
        }
        let code = failed.sync >= mine ? failed.code : 0
        pthread_mutex_unlock(mutex)
        if code != 0 { throw PostofficeError(path, code: code) }
    }
}
