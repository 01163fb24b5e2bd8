import CPosix
import Glibc

/// Unix stream sockets between our programs: nonblocking, close-on-exec.
public enum UnixSocket {
    public struct Failure: Error, Hashable, Sendable, CustomStringConvertible {
        public let path: String
        public let code: Int32
        public var description: String { "\(path): \(String(cString: strerror(code)))" }

        public init(path: String, code: Int32) {
            self.path = path
            self.code = code
        }
    }

    /// Binds and listens; the name has `mode` from its first moment on. An old socket of that name is replaced.
    public static func listen(_ path: String, mode: mode_t = 0o600, backlog: Int32 = 128) throws(Failure) -> Int32 {
        let descriptor = cposix_unix_listen(path, Int32(SOCK_STREAM.rawValue), mode, backlog)
        guard descriptor >= 0 else { throw Failure(path: path, code: errno) }
        return descriptor
    }

    /// The next waiting connection, `nil` with errno set if there is none.
    public static func accept(_ listener: Int32) -> Int32? {
        let descriptor = Glibc.accept(listener, nil, nil)
        guard descriptor >= 0 else { return nil }
        _ = cposix_set_cloexec(descriptor, 1)
        _ = cposix_set_nonblocking(descriptor, 1)
        return descriptor
    }

    /// For a child that reads and writes as programs do.
    public static func makeBlocking(_ descriptor: Int32) { _ = cposix_set_nonblocking(descriptor, 0) }

    /// The uid of whoever is at the other end.
    public static func peer(_ descriptor: Int32) -> uid_t? {
        var uid: uid_t = 0
        var pid: pid_t = 0
        return cposix_peer_credentials(descriptor, &uid, &pid) == 0 ? uid : nil
    }

    /// Two connected ends for a child: `ours` does not block, `theirs` does.
    public static func pair() throws(Failure) -> (ours: Int32, theirs: Int32) {
        var ends: [Int32] = [-1, -1]
        guard cposix_socketpair(&ends) == 0 else { throw Failure(path: "socketpair", code: errno) }
        _ = cposix_set_nonblocking(ends[0], 1)
        return (ends[0], ends[1])
    }
}

/// A clock that never goes back.
public enum SteadyClock {
    public static var milliseconds: Int64 { cposix_monotonic_milliseconds() }
}

/// The clock of the machine, which may be put right.
public enum WallClock {
    /// Since 1970.
    public static var milliseconds: Int64 { cposix_milliseconds() }
}
