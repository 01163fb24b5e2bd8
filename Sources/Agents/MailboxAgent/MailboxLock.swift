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
        let holder = try Self.newFile(unique)
        defer { unlink(unique) }
        // The first line is what other programs look for.
        try holder.write("\(getpid())\n\(Self.host)\n")
        while link(unique, lock) != 0 {
            let code = errno
            guard code == EEXIST else { throw Self.problem(lock, code) }
            if removeStale(lock) { continue }
            try pauseOrGiveUp(deadline)
        }
        hasDotlock = true
    }

    /// What has that name already is an earlier process's, or of somebody who wants us to open his FIFO.
    private static func newFile(_ path: String) throws(DeliveryProblem) -> OpenFile {
        let flags = O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_NONBLOCK
        do throws(Errno) { return try OpenFile(path, flags) } catch {
            guard error.code == EEXIST, unlink(path) == 0 else { throw problem(path, error.code) }
        }
        do throws(Errno) { return try OpenFile(path, flags) } catch { throw problem(path, error.code) }
    }

    /// ZMailer returns mail when the lock may not be made; here an operator can put it right first.
    private static func problem(_ lock: String, _ code: Int32) -> DeliveryProblem {
        guard code == EACCES || code == EPERM else { return .system("dotlock", lock, code) }
        return .temporary(
            "4.2.1", "dotlock \(lock): \(String(cString: strerror(code))) (MBOXLOCKS without '.' needs no such file)")
    }

    /// This machine, as it calls itself: in a mail directory that several share a pid says nothing of the others.
    private static let host: String = {
        var buffer = [CChar](repeating: 0, count: 256)
        guard gethostname(&buffer, buffer.count - 1) == 0 else { return "" }
        return String(decoding: buffer.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }()

    /// Whether the lock is that of an agent of this machine that was killed.
    private static func isOfDead(_ lock: OpenFile) -> Bool {
        guard !host.isEmpty, let octets = try? lock.contents(limit: 300) else { return false }
        let lines = String(decoding: octets, as: UTF8.self).split(separator: "\n")
        guard lines.count == 2, lines[1] == host, let pid = pid_t(lines[0]), pid > 0 else { return false }
        return kill(pid, 0) != 0 && errno == ESRCH
    }

    /// Removes a lock that nobody holds any more, and only that one: of several who find it so the first has made a new one meanwhile.
    private func removeStale(_ lock: String) -> Bool {
        var found = stat()
        guard lstat(lock, &found) == 0, found.st_mode & S_IFMT == S_IFREG else { return false }
        // The old file itself is the gate through which one at a time goes; not every owner lets us open it.
        let old = try? OpenFile(lock, O_RDONLY | O_NOFOLLOW | O_NONBLOCK)
        guard found.st_mtim.tv_sec < time(nil) - Self.staleAge || old.map(Self.isOfDead) ?? false else { return false }
        if let old, flock(old.descriptor, LOCK_EX | LOCK_NB) != 0 { return false }
        var now = stat()
        guard lstat(lock, &now) == 0, now.st_ino == found.st_ino, now.st_dev == found.st_dev,
            now.st_mtim.tv_sec == found.st_mtim.tv_sec
        else { return false }
        return withExtendedLifetime(old) { unlink(lock) == 0 }
    }
}
