import CGDBM
import CPosix
import Glibc

/// Builds a GDBM file that appears under its name when it is complete and on the disk, in the place of the one before. Until then it
/// has no name: whoever is killed leaves nothing. (On file systems that cannot have such files, NFS above all, it has one of its own.)
public final class GDBMWriter {
    /// Buckets in memory: all of a file with some millions of keys.
    private static let cachedBuckets = 1 << 16
    private static let blockSize: Int32 = 4096

    /// The finished file's, with its suffix.
    public let path: String
    private let folder: String
    private let handle: GDBM_FILE
    private var descriptor: Int32
    /// Where the file has a name before it is complete.
    private var temporaryName: String?
    /// Keys that were stored.
    public private(set) var count = 0
    /// How many keys have these upper bits of their hash value.
    private var crowd = [UInt8](repeating: 0, count: 1 << crowdBits)

    /// A bucket of 4096 octets holds 166 keys. One with more is split by the next bit of the hash value, and the directory doubled; keys
    /// with the same value, which are easily found for GDBM's hash, would fill memory and disk with directory. With at most so many
    /// keys in each of 2^20 parts it stays at 8 MiB. Chance does not bring that many together below 60,000,000 keys.
    static let crowdLimit: UInt8 = 160
    private static let crowdBits = 20

    public convenience init(path: String, mode: mode_t = 0o644) throws(GDBMFailure) {
        try self.init(path: path, mode: mode, makeUnnamed: { cposix_tmpfile($0, $1) })
    }

    /// - Parameter makeUnnamed: a descriptor of a file without a name in a folder; -1 with errno.
    init(path: String, mode: mode_t, makeUnnamed: (String, mode_t) -> Int32) throws(GDBMFailure) {
        self.path = path
        folder = path.lastIndex(of: "/").map { $0 == path.startIndex ? "/" : String(path[..<$0]) } ?? "."
        var file = makeUnnamed(folder, mode)
        var name: String?
        if file < 0, errno == EOPNOTSUPP || errno == EISDIR || errno == ENOENT {
            (file, name) = Self.makeNamed(path)
        }
        guard file >= 0 else { throw GDBMFailure(path, errno: errno, doing: "making a file in \(folder)") }
        // Also readable by the daemons when whoever builds keeps others out (umask).
        _ = fchmod(file, mode)
        // The library closes its own.
        let descriptor = fcntl(file, F_DUPFD_CLOEXEC, 3)
        guard descriptor >= 0 else {
            let failure = GDBMFailure(path, errno: errno)
            close(file)
            if let name { unlink(name) }
            throw failure
        }
        // Written with write(2), not through a mapping: a full disk is an error and not a signal.
        let flags = GDBM_NEWDB | GDBM_NOLOCK | GDBM_NOMMAP | GDBM_CLOEXEC | GDBM_CLOERROR
        // With a function for fatal errors the library would end the process behind it.
        guard let handle = gdbm_fd_open(file, path, Self.blockSize, flags, nil) else {
            let failure = GDBMFailure(path, library: gdbm_error(UInt32(bitPattern: cgdbm_errno())), errno: errno)
            close(descriptor)
            if let name { unlink(name) }
            throw failure
        }
        self.handle = handle
        self.descriptor = descriptor
        temporaryName = name
        guard GDBMOctets.setCacheSize(handle, Self.cachedBuckets) else { throw GDBMFailure(path, of: handle) }
    }

    deinit {
        if !isClosed { gdbm_close(handle) }
        if descriptor >= 0 { close(descriptor) }
        if let temporaryName { unlink(temporaryName) }
    }

    /// Beside the finished file, so that it can take its place.
    private static func makeNamed(_ path: String) -> (file: Int32, name: String?) {
        var template = Array("\(path)-XXXXXX".utf8CString)
        let file = mkstemp(&template)
        guard file >= 0 else { return (-1, nil) }
        _ = cposix_set_cloexec(file, 1)
        return (file, String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self))
    }

    private var isClosed = false

    /// `false`: the key is there already, and stays as it is.
    public func insert(_ key: [UInt8], _ value: [UInt8]) throws(GDBMFailure) -> Bool {
        let part = Int(key.withUnsafeBytes { GDBMLayout.hash($0) } >> UInt32(31 - Self.crowdBits))
        if crowd[part] >= Self.crowdLimit, GDBMOctets.with(key, { gdbm_exists(handle, $0) }) == 0 {
            throw GDBMFailure(
                path, "more than \(Self.crowdLimit) keys have nearly the same hash value, which GDBM cannot hold")
        }
        switch store(key, value, GDBM_INSERT) {
        case 0:
            count += 1
            crowd[part] += 1
            return true
        case 1: return false
        default: throw GDBMFailure(path, of: handle)
        }
    }

    /// `false`: the key is there already; `value` was put behind what it has, with `separator` between.
    public func append(_ key: [UInt8], _ value: [UInt8], separator: [UInt8] = []) throws(GDBMFailure) -> Bool {
        if try insert(key, value) { return true }
        guard let old = GDBMOctets.take(GDBMOctets.with(key) { gdbm_fetch(handle, $0) }),
            store(key, old + separator + value, GDBM_REPLACE) == 0
        else { throw GDBMFailure(path, of: handle) }
        return false
    }

    private func store(_ key: [UInt8], _ value: [UInt8], _ flag: Int32) -> Int32 {
        GDBMOctets.with(key) { key in GDBMOctets.with(value) { gdbm_store(handle, key, $0, flag) } }
    }

    /// Syncs the file, gives it its name, and syncs the folder. Nothing can be stored any more.
    public func commit() throws(GDBMFailure) {
        isClosed = true
        guard gdbm_close(handle) == 0 else {
            throw GDBMFailure(path, library: gdbm_error(UInt32(bitPattern: cgdbm_errno())), errno: errno)
        }
        guard fsync(descriptor) == 0 else { throw GDBMFailure(path, errno: errno, doing: "sync") }
        let temporary: String
        if let temporaryName { temporary = temporaryName } else { temporary = try named() }
        temporaryName = nil
        guard rename(temporary, path) == 0 else {
            let failure = GDBMFailure(path, errno: errno, doing: "rename")
            unlink(temporary)
            throw failure
        }
        let directory = cposix_open(folder, O_RDONLY | O_DIRECTORY, 0)
        guard directory >= 0 else { throw GDBMFailure(folder, errno: errno) }
        defer { close(directory) }
        guard fsync(directory) == 0 else { throw GDBMFailure(folder, errno: errno, doing: "sync") }
    }

    private func named() throws(GDBMFailure) -> String {
        let name = "\(path.hasSuffix(".gdbm") ? String(path.dropLast(5)) : path)-new.gdbm"
        // A name that a killed builder has left. Another builder's goes the same way: one of the two comes last, complete.
        if unlink(name) != 0, errno != ENOENT { throw GDBMFailure(name, errno: errno, doing: "remove") }
        guard cposix_link_fd(descriptor, name) == 0 else { throw GDBMFailure(name, errno: errno, doing: "link") }
        return name
    }
}
