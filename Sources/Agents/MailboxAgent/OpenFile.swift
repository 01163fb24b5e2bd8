import Glibc

/// A file being written, closed with the last reference. Failures come as ``DeliveryProblem`` with call, path and reason.
final class OpenFile {
    let descriptor: Int32
    let path: String

    /// `flags` beside `O_CLOEXEC`; throws the plain `errno`, as callers act on some of them.
    init(_ path: String, _ flags: Int32, mode: mode_t = 0o600) throws(Errno) {
        var descriptor: Int32
        repeat { descriptor = open(path, flags | O_CLOEXEC | O_NOCTTY, mode) } while descriptor < 0 && errno == EINTR
        guard descriptor >= 0 else { throw Errno(code: errno) }
        self.descriptor = descriptor
        self.path = path
    }

    deinit { close(descriptor) }

    func write(_ octets: UnsafeRawBufferPointer) throws(DeliveryProblem) {
        var rest = octets
        while let base = rest.baseAddress, !rest.isEmpty {
            let count = Glibc.write(descriptor, base, rest.count)
            if count < 0 {
                if errno == EINTR { continue }
                throw .system("write", path, errno)
            }
            rest = UnsafeRawBufferPointer(rebasing: rest[count...])
        }
    }

    func write(_ text: String) throws(DeliveryProblem) {
        var text = text
        var problem: DeliveryProblem?
        text.withUTF8 { utf8 in
            do throws(DeliveryProblem) { try write(UnsafeRawBufferPointer(utf8)) } catch { problem = error }
        }
        if let problem { throw problem }
    }

    /// From the beginning, at most `limit` octets.
    func contents(limit: Int) throws(DeliveryProblem) -> [UInt8] { try octets(at: 0, count: limit) }

    /// Fewer than `count` only at the end of the file.
    func octets(at offset: Int, count wanted: Int) throws(DeliveryProblem) -> [UInt8] {
        var octets = [UInt8](repeating: 0, count: wanted)
        var count = 0
        while count < wanted {
            let got = octets.withUnsafeMutableBytes { buffer in
                pread(descriptor, buffer.baseAddress.map { $0 + count }, wanted - count, off_t(offset + count))
            }
            if got < 0, errno == EINTR { continue }
            guard got >= 0 else { throw .system("read", path, errno) }
            if got == 0 { break }
            count += got
        }
        return Array(octets[..<count])
    }

    /// The content is on stable storage afterwards.
    func synchronize() throws(DeliveryProblem) {
        guard fsync(descriptor) == 0 else { throw .system("fsync", path, errno) }
    }

    /// The same for the content alone, without times: what is written next follows.
    func synchronizeData() throws(DeliveryProblem) {
        guard fdatasync(descriptor) == 0 else { throw .system("fdatasync", path, errno) }
    }

    func information() throws(DeliveryProblem) -> stat {
        var information = stat()
        guard fstat(descriptor, &information) == 0 else { throw .system("stat", path, errno) }
        return information
    }

    /// Makes the names in a directory durable.
    static func synchronize(directory: String) throws(DeliveryProblem) {
        let file: OpenFile
        do throws(Errno) { file = try OpenFile(directory, O_RDONLY | O_DIRECTORY) } catch {
            throw .system("open", directory, error.code)
        }
        try file.synchronize()
    }
}

/// `errno` of a call whose failure the caller may expect.
struct Errno: Error, Hashable {
    let code: Int32
}
