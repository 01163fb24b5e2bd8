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
        var octets = records.flatMap { $0.record.encoded() }
        // A process that was killed in the middle of a write leaves a record without its line end: ours must not become part of it.
        var last: UInt8 = 0x0a
        if info.st_size > 0, pread(descriptor, &last, 1, info.st_size - 1) != 1 {
            throw PostofficeError(name, code: errno)
        }
        if last != 0x0a { octets.insert(0x0a, at: 0) }
        guard pwrite(descriptor, octets, octets.count, info.st_size) == octets.count else {
            let code = errno
            ftruncate(descriptor, info.st_size)
            throw PostofficeError(name, code: code)
        }
        for (record, tag) in records {
            guard let tag else { continue }
            var byte = tag.rawValue
            guard pwrite(descriptor, &byte, 1, off_t(record.offset + 1)) == 1 else {
                throw PostofficeError(name, code: errno)
            }
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
            var byte = UInt8(ascii: "+")
            guard pwrite(descriptor, &byte, 1, off_t(offset + 1)) == 1 else { throw PostofficeError(name, code: errno) }
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
