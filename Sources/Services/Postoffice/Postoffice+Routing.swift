import CPosix
import Glibc
import SpoolFormat

extension Postoffice {
    /// What became of the attempt to take a message from `router/` to `queue/`.
    public enum Claim: Hashable, Sendable {
        case claimed
        /// `queue/X` is there already: routed before, or the router died in the middle.
        case alreadyQueued
        /// `router/X` is gone: delivered or settled meanwhile.
        case gone
    }

    /// Links `router/X` to `queue/X`.
    public func claimForQueue(_ id: SpoolID) throws(PostofficeError) -> Claim {
        let from = path(.router, id)
        let to = path(.queue, id)
        if link(from, to) == 0 { return .claimed }
        let code = errno
        switch code {
        case EEXIST: return .alreadyQueued
        case ENOENT where access("\(root)/queue", F_OK) == 0 && access("\(root)/router", F_OK) == 0: return .gone
        default: throw PostofficeError(to, code: code, missing: .missing)
        }
    }

    /// Writes `transport/X`. Not synced: the head is derived from the message file. `false`: there is one already, and it stays
    /// unless it is to be replaced, because a good one may hold results.
    @discardableResult
    public func writeControl(
        _ id: SpoolID, _ head: [UInt8], replacing: Bool = false
    ) throws(PostofficeError) -> Bool {
        let name = path(.transport, id)
        let descriptor = try Self.unnamedFile(in: "\(root)/transport")
        defer { close(descriptor) }
        try Self.writeAll(descriptor, head, at: 0, path: name)
        if cposix_link_fd(descriptor, name) == 0 { return true }
        guard errno == EEXIST else { throw PostofficeError(name, code: errno, missing: .missing) }
        guard replacing else { return false }
        guard unlink(name) == 0 || errno == ENOENT, cposix_link_fd(descriptor, name) == 0 else {
            throw PostofficeError(name, code: errno)
        }
        return true
    }

    /// Makes the names in `queue/` durable, then removes those in `router/`. Costs no sync if all are gone already. A message
    /// without a name in `queue/` keeps its only one, and the next scan finds it.
    public func settle(_ ids: [SpoolID]) throws(PostofficeError) {
        let left = ids.filter { access(path(.router, $0), F_OK) == 0 && access(path(.queue, $0), F_OK) == 0 }
        guard !left.isEmpty else { return }
        try queueSync.wait()
        for id in left where unlink(path(.router, id)) != 0 && errno != ENOENT {
            throw PostofficeError(path(.router, id), code: errno)
        }
    }

    /// Moves a file between directories: the old name goes when the new one is durable. `suffix` as in `12345:poison`.
    public func move(
        _ id: SpoolID, from: SpoolDirectory, to: SpoolDirectory, suffix: String = ""
    ) throws(PostofficeError) {
        let old = path(from, id)
        let new = path(to, id) + suffix
        try Self.linkOnce(old, new)
        let sync = try DirectorySync("\(root)/\(to.rawValue)")
        try sync.wait()
        guard unlink(old) == 0 || errno == ENOENT else { throw PostofficeError(old, code: errno) }
    }

    /// A routed message whose control file is torn or missing: a name in `router/` again, durable on return. The name in `queue/`
    /// stays: another program may be doing the same, and the message may be routed before this returns.
    public func requeue(_ id: SpoolID) throws(PostofficeError) {
        let queued = path(.queue, id)
        try Self.linkOnce(queued, path(.router, id))
        try routerSync.wait()
    }

    /// Gives the file `old` the name `new` too; no error if it has it already, as after a crash in the middle. A name that
    /// is another file's is left alone: removing `old` then would lose it.
    static func linkOnce(_ old: String, _ new: String) throws(PostofficeError) {
        while true {
            if link(old, new) == 0 { return }
            let code = errno
            guard code == EEXIST else { throw PostofficeError(new, code: code) }
            // Another program may be putting the same message in order, so that either name may vanish meanwhile.
            var mine = stat()
            var named = stat()
            if lstat(new, &named) != 0 {
                if errno == ENOENT { continue }
                throw PostofficeError(new, code: errno)
            }
            if lstat(old, &mine) != 0 {
                if errno == ENOENT { return }
                throw PostofficeError(old, code: errno)
            }
            if mine.st_ino == named.st_ino, mine.st_dev == named.st_dev { return }
            throw PostofficeError(new, code: code)
        }
    }
}
