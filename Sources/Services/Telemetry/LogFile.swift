import CPosix
import Glibc

/// Opening files for log lines.
public enum LogFile {
    /// A descriptor that appends to `path`; a missing file is made with mode 0640.
    ///
    /// LOGDIR may belong to a user that root does not trust. As root, therefore, only a regular file with one name is taken,
    /// and no symbolic link is followed; and a file that root makes there belongs to the owner of the directory, so that
    /// those parts that run as this user can open it again.
    public static func open(_ path: String) throws(EventLogError) -> Int32 {
        // Devices are root's; /dev/stderr is a link.
        if path.hasPrefix("/dev/") {
            let descriptor = cposix_open(path, O_WRONLY | O_APPEND | O_NOCTTY, 0)
            guard descriptor >= 0 else { throw EventLogError(path: path, code: errno) }
            return descriptor
        }
        let flags = O_WRONLY | O_APPEND | O_NOCTTY | (geteuid() == 0 ? O_NOFOLLOW : 0)
        var descriptor = cposix_open(path, flags | O_CREAT, 0o640)
        while descriptor < 0, errno == EINTR { descriptor = cposix_open(path, flags | O_CREAT, 0o640) }
        guard descriptor >= 0 else { throw EventLogError(path: path, code: errno) }
        if geteuid() == 0, let code = giveToOwner(of: path, descriptor) {
            close(descriptor)
            throw EventLogError(path: path, code: code)
        }
        return descriptor
    }

    /// What is wrong with the file, as `errno`.
    private static func giveToOwner(of path: String, _ descriptor: Int32) -> Int32? {
        var file = stat()
        guard fstat(descriptor, &file) == 0 else { return errno }
        guard file.st_mode & S_IFMT == S_IFREG else { return EINVAL }
        guard file.st_nlink <= 1 else { return EMLINK }
        var directory = stat()
        let parent = path.lastIndex(of: "/").map { path[...$0] } ?? "."
        guard stat(String(parent), &directory) == 0 else { return errno }
        guard file.st_uid == 0, directory.st_uid != 0 else { return nil }
        return fchown(descriptor, directory.st_uid, directory.st_gid) == 0 ? nil : errno
    }

    /// Whether two descriptors lead to the same file.
    static func isSame(_ first: Int32, _ second: Int32) -> Bool {
        var one = stat()
        var other = stat()
        return fstat(first, &one) == 0 && fstat(second, &other) == 0 && one.st_dev == other.st_dev
            && one.st_ino == other.st_ino
    }
}

public struct EventLogError: Error, CustomStringConvertible {
    public let path: String
    /// `errno`.
    public let code: Int32
    public var description: String { "cannot open the log \(path): \(String(cString: strerror(code)))" }
}
