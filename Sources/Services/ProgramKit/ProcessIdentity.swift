import CPosix
import Glibc

/// Least privilege for programs that need root only to be started.
public enum ProcessIdentity {
    /// What was read or changed, and the `errno`.
    public struct Failure: Error, Hashable, Sendable, CustomStringConvertible {
        public let what: String
        public let code: Int32
        public var description: String { "\(what): \(String(cString: strerror(code)))" }
    }

    /// No core file of this process, and nobody of its uid may look into it: it holds keys or passwords.
    public static func forbidDumps() { cposix_no_dump() }

    /// As root: takes the identity of the owner of `path` for the whole process, for good. Otherwise, or where root owns it:
    /// nothing is changed. Call it before the first thread is started.
    public static func becomeOwner(of path: String) throws(Failure) {
        guard geteuid() == 0 else { return }
        var information = stat()
        guard stat(path, &information) == 0 else { throw Failure(what: path, code: errno) }
        guard information.st_uid != 0 else { return }
        let code = cposix_drop_privileges(information.st_uid, information.st_gid)
        guard code == 0 else { throw Failure(what: "cannot become uid \(information.st_uid)", code: code) }
    }

    /// As root: the identity of the owner of `path` for the calling thread alone (raw system calls: glibc's would change all threads).
    /// For threads that work on the spool in a process that must stay root to start others.
    public static func becomeOwnerOnThisThread(of path: String) throws(Failure) {
        guard geteuid() == 0 else { return }
        var information = stat()
        guard stat(path, &information) == 0 else { throw Failure(what: path, code: errno) }
        guard information.st_uid != 0 else { return }
        let code = cposix_thread_identity(information.st_uid, information.st_gid)
        guard code == 0 else { throw Failure(what: "cannot become uid \(information.st_uid)", code: code) }
    }
}
