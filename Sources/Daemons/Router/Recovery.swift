import Glibc
import Postoffice
import SpoolFormat

/// Looks for what crashes leave behind (docs/spool.md §4).
enum Recovery {
    /// Messages in `queue/` without a control file and without another name in `router/`: theirs was lost with the power.
    static func orphans(_ postoffice: Postoffice) throws(PostofficeError) -> [SpoolID] {
        let queued = try postoffice.entries(.queue)
        guard !queued.isEmpty else { return [] }
        let transport = Set(try postoffice.entries(.transport))
        // The scheduler may have removed it since: then its name in queue/ is gone too.
        return queued.filter { id in
            !transport.contains(id) && !exists(postoffice, .transport, id) && !exists(postoffice, .router, id)
                && exists(postoffice, .queue, id)
        }
    }

    private static func exists(_ postoffice: Postoffice, _ directory: SpoolDirectory, _ id: SpoolID) -> Bool {
        access(postoffice.path(directory, id), F_OK) == 0
    }

    /// Whether `transport/X` has a whole head; that of a later version counts, because its results do.
    static func hasControl(_ postoffice: Postoffice, _ id: SpoolID) throws(PostofficeError) -> Bool {
        do throws(PostofficeError) {
            return isWhole(try postoffice.read(.transport, id, limit: 1 << 30))
        } catch {
            guard error.kind == .notFound else { throw error }
            return false
        }
    }

    private static func isWhole(_ octets: [UInt8]) -> Bool {
        do throws(ControlFileError) {
            _ = try ControlFile.parse(octets)
            return true
        } catch {
            switch error {
            case .torn, .syntax: return false
            case .unsupported: return true
            }
        }
    }

    /// Removes files of `public/` last changed before `limit` (seconds since 1970); the result is their names.
    static func removeLeftovers(_ postoffice: Postoffice, olderThan limit: Int64) throws(PostofficeError) -> [String] {
        var removed: [String] = []
        try postoffice.forEachEntry(.public) { name in
            let path = "\(postoffice.root)/public/\(name)"
            var info = stat()
            guard lstat(path, &info) == 0, info.st_mode & S_IFMT == S_IFREG, info.st_mtim.tv_sec < limit else {
                return true
            }
            if unlink(path) == 0 { removed.append(name) }
            return true
        }
        return removed
    }
}
