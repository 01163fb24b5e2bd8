import CPosix
import Glibc
import Postoffice
import SpoolFormat

/// What root alone can do, before it becomes the owner of POSTOFFICE.
public enum SpoolOwnership {
    /// Gives files of the spool that belong to others to its owner. Does nothing for everybody but root.
    ///
    /// Only regular files with one name: the spool's user could link another's file here, which must not become his.
    public static func restore(_ postoffice: Postoffice, repairs: Bool) throws(PostofficeError) -> [SpoolFinding] {
        guard geteuid() == 0 else { return [] }
        var root = stat()
        guard stat(postoffice.root, &root) == 0 else {
            throw PostofficeError(.system, postoffice.root, String(cString: strerror(errno)))
        }
        var findings: [SpoolFinding] = []
        for directory in [SpoolDirectory.router, .queue, .transport, .deferred, .freezer] {
            var names: [String] = []
            try postoffice.forEachEntry(directory) { name in
                names.append(name)
                return true
            }
            for name in names {
                let path = "\(postoffice.root)/\(directory.rawValue)/\(name)"
                guard let mark = FileMark(path), mark.isRegular, mark.owner != root.st_uid else { continue }
                findings.append(
                    SpoolFinding(
                        file: "\(directory.rawValue)/\(name)", problem: .wrongOwner,
                        detail: "it belongs to uid \(mark.owner), POSTOFFICE to uid \(root.st_uid)",
                        outcome: give(path, to: root, repairs)))
            }
        }
        return findings
    }

    private static func give(_ path: String, to root: stat, _ repairs: Bool) -> SpoolFinding.Outcome {
        let descriptor = cposix_open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK, 0)
        guard descriptor >= 0 else { return .failed(String(cString: strerror(errno))) }
        defer { close(descriptor) }
        var info = stat()
        guard fstat(descriptor, &info) == 0, info.st_mode & S_IFMT == S_IFREG else { return .left("it has changed") }
        guard info.st_nlink == 1 else { return .left("it has \(info.st_nlink) names; it may be somebody else's") }
        guard repairs else { return .planned("given to uid \(root.st_uid)") }
        guard fchown(descriptor, root.st_uid, root.st_gid) == 0, fchmod(descriptor, 0o640) == 0 else {
            return .failed(String(cString: strerror(errno)))
        }
        return .repaired("given to uid \(root.st_uid)")
    }
}
