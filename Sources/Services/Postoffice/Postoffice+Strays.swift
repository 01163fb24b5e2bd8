import CPosix
import Glibc
import SpoolFormat

/// What `zmailer check queue` needs beside what router and scheduler do (docs/spool.md §7).
extension Postoffice {
    /// Removes `deferred/X`, a further name of a routed message: the one in `queue/` is durable before. Does nothing if there is no
    /// such name, or it is another file's.
    public func removeDeferredName(_ id: SpoolID) throws(PostofficeError) {
        var queued = stat()
        var deferred = stat()
        guard lstat(path(.queue, id), &queued) == 0, lstat(path(.deferred, id), &deferred) == 0,
            queued.st_ino == deferred.st_ino, queued.st_dev == deferred.st_dev
        else { return }
        try queueSync.wait()
        guard unlink(path(.deferred, id)) == 0 || errno == ENOENT else {
            throw PostofficeError(path(.deferred, id), code: errno)
        }
    }

    /// Sets the tag bytes of recipients to what their records say.
    public func setTags(
        _ tags: [(record: ResultRecord, tag: ControlRecipient.Tag)], of id: SpoolID
    ) throws(PostofficeError) {
        let name = path(.transport, id)
        let descriptor = cposix_open(name, O_RDWR | O_NOFOLLOW, 0)
        guard descriptor >= 0 else { throw PostofficeError(name, code: errno) }
        defer { close(descriptor) }
        for (record, tag) in tags {
            try Self.set(tag.rawValue, at: record.offset + 1, behind: UInt8(ascii: "r"), descriptor, name)
        }
    }

    /// Moves a file that is no message's to `postman/`, as `<directory>:<name>`; the old name goes when the new one is durable.
    /// - Returns: the new name.
    public func moveToPostman(_ name: String, from directory: SpoolDirectory) throws(PostofficeError) -> String {
        // A name of 255 octets has no room for more.
        let new = String(decoding: "\(directory.rawValue):\(name)".utf8.prefix(255), as: UTF8.self)
        let old = "\(root)/\(directory.rawValue)/\(name)"
        try Self.linkOnce(old, "\(root)/postman/\(new)")
        try Self.syncDirectory("\(root)/postman")
        guard unlink(old) == 0 || errno == ENOENT else { throw PostofficeError(old, code: errno) }
        return new
    }

    /// Removes a file of a directory if it is the one that was meant: same inode, last changed before `limit` (seconds since 1970).
    /// - Returns: whether it is gone.
    public func removeFile(
        _ name: String, in directory: SpoolDirectory, inode: UInt, before limit: Int64
    ) throws(PostofficeError) -> Bool {
        let path = "\(root)/\(directory.rawValue)/\(name)"
        var info = stat()
        guard lstat(path, &info) == 0 else { return errno == ENOENT }
        guard info.st_mode & S_IFMT == S_IFREG, UInt(info.st_ino) == inode, Int64(info.st_ctim.tv_sec) < limit else {
            return false
        }
        guard unlink(path) == 0 || errno == ENOENT else { throw PostofficeError(path, code: errno) }
        return true
    }
}
