import Glibc

/// Whether nobody but its owner and root can have decided what is at a path. Looked at under the owner's identity.
enum PathSafety {
    /// Without links; `nil` with `errno`.
    static func resolved(_ path: String) -> String? {
        guard let resolved = realpath(path, nil) else { return nil }
        defer { free(resolved) }
        return String(cString: resolved)
    }

    /// Why the file behind `descriptor` is not one that `uid` alone has written; `nil`: it is.
    static func problem(_ information: stat, uid: uid_t) -> String? {
        guard information.st_mode & S_IFMT == S_IFREG else { return "is not a regular file" }
        return ownerProblem(information, uid)
    }

    /// The same for all directories above a resolved path. In a sticky one nobody can put a file in another's place.
    static func directoryProblem(above resolved: String, uid: uid_t) -> String? {
        var path = resolved[...]
        while let slash = path.lastIndex(of: "/") {
            path = path[..<slash]
            let directory = path.isEmpty ? "/" : String(path)
            var information = stat()
            guard lstat(directory, &information) == 0 else {
                return "\(directory): \(String(cString: strerror(errno)))"
            }
            if information.st_mode & S_ISVTX != 0 { continue }
            if let problem = ownerProblem(information, uid) { return "its directory \(directory) \(problem)" }
        }
        return nil
    }

    /// In a directory that its group or all may write, what receives a user's mail must be his or root's: whoever else made it
    /// would read the mail.
    static func requireOwner(_ owner: uid_t, of path: String, _ information: stat) throws(DeliveryProblem) {
        guard information.st_uid != owner, information.st_uid != 0 else { return }
        var above = stat()
        guard stat(directory(of: path), &above) != 0 || above.st_mode & (S_IWGRP | S_IWOTH) != 0 else { return }
        throw .temporary("4.2.1", "\(path) belongs to uid \(information.st_uid), not to its user (\(owner))")
    }

    static func directory(of path: String) -> String {
        guard let slash = path.lastIndex(of: "/") else { return "." }
        return slash == path.startIndex ? "/" : String(path[..<slash])
    }

    private static func ownerProblem(_ information: stat, _ uid: uid_t) -> String? {
        guard information.st_uid == uid || information.st_uid == 0 else {
            return "belongs to uid \(information.st_uid), not to its user"
        }
        guard information.st_mode & 0o022 == 0 else {
            let mode = String(information.st_mode & 0o7777, radix: 8)
            return "may be written by others (mode \(mode); chmod go-w)"
        }
        return nil
    }
}
