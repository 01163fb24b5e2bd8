import CPosix
import Glibc
import SpoolFormat

extension Postoffice {
    /// Appends result records to `transport/X` and sets the tag bytes of their recipients; one sync for all if asked.
    /// What cannot be written whole is taken back.
    public func append(
        _ records: [(record: ResultRecord, tag: ControlRecipient.Tag?)], to id: SpoolID, sync: Bool
    ) throws(PostofficeError) {
        let name = path(.transport, id)
        let descriptor = cposix_open(name, O_RDWR | O_NOFOLLOW, 0)
        guard descriptor >= 0 else { throw PostofficeError(name, code: errno) }
        defer { close(descriptor) }
        var info = stat()
        guard fstat(descriptor, &info) == 0 else { throw PostofficeError(name, code: errno) }
        var octets: [UInt8] = []
        // A process that was killed in the middle of a write leaves a record without its line end: ours must not become part of it.
        var last: UInt8 = 0x0a
        if info.st_size > 0, pread(descriptor, &last, 1, info.st_size - 1) != 1 {
            throw PostofficeError(name, code: errno)
        }
        if last != 0x0a { octets.append(0x0a) }
        for (record, _) in records { octets += record.encoded() }
        do throws(PostofficeError) {
            try Self.writeAll(descriptor, octets, at: Int(info.st_size), path: name)
        } catch {
            ftruncate(descriptor, info.st_size)
            throw error
        }
        for (record, tag) in records {
            guard let tag else { continue }
            try Self.set(tag.rawValue, at: record.offset + 1, behind: UInt8(ascii: "r"), descriptor, name)
        }
        if sync, fdatasync(descriptor) != 0 { throw PostofficeError(name, code: errno) }
    }

    /// Makes everything appended to `transport/X` durable.
    public func syncControl(_ id: SpoolID) throws(PostofficeError) {
        let name = path(.transport, id)
        let descriptor = cposix_open(name, O_RDWR | O_NOFOLLOW, 0)
        guard descriptor >= 0 else { throw PostofficeError(name, code: errno) }
        defer { close(descriptor) }
        guard fdatasync(descriptor) == 0 else { throw PostofficeError(name, code: errno) }
    }

    /// Marks the records at these file offsets (of their `d`) as reported.
    public func markReported(_ id: SpoolID, recordOffsets: [Int]) throws(PostofficeError) {
        let name = path(.transport, id)
        let descriptor = cposix_open(name, O_RDWR | O_NOFOLLOW, 0)
        guard descriptor >= 0 else { throw PostofficeError(name, code: errno) }
        defer { close(descriptor) }
        for offset in recordOffsets {
            try Self.set(UInt8(ascii: "+"), at: offset + 1, behind: UInt8(ascii: "d"), descriptor, name)
        }
    }

    /// Replaces the tag byte at `position`. Anywhere but behind the letter of its line it would destroy something.
    static func set(
        _ tag: UInt8, at position: Int, behind letter: UInt8, _ descriptor: Int32, _ name: String
    ) throws(PostofficeError) {
        var found: UInt8 = 0
        guard position > 0, pread(descriptor, &found, 1, off_t(position - 1)) == 1, found == letter else {
            throw PostofficeError(.system, name, "no '\(Character(Unicode.Scalar(letter)))' line at \(position - 1)")
        }
        var byte = tag
        while pwrite(descriptor, &byte, 1, off_t(position)) != 1 {
            if errno != EINTR { throw PostofficeError(name, code: errno) }
        }
    }

    /// Removes a message that nothing is owed for. `router/X` first: as long as it stands the message would be routed again.
    public func remove(_ id: SpoolID) throws(PostofficeError) {
        for directory in [SpoolDirectory.router, .queue, .transport] {
            guard unlink(path(directory, id)) == 0 || errno == ENOENT else {
                throw PostofficeError(path(directory, id), code: errno)
            }
        }
    }
}

extension Postoffice {
    /// Gives the message file of `queue/X` a further name `postman/X<suffix>`, which outlives the message. Durable on return.
    public func copyToPostman(_ id: SpoolID, suffix: String) throws(PostofficeError) {
        let copy = path(.postman, id) + suffix
        guard link(path(.queue, id), copy) == 0 || errno == EEXIST else { throw PostofficeError(copy, code: errno) }
        try DirectorySync("\(root)/postman").wait()
    }
}
