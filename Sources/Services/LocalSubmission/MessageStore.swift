import CPosix
import Glibc

/// A message that waits to be sent: in memory while it is small, else in a file without a name, which goes with this process.
public final class MessageStore {
    /// Octets that are kept in memory.
    public static let memoryLimit = 1 << 20
    /// Octets that are taken; no server of ours takes more.
    public static let maximumSize = 1_000_000_000
    private static let pieceSize = 1 << 16

    public enum Failure: Error, Hashable, Sendable, CustomStringConvertible {
        case tooLarge
        /// `errno`
        case file(folder: String, code: Int32)

        public var description: String {
            switch self {
            case .tooLarge: "the message has more than \(MessageStore.maximumSize) octets"
            case .file(let folder, let code): "\(folder): \(String(cString: strerror(code)))"
            }
        }
    }

    /// Octets.
    public private(set) var size = 0
    private var memory: [UInt8] = []
    private var descriptor: Int32 = -1
    private let folder: String

    /// - Parameter folder: where a large message is written to.
    public init(folder: String = MessageStore.temporaryFolder) { self.folder = folder }

    deinit { if descriptor >= 0 { close(descriptor) } }

    /// `$TMPDIR`, else /tmp, and that too where the caller of a set-user-id program has chosen it.
    public static var temporaryFolder: String {
        guard let value = cposix_secure_getenv("TMPDIR") else { return "/tmp" }
        let path = String(cString: value)
        return path.hasPrefix("/") ? path : "/tmp"
    }

    public func append(_ octets: [UInt8]) throws(Failure) {
        guard size + octets.count <= Self.maximumSize else { throw .tooLarge }
        if descriptor < 0, memory.count + octets.count <= Self.memoryLimit {
            memory += octets
        } else {
            if descriptor < 0 { try makeFile() }
            try write(octets)
        }
        size += octets.count
    }

    private func makeFile() throws(Failure) {
        descriptor = cposix_tmpfile(folder, 0o600)
        if descriptor < 0, errno == EOPNOTSUPP || errno == EISDIR || errno == ENOENT {
            // A file system without O_TMPFILE.
            var name = Array("\(folder)/sendmail-XXXXXX".utf8CString)
            descriptor = mkstemp(&name)
            if descriptor >= 0 {
                unlink(name)
                _ = cposix_set_cloexec(descriptor, 1)
            }
        }
        guard descriptor >= 0 else { throw .file(folder: folder, code: errno) }
        try write(memory)
        memory = []
    }

    private func write(_ octets: [UInt8]) throws(Failure) {
        var done = 0
        while done < octets.count {
            let count = octets.withUnsafeBytes {
                Glibc.write(descriptor, $0.baseAddress?.advanced(by: done), $0.count - done)
            }
            if count < 0 {
                if errno == EINTR { continue }
                throw .file(folder: folder, code: errno)
            }
            done += count
        }
    }

    /// The octets from `offset` on, some of them; none at the end.
    public func piece(at offset: Int) throws(Failure) -> [UInt8] {
        guard offset < size else { return [] }
        if descriptor < 0 { return Array(memory[offset..<min(size, offset + Self.pieceSize)]) }
        var buffer = [UInt8](repeating: 0, count: Self.pieceSize)
        while true {
            let count = pread(descriptor, &buffer, buffer.count, off_t(offset))
            if count < 0, errno == EINTR { continue }
            // The file has what was written to it.
            guard count > 0 else { throw .file(folder: folder, code: count < 0 ? errno : EIO) }
            buffer.removeLast(buffer.count - count)
            return buffer
        }
    }
}
