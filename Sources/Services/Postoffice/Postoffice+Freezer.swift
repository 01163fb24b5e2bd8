import CPosix
import Glibc
import SpoolFormat

/// The freezer (docs/spool.md §6): notes beside messages, and ways out that a crash on any line leaves in order.
extension Postoffice {
    /// Behind the name of a message: its ``FreezeNote``.
    static let noteSuffix = ".reason"
    /// In `router/`, behind the name of a message that is on its way out of the freezer. No spool name: nobody routes it.
    static let releaseSuffix = ".released"
    /// Seconds after which a note without a message is left over: smtpserver links the note first.
    public static let orphanNoteAge: Int64 = 3600

    /// `freezer/X.reason`.
    public func notePath(_ id: SpoolID) -> String { path(.freezer, id) + Self.noteSuffix }
    func stagingPath(_ id: SpoolID) -> String { path(.router, id) + Self.releaseSuffix }

    /// Why a message is frozen; `nil`: nobody has noted it, or the file is no note.
    public func freezeNote(_ id: SpoolID) throws(PostofficeError) -> FreezeNote? {
        let name = notePath(id)
        let descriptor = cposix_open(name, O_RDONLY | O_NOFOLLOW, 0)
        guard descriptor >= 0 else {
            if errno == ENOENT { return nil }
            throw PostofficeError(name, code: errno)
        }
        defer { close(descriptor) }
        var octets = [UInt8](repeating: 0, count: FreezeNote.maximumSize + 1)
        var count = 0
        while count < octets.count {
            let got = octets.withUnsafeMutableBytes { buffer in
                pread(descriptor, buffer.baseAddress?.advanced(by: count), buffer.count - count, off_t(count))
            }
            if got == 0 { break }
            if got > 0 {
                count += got
            } else if errno != EINTR {
                throw PostofficeError(name, code: errno)
            }
        }
        return FreezeNote(parsing: Array(octets[..<count]))
    }

    /// Writes a note that is not there yet. Its content is durable on return, its name with the next sync of `freezer/`.
    static func writeNote(_ note: FreezeNote, to path: String, in directory: String) throws(PostofficeError) {
        let descriptor = try unnamedFile(in: directory)
        defer { close(descriptor) }
        try writeAll(descriptor, note.encoded(), at: 0, path: path)
        guard fsync(descriptor) == 0 else { throw PostofficeError(path, code: errno) }
        guard cposix_link_fd(descriptor, path) == 0 else { throw PostofficeError(path, code: errno, missing: .missing) }
    }

    // MARK: Ways out; the caller holds the lock

    /// Moves a frozen message to `router/`: durable on return, and to be routed from then on.
    ///
    /// A name in `router/` may be taken, delivered and removed at once, so the one in `freezer/` must be gone before it is there:
    /// otherwise a second release after a crash would deliver it twice. And it must not go before another is durable. So there is
    /// a name in between, which nobody acts upon but this function and ``finishReleases()``.
    public func release(_ id: SpoolID) throws(PostofficeError) {
        try stageRelease(id)
        try leaveFreezer(id)
        try finishRelease(id)
        try removeNote(id)
    }

    func stageRelease(_ id: SpoolID) throws(PostofficeError) {
        let name = path(.router, id)
        if access(name, F_OK) == 0, access(path(.freezer, id), F_OK) == 0, !Self.isSameFile(path(.freezer, id), name) {
            throw PostofficeError(name, code: EEXIST)
        }
        do throws(PostofficeError) {
            try Self.linkOnce(path(.freezer, id), stagingPath(id))
        } catch {
            // It has left already, in a release that died.
            guard error.kind == .notFound, access(stagingPath(id), F_OK) == 0 else { throw error }
        }
        try routerSync.wait()
    }

    func leaveFreezer(_ id: SpoolID) throws(PostofficeError) {
        let name = path(.freezer, id)
        guard unlink(name) == 0 || errno == ENOENT else { throw PostofficeError(name, code: errno) }
        try freezerSync.wait()
    }

    func finishRelease(_ id: SpoolID) throws(PostofficeError) {
        let name = path(.router, id)
        if cposix_rename_noreplace(stagingPath(id), name) != 0 {
            let code = errno
            guard code == EEXIST, Self.isSameFile(stagingPath(id), name) else {
                throw PostofficeError(name, code: code)
            }
            // Somebody has moved it there by hand.
            guard unlink(stagingPath(id)) == 0 else { throw PostofficeError(stagingPath(id), code: errno) }
        }
        try routerSync.wait()
    }

    func removeNote(_ id: SpoolID) throws(PostofficeError) {
        guard unlink(notePath(id)) == 0 || errno == ENOENT else { throw PostofficeError(notePath(id), code: errno) }
    }

    /// Completes releases that died in the middle; the result are their names, which the router is to be told.
    public func finishReleases() throws(PostofficeError) -> [SpoolID] {
        var staged: [SpoolID] = []
        try forEachEntry(.router) { name in
            if let id = Self.id(of: name, Self.releaseSuffix) { staged.append(id) }
            return true
        }
        var finished: [SpoolID] = []
        for id in staged.sorted() {
            if access(path(.freezer, id), F_OK) == 0 {
                // It had not left: still frozen, as if nothing had been asked for.
                guard unlink(stagingPath(id)) == 0 || errno == ENOENT else {
                    throw PostofficeError(stagingPath(id), code: errno)
                }
            } else {
                // Its leaving may not be durable yet, and must be before anybody can deliver it.
                try freezerSync.wait()
                do throws(PostofficeError) {
                    try finishRelease(id)
                } catch  where error.kind == .exists {
                    // Another file has been given its name: the others are not to wait for that.
                    continue
                }
                try removeNote(id)
                finished.append(id)
            }
        }
        return finished
    }

    /// Removes a frozen message and its note; nobody is told. Not durable before the next sync: until then a power cut brings it back.
    public func drop(_ id: SpoolID, sync: Bool = true) throws(PostofficeError) {
        if unlink(stagingPath(id)) == 0 {
            // A power cut must not bring back this name alone: it would be delivered.
            try routerSync.wait()
        } else if errno != ENOENT {
            throw PostofficeError(stagingPath(id), code: errno)
        }
        let name = path(.freezer, id)
        guard unlink(name) == 0 else { throw PostofficeError(name, code: errno) }
        try removeNote(id)
        if sync { try freezerSync.wait() }
    }

    /// Removes notes whose message is gone and that were last changed before `limit` (seconds since 1970); the result are their names.
    public func removeOrphanNotes(before limit: Int64) throws(PostofficeError) -> [String] {
        var orphans: [String] = []
        try forEachEntry(.freezer) { name in
            guard let id = Self.id(of: name, Self.noteSuffix), access(path(.freezer, id), F_OK) != 0, errno == ENOENT
            else { return true }
            var info = stat()
            if lstat(notePath(id), &info) == 0, info.st_mtim.tv_sec < limit { orphans.append(name) }
            return true
        }
        return orphans.filter { unlink("\(root)/freezer/\($0)") == 0 }
    }

    /// The message that a name with a suffix belongs to.
    private static func id(of name: String, _ suffix: String) -> SpoolID? {
        name.hasSuffix(suffix) ? SpoolID(name.dropLast(suffix.count)) : nil
    }

    private static func isSameFile(_ one: String, _ other: String) -> Bool {
        var first = stat()
        var second = stat()
        return lstat(one, &first) == 0 && lstat(other, &second) == 0 && first.st_ino == second.st_ino
            && first.st_dev == second.st_dev
    }
}

/// Held by whoever takes something out of the freezer: what one of two has begun the other must not undo. The end of a process ends
/// it, too.
public final class FreezerLock: Sendable {
    private let descriptor: Int32

    /// Tries for at most `milliseconds`; a failure of code EAGAIN says that another program has it.
    public init(_ postoffice: Postoffice, milliseconds: Int64) throws(PostofficeError) {
        let path = "\(postoffice.root)/freezer"
        descriptor = cposix_open(path, O_RDONLY | O_DIRECTORY, 0)
        // `deinit` runs after a throw too.
        guard descriptor >= 0 else { throw PostofficeError(path, code: errno, missing: .missing) }
        let end = cposix_monotonic_milliseconds() + milliseconds
        while flock(descriptor, LOCK_EX | LOCK_NB) != 0 {
            let code = errno
            guard code == EINTR || (code == EAGAIN && cposix_monotonic_milliseconds() < end) else {
                throw PostofficeError(path, code: code)
            }
            usleep(10_000)
        }
    }

    deinit { if descriptor >= 0 { close(descriptor) } }

    /// Lets others in.
    public func end() { flock(descriptor, LOCK_UN) }
}
