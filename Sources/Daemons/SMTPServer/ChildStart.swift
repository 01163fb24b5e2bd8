import ChildProcesses
import Configuration
import Glibc

/// A process of ours that could not be started.
struct StartError: Error, CustomStringConvertible {
    let description: String
    init(_ description: String) { self.description = description }
}

/// Where a child tells that it serves.
enum StatusPipe {
    static func make() throws(StartError) -> (read: Int32, write: Int32) {
        var ends: [Int32] = [-1, -1]
        guard pipe(&ends) == 0 else { throw StartError("cannot make a pipe: \(String(cString: strerror(errno)))") }
        return (ends[0], ends[1])
    }
}

/// The identity that workers get when the master is root (`TRUSTEDUSER`).
enum TrustedUser {
    static func identity(_ environment: ZEnvironment) -> ChildRequest.Identity? {
        guard geteuid() == 0, let name = environment["TRUSTEDUSER"], let account = getpwnam(name) else { return nil }
        return ChildRequest.Identity(uid: account.pointee.pw_uid, gid: account.pointee.pw_gid)
    }

    /// Why `TRUSTEDUSER` cannot be used; `nil` if it can.
    static func problem(_ environment: ZEnvironment) -> String? {
        guard geteuid() == 0, let name = environment["TRUSTEDUSER"] else { return nil }
        return getpwnam(name) == nil ? "TRUSTEDUSER '\(name)' is no user of this system" : nil
    }
}
