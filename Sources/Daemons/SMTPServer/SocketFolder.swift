import Glibc

/// Whether nobody but root and this process can have decided what is at a path, and can change it.
enum SocketFolder {
    /// Why somebody else could; `nil`: nobody can, or the folder is not there.
    ///
    /// - Parameter folder: clients go by its name, so that links in it are looked at too.
    static func problem(_ folder: String) -> String? {
        guard let pointer = realpath(folder, nil) else { return nil }
        let resolved = String(cString: pointer)
        free(pointer)
        if let problem = problem(ofAll: resolved, isFolder: true) { return problem }
        return folder.hasPrefix("/") && folder != resolved ? problem(ofAll: folder, isFolder: false) : nil
    }

    /// The path and all directories above it. In a sticky one nobody can put another thing in the place of what is not his; the socket
    /// itself must not lie in one, where its name could be taken while we do not run.
    private static func problem(ofAll path: String, isFolder: Bool) -> String? {
        var path = path[...]
        var isFolder = isFolder
        while true {
            let name = path.isEmpty ? "/" : String(path)
            var information = stat()
            guard lstat(name, &information) == 0 else { return "\(name): \(String(cString: strerror(errno)))" }
            guard information.st_uid == 0 || information.st_uid == geteuid() else {
                return "\(name) belongs to uid \(information.st_uid), and not to root or who listens (uid \(geteuid()))"
            }
            let isLink = information.st_mode & S_IFMT == S_IFLNK
            let isSticky = information.st_mode & S_ISVTX != 0 && !isFolder
            if information.st_mode & 0o022 != 0, !isLink, !isSticky {
                let mode = String(information.st_mode & 0o7777, radix: 8)
                return "\(name) may be written by others (mode \(mode); chmod go-w)"
            }
            isFolder = false
            guard !path.isEmpty, let slash = path.lastIndex(of: "/") else { return nil }
            path = path[..<slash]
        }
    }
}
