import ChildProcesses
import Glibc
import ProgramKit

/// `submission-socket`: every user of this host may connect; who it is the system tells of each connection (SO_PEERCRED).
enum SubmissionSocket {
    /// A name that a socket was bound to.
    struct Name {
        private let path: String
        private let device: dev_t
        private let inode: ino_t

        /// `nil`: it is not there any more.
        init?(_ path: String) {
            var information = stat()
            guard lstat(path, &information) == 0 else { return nil }
            self.path = path
            device = information.st_dev
            inode = information.st_ino
        }

        /// Unless another server has taken it since.
        func remove() {
            var information = stat()
            guard lstat(path, &information) == 0, information.st_dev == device, information.st_ino == inode else {
                return
            }
            unlink(path)
        }
    }

    /// A name that somebody has left is taken over; anything else that has the name stays, and is said.
    static func listen(_ path: String, backlog: Int) throws(ListenError) -> Int32 {
        var information = stat()
        if lstat(path, &information) == 0, information.st_mode & S_IFMT != S_IFSOCK {
            throw ListenError("\(path) is there and no socket; remove it, or name another submission-socket", .osFile)
        }
        // Who could put a socket of his own there would get the mail of others.
        let folder = path.lastIndex(of: "/").map { $0 == path.startIndex ? "/" : String(path[..<$0]) } ?? "."
        if let problem = SocketFolder.problem(folder) {
            throw ListenError("\(path): \(problem); mend that, or name a submission-socket elsewhere", .osFile)
        }
        // Of the whole process, and the master makes files in this thread alone.
        let mask = umask(0)
        defer { umask(mask) }
        do throws(UnixSocket.Failure) {
            return try UnixSocket.listen(SocketPath.reachable(path), mode: 0o666, backlog: Int32(clamping: backlog))
        } catch {
            throw ListenError("cannot listen on \(path)", error.code)
        }
    }
}
