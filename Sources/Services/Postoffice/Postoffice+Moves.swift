import CPosix
import Glibc
import SpoolFormat

/// What operators move: control files that are replaced, and messages that are routed again (docs/spool.md §8).
extension Postoffice {
    /// In `router/`, behind a new name: `.from-` and the name of the message that its recipients leave. No spool name: nobody routes it.
    private static let reroutePart = ".from-"

    /// Puts `octets` in the place of `transport/X`: whole or not at all, durable on return.
    public func replaceControl(_ id: SpoolID, _ octets: [UInt8]) throws(PostofficeError) {
        let name = path(.transport, id)
        let new = "\(name).new"
        let descriptor = try Self.unnamedFile(in: "\(root)/transport")
        defer { close(descriptor) }
        try Self.writeAll(descriptor, octets, at: 0, path: new)
        guard fsync(descriptor) == 0 else { throw PostofficeError(new, code: errno) }
        guard unlink(new) == 0 || errno == ENOENT, cposix_link_fd(descriptor, new) == 0 else {
            throw PostofficeError(new, code: errno)
        }
        guard rename(new, name) == 0 else { throw PostofficeError(name, code: errno) }
        try Self.syncDirectory("\(root)/transport")
    }

    private func reroutePath(_ new: SpoolID, from old: SpoolID) -> String {
        path(.router, new) + Self.reroutePart + old.description
    }

    /// A message file on which nobody acts yet: this envelope, and the content of `queue/<old>`. Durable on return.
    public func stageReroute(
        _ new: SpoolID, from old: SpoolID, envelope: [UInt8], contentStart: Int
    ) throws(PostofficeError) {
        let name = reroutePath(new, from: old)
        let descriptor = try Self.unnamedFile(in: "\(root)/router")
        defer { close(descriptor) }
        try Self.writeAll(descriptor, envelope, at: 0, path: name)
        try copyContent(of: old, from: contentStart, to: descriptor, at: envelope.count, path: name)
        guard fsync(descriptor) == 0 else { throw PostofficeError(name, code: errno) }
        guard cposix_link_fd(descriptor, name) == 0 else { throw PostofficeError(name, code: errno, missing: .missing) }
        try routerSync.wait()
    }

    /// Writes what stands behind `start` in `queue/X`, whatever its size, in pieces of 256 KiB. Returns its length.
    @discardableResult
    public func copyContent(
        of id: SpoolID, from start: Int, to descriptor: Int32, at offset: Int, path target: String
    ) throws(PostofficeError) -> Int {
        let name = path(.queue, id)
        let source = cposix_open(name, O_RDONLY | O_NOFOLLOW, 0)
        guard source >= 0 else { throw PostofficeError(name, code: errno) }
        defer { close(source) }
        var buffer = [UInt8](repeating: 0, count: 1 << 18)
        var done = 0
        while true {
            let count = buffer.withUnsafeMutableBytes { pread(source, $0.baseAddress, $0.count, off_t(start + done)) }
            if count < 0, errno == EINTR { continue }
            guard count >= 0 else { throw PostofficeError(name, code: errno) }
            if count == 0 { return done }
            try Self.writeAll(descriptor, Array(buffer[..<count]), at: offset + done, path: target)
            done += count
        }
    }

    /// To be routed from now on. No error if it is that already.
    public func finishReroute(_ new: SpoolID, from old: SpoolID) throws(PostofficeError) {
        let staged = reroutePath(new, from: old)
        guard cposix_rename_noreplace(staged, path(.router, new)) == 0 || errno == ENOENT else {
            throw PostofficeError(staged, code: errno)
        }
        try routerSync.wait()
    }

    public func dropReroute(_ new: SpoolID, from old: SpoolID) throws(PostofficeError) {
        let staged = reroutePath(new, from: old)
        guard unlink(staged) == 0 || errno == ENOENT else { throw PostofficeError(staged, code: errno) }
    }

    /// What a crash has left between ``stageReroute(_:from:_:)`` and its end.
    public func stagedReroutes() throws(PostofficeError) -> [(new: SpoolID, old: SpoolID)] {
        var staged: [(new: SpoolID, old: SpoolID)] = []
        try forEachEntry(.router) { name in
            if let found = Self.stagedReroute(name) { staged.append(found) }
            return true
        }
        return staged
    }

    /// What a name in `router/` says, if it is that of a reroute on its way.
    public static func stagedReroute(_ name: String) -> (new: SpoolID, old: SpoolID)? {
        guard let dot = name.firstIndex(of: "."), name[dot...].hasPrefix(reroutePart),
            let new = SpoolID(name[..<dot]), let old = SpoolID(name[dot...].dropFirst(reroutePart.count))
        else { return nil }
        return (new, old)
    }

    /// Makes everything on the spool's file system durable: cheaper than file by file where there are thousands.
    public func syncFileSystem() throws(PostofficeError) {
        let descriptor = cposix_open(root, O_RDONLY | O_DIRECTORY, 0)
        guard descriptor >= 0 else { throw PostofficeError(root, code: errno) }
        defer { close(descriptor) }
        guard cposix_syncfs(descriptor) == 0 else { throw PostofficeError(root, code: errno) }
    }

    /// `deferred/X`, or `postman/X<suffix>` of any suffix, is to be routed now. Durable on return. `nil`: it is in neither.
    public func resubmit(_ id: SpoolID) throws(PostofficeError) -> String? {
        if access(path(.deferred, id), F_OK) == 0 {
            try move(id, from: .deferred, to: .router)
            return "deferred/\(id)"
        }
        var found: String?
        try forEachEntry(.postman) { name in
            // Control files and copies are no messages to be routed.
            guard name == "\(id)" || name.hasPrefix("\(id):"), !name.hasSuffix(":control"),
                !name.hasSuffix(":error-on-error")
            else { return true }
            found = name
            return false
        }
        guard let found else { return nil }
        let old = "\(root)/postman/\(found)"
        try Self.linkOnce(old, path(.router, id))
        try routerSync.wait()
        guard unlink(old) == 0 || errno == ENOENT else { throw PostofficeError(old, code: errno) }
        return "postman/\(found)"
    }
}
