import CPosix
import Glibc

/// A pid file that its process keeps locked: only a living process of ours holds the lock, so only such a one is signalled.
public final class PidFile {
    public let path: String
    private let descriptor: Int32

    public enum Failure: Error, CustomStringConvertible {
        /// Another process of ours holds it.
        case held(path: String, pid: pid_t?)
        case system(path: String, code: Int32)

        public var description: String {
            switch self {
            case .held(let path, let pid): "\(path) is held by process \(pid.map(String.init) ?? "?")"
            case .system(let path, let code): "\(path): \(String(cString: strerror(code)))"
            }
        }
    }

    /// Creates, locks and writes the file.
    public init(path: String) throws(Failure) {
        self.path = path
        let fd = try Self.locked(path)
        let text = Array("\(getpid())\n".utf8)
        guard ftruncate(fd, 0) == 0, pwrite(fd, text, text.count, 0) == text.count else {
            let code = errno == 0 ? ENOSPC : errno
            close(fd)
            throw .system(path: path, code: code)
        }
        descriptor = fd
    }

    /// The descriptor of the file that has the name `path` and that we have locked.
    private static func locked(_ path: String) throws(Failure) -> Int32 {
        while true {
            // The directory belongs to the daemons' user: root must not be led to write elsewhere by a link.
            let fd = cposix_open(path, O_RDWR | O_CREAT | O_NOFOLLOW, 0o644)
            guard fd >= 0 else { throw .system(path: path, code: errno) }
            guard cposix_lock(fd) == 0 else {
                let code = errno
                close(fd)
                throw code == EAGAIN ? .held(path: path, pid: recordedPid(path)) : .system(path: path, code: code)
            }
            // The holder before us may have removed the file between our open and our lock: then the next one would
            // lock a file of its own beside ours.
            var mine = stat()
            var named = stat()
            if fstat(fd, &mine) == 0, lstat(path, &named) == 0, mine.st_ino == named.st_ino,
                mine.st_dev == named.st_dev
            {
                errno = 0
                return fd
            }
            close(fd)
        }
    }

    deinit { close(descriptor) }

    /// Removes the file; the lock ends with the process or this object.
    public func remove() { unlink(path) }

    /// The pid in the file if a living process holds its lock.
    public static func holder(_ path: String) -> pid_t? {
        let fd = cposix_open(path, O_RDONLY | O_NOFOLLOW, 0)
        guard fd >= 0 else { return nil }
        defer { close(fd) }
        // Asked, not tried: a lock held for a moment here could be what a starting program stumbles over.
        return cposix_is_locked(fd) == 1 ? recordedPid(path) : nil
    }

    private static func recordedPid(_ path: String) -> pid_t? {
        let fd = cposix_open(path, O_RDONLY | O_NOFOLLOW, 0)
        guard fd >= 0 else { return nil }
        defer { close(fd) }
        var buffer = [UInt8](repeating: 0, count: 16)
        let count = read(fd, &buffer, buffer.count)
        guard count > 0 else { return nil }
        return pid_t(String(decoding: buffer[0..<count].prefix { (48...57).contains($0) }, as: UTF8.self))
    }

    /// Takes the file over: TERM to the holder, and the lock as soon as it lets go, within `milliseconds`.
    /// Returns the pid that was ended, if there was one (smtpserver.md §1.1).
    public static func takeOver(
        path: String, milliseconds: Int64
    ) throws(Failure) -> (file: PidFile, previous: pid_t?) {
        let deadline = cposix_monotonic_milliseconds() + milliseconds
        var previous: pid_t?
        var seen: pid_t?
        while true {
            do throws(Failure) {
                return (try PidFile(path: path), previous)
            } catch {
                guard case .held(_, let pid) = error, cposix_monotonic_milliseconds() < deadline else { throw error }
                // A holder that has just locked the file has not written its pid yet: what stands there then is the pid
                // of a dead one, and by now perhaps a stranger's. Only what is read twice is signalled.
                if previous == nil, let pid, pid > 1, pid == seen {
                    kill(pid, SIGTERM)
                    previous = pid
                }
                seen = pid
                usleep(20_000)
            }
        }
    }
}
