import CPosix
import Glibc
import Postoffice
import SpoolFormat

extension Freezer {
    /// Writes the message, without its envelope, to a descriptor as it came; all of the file if it has no envelope. Ends early when
    /// nobody reads any more.
    public func copyContent(of id: SpoolID, to output: Int32) throws(Failure) {
        let message = try message(id)
        let path = postoffice.path(.freezer, id)
        let descriptor = cposix_open(path, O_RDONLY | O_NOFOLLOW, 0)
        guard descriptor >= 0 else {
            throw errno == ENOENT
                ? .notFrozen(id) : .spool(PostofficeError(.system, path, String(cString: strerror(errno))))
        }
        defer { close(descriptor) }
        var offset = message.headerStart
        var chunk = [UInt8](repeating: 0, count: 1 << 16)
        while true {
            let count = pread(descriptor, &chunk, chunk.count, off_t(offset))
            if count < 0, errno == EINTR { continue }
            if count < 0 { throw .spool(PostofficeError(.system, path, String(cString: strerror(errno)))) }
            if count == 0 { return }
            var rest = chunk[..<count]
            while !rest.isEmpty {
                let written = rest.withUnsafeBytes { write(output, $0.baseAddress, $0.count) }
                if written < 0, errno == EINTR { continue }
                if written < 0 {
                    if errno == EPIPE { return }
                    throw .spool(PostofficeError(.system, "output", String(cString: strerror(errno))))
                }
                rest = rest.dropFirst(written)
            }
            offset += count
        }
    }
}
