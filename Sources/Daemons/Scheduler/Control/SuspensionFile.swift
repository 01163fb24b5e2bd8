import Glibc
import ProgramKit
import Scheduling

/// `$POSTOFFICE/.suspensions` (docs/spool.md §8): what is suspended, over restarts.
enum SuspensionFile {
    struct Failure: Error, CustomStringConvertible {
        let path: String
        let code: Int32
        var description: String { "\(path): \(String(cString: strerror(code)))" }
    }

    /// Octets: ``Suspensions/maximum`` with the longest patterns and reasons.
    private static let maximumSize = 1 << 20

    /// `nil`: there is none.
    static func read(_ path: String) throws(Failure) -> (Suspensions, unreadable: Int)? {
        let octets: [UInt8]
        do throws(FileOctets.Failure) {
            octets = try FileOctets.read(path, limit: maximumSize)
        } catch {
            if error.code == ENOENT { return nil }
            throw Failure(path: path, code: error.code)
        }
        var unreadable = 0
        let suspensions = Suspensions(parsing: String(decoding: octets, as: UTF8.self), unreadable: &unreadable)
        return (suspensions, unreadable)
    }

    /// Whole or not at all; durable on return.
    static func write(_ suspensions: Suspensions, to path: String, owner: SpoolOwner) throws(Failure) {
        let new = "\(path).new"
        unlink(new)
        let descriptor = open(new, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else { throw Failure(path: new, code: errno) }
        var rest = Array(suspensions.text.utf8)[...]
        while !rest.isEmpty {
            let count = rest.withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress, $0.count) }
            if count > 0 {
                rest = rest.dropFirst(count)
            } else if errno != EINTR {
                let code = errno
                close(descriptor)
                throw Failure(path: new, code: code)
            }
        }
        let isSynced = fsync(descriptor) == 0
        let code = errno
        close(descriptor)
        guard isSynced else { throw Failure(path: new, code: code) }
        owner.own(new)
        guard rename(new, path) == 0 else { throw Failure(path: path, code: errno) }
        let folder = open(String(path[..<(path.lastIndex(of: "/") ?? path.startIndex)]), O_RDONLY | O_CLOEXEC)
        guard folder >= 0 else { throw Failure(path: path, code: errno) }
        defer { close(folder) }
        guard fsync(folder) == 0 else { throw Failure(path: path, code: errno) }
    }
}
