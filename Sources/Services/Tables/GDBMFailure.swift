import CGDBM
import Glibc

/// Why a GDBM file cannot be used, in words.
public struct GDBMFailure: Error, Hashable, Sendable, CustomStringConvertible {
    public let path: String
    /// errno; 0: it is the contents of the file.
    public let code: Int32
    public let reason: String

    public var description: String { "\(path): \(reason)" }

    init(_ path: String, _ reason: String) {
        self.path = path
        self.reason = reason
        code = 0
    }

    /// A system call that failed.
    init(_ path: String, errno code: Int32, doing: String = "") {
        self.path = path
        self.code = code
        let text = String(cString: strerror(code))
        reason = doing.isEmpty ? text : "\(doing): \(text)"
    }

    /// What the library says of the last call on `handle`.
    init(_ path: String, of handle: GDBM_FILE) {
        self.init(path, library: gdbm_last_errno(handle), errno: gdbm_last_syserr(handle))
    }

    /// What the library says of a call that gave no handle.
    init(_ path: String, library error: gdbm_error, errno system: Int32) {
        self.path = path
        let isSystem = gdbm_check_syserr(error) != 0 && system != 0
        code = isSystem ? system : 0
        let text = String(cString: gdbm_strerror(error))
        reason = isSystem ? "\(text): \(String(cString: strerror(system)))" : text
    }
}

/// Octets as the library takes and gives them.
enum GDBMOctets {
    /// A datum that is valid during `body` only.
    static func with<Result>(_ octets: [UInt8], _ body: (datum) -> Result) -> Result {
        octets.withUnsafeBytes { buffer in
            // The library takes keys and values as `char *` and does not write to them.
            let pointer = UnsafeMutableRawPointer(mutating: buffer.baseAddress)?.assumingMemoryBound(to: CChar.self)
            return body(datum(dptr: pointer, dsize: Int32(clamping: buffer.count)))
        }
    }

    /// Copies what the library allocated, and frees it.
    static func take(_ value: datum) -> [UInt8]? {
        guard let pointer = value.dptr else { return nil }
        defer { free(pointer) }
        return Array(UnsafeRawBufferPointer(start: pointer, count: Int(max(0, value.dsize))))
    }

    /// `GDBM_SETCACHESIZE`: buckets that the library keeps in memory. Its own choice grows with the file.
    static func setCacheSize(_ handle: GDBM_FILE, _ buckets: Int) -> Bool {
        var size = buckets
        return gdbm_setopt(handle, GDBM_SETCACHESIZE, &size, Int32(MemoryLayout<Int>.size)) == 0
    }
}
