import Glibc
import Synchronization

/// The locks of one mailbox file, held from ``take()`` until ``release()`` or the end of this object.
final class MailboxLock {
    private let path: String
    private let file: OpenFile
    private let keys: [LockKeys.Key]
    private let patience: Duration
    private var hasDotlock = false

    /// For how long another holder is waited for. ZMailer checks five times, a second apart; we look more often.
    static let standardPatience = Duration.seconds(5)
    private static let pause: UInt32 = 20_000
    /// Seconds after which a dotlock is taken for left behind.
    private static let staleAge = 300

    init(_ path: String, _ file: OpenFile, _ keys: [LockKeys.Key], patience: Duration = standardPatience) {
        self.path = path
        self.file = file
        self.keys = keys
        self.patience = patience
    }

    deinit { release() }

    func take() throws(DeliveryProblem) {
        let deadline = ContinuousClock.now + patience
        for key in keys {
            switch key {
            case .dotlock: try dotlock(until: deadline)
            case .flock:
                try wait("flock", until: deadline) { flock(file.descriptor, LOCK_EX | LOCK_NB) }
            case .lockf:
                // From the end on would leave the rest unprotected: the lock is on the whole file.
                lseek(file.descriptor, 0, SEEK_SET)
                try wait("lockf", until: deadline) { lockf(file.descriptor, F_TLOCK, 0) }
            }
        }
    }

    /// Kernel locks go with the descriptor.
    func release() {
        guard hasDotlock else { return }
        hasDotlock = false
        unlink("\(path).lock")
    }

    private func wait(_ name: String, until deadline: ContinuousClock.Instant, _ attempt: () -> Int32)
        throws(DeliveryProblem)
    {
        while attempt() != 0 {
            let code = errno
            guard code == EAGAIN || code == EACCES || code == EINTR || code == EWOULDBLOCK else {
                throw .system(name, path, code)
            }
            try pauseOrGiveUp(deadline)
        }
    }

    private func pauseOrGiveUp(_ deadline: ContinuousClock.Instant) throws(DeliveryProblem) {
        guard ContinuousClock.now < deadline else { throw .temporary("4.2.0", "\(path) is locked by another program") }
        usleep(Self.pause)
    }

    /// The file `<mailbox>.lock`, made by a link, which is one step on every file system.
    private func dotlock(until deadline: ContinuousClock.Instant) throws(DeliveryProblem) {
        let lock = "\(path).lock"
        let unique = "\(lock).\(getpid()).\(pthread_self())"
        let holder: OpenFile
        do throws(Errno) {
            holder = try OpenFile(unique, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW)
        } catch {
            throw .system("dotlock", unique, error.code)
        }
        defer { unlink(unique) }
        try holder.write("\(getpid())\n")
        while link(unique, lock) != 0 {
            let code = errno
            guard code == EEXIST else { throw .system("dotlock", lock, code) }
            var information = stat()
            if lstat(lock, &information) == 0, time(nil) - information.st_mtim.tv_sec > Self.staleAge {
                unlink(lock)
                continue
            }
            try pauseOrGiveUp(deadline)
        }
        hasDotlock = true
    }
}
