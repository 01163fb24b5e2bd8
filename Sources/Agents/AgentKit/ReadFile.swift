import Glibc

/// A file opened for reading; closed with the last reference.
final class ReadFile {
    let descriptor: Int32
    /// Octets at the time of opening.
    let size: Int

    init(_ path: String) throws(FileError) {
        // An agent may be root and the spool is not root's: neither a link nor a pipe in it may be read in a message's place.
        descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NOFOLLOW | O_NONBLOCK)
        guard descriptor >= 0 else { throw FileError(call: "open", path: path, code: errno) }
        var information = stat()
        guard fstat(descriptor, &information) == 0 else {
            let code = errno
            close(descriptor)
            throw FileError(call: "stat", path: path, code: code)
        }
        guard information.st_mode & S_IFMT == S_IFREG else {
            close(descriptor)
            throw FileError(call: "read", path: path, code: EINVAL)
        }
        size = Int(information.st_size)
    }

    deinit { close(descriptor) }

    /// Fills `buffer` from `offset`; fewer octets only at the end of the file.
    func read(into buffer: UnsafeMutableRawBufferPointer, at offset: Int) throws(FileError) -> Int {
        var count = 0
        while count < buffer.count {
            let got = pread(
                descriptor, buffer.baseAddress.map { $0 + count }, buffer.count - count, off_t(offset + count))
            if got < 0, errno == EINTR { continue }
            guard got >= 0 else { throw FileError(call: "read", path: "message file", code: errno) }
            if got == 0 { break }
            count += got
        }
        return count
    }

    /// The whole file, at most `limit` octets.
    static func contents(of path: String, limit: Int) throws(FileError) -> [UInt8] {
        let file = try ReadFile(path)
        guard file.size <= limit else { throw FileError(call: "read", path: path, code: EFBIG) }
        var failure: FileError?
        let octets = [UInt8](unsafeUninitializedCapacity: file.size) { buffer, count in
            do throws(FileError) {
                count = try file.read(into: UnsafeMutableRawBufferPointer(buffer), at: 0)
            } catch {
                failure = error
            }
        }
        if let failure { throw failure }
        return octets
    }
}

/// A system call on a file that failed.
public struct FileError: Error, Hashable, Sendable, CustomStringConvertible {
    public let call: String
    public let path: String
    /// `errno`.
    public let code: Int32

    public init(call: String, path: String, code: Int32) {
        self.call = call
        self.path = path
        self.code = code
    }

    public var isMissing: Bool { code == ENOENT }
    public var description: String { "\(call) \(path): \(String(cString: strerror(code)))" }
}
