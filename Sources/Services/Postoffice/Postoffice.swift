import CPosix
import Glibc
import SpoolFormat
import Synchronization

/// A POSTOFFICE: the spool directories and every change of state in them (docs/spool.md §4). All calls block: keep them off
/// event loops. Safe to use from many threads and processes.
public final class Postoffice: Sendable {
    public let root: String
    let routerSync: DirectorySync
    let queueSync: DirectorySync
    let freezerSync: DirectorySync
    private let generator: Mutex<SpoolIDGenerator>

    /// Opens the spool and checks each directory: there, a directory, ours, not writable by others.
    /// With `creating`, makes what is missing.
    public init(_ path: String, creating: Bool = false) throws(PostofficeError) {
        var trimmed = path[...]
        while trimmed.utf8.count > 1, trimmed.utf8.last == UInt8(ascii: "/") { trimmed = trimmed.dropLast() }
        let root = String(trimmed)
        self.root = root
        if creating { try Self.create(root) }
        try Self.check(root, mode: 0o750)
        for directory in SpoolDirectory.allCases {
            try Self.check("\(root)/\(directory.rawValue)", mode: directory.mode)
        }
        routerSync = try DirectorySync("\(root)/router")
        queueSync = try DirectorySync("\(root)/queue")
        freezerSync = try DirectorySync("\(root)/freezer")
        generator = Mutex(SpoolIDGenerator(slot: Int(getpid())))
    }

    private static func create(_ root: String) throws(PostofficeError) {
        var parents: [String] = []
        var path = root
        while !path.isEmpty, path != "/", access(path, F_OK) != 0 {
            parents.append(path)
            path = path.lastIndex(of: "/").map { String(path[..<$0]) } ?? ""
        }
        for parent in parents.reversed() {
            guard mkdir(parent, parent == root ? 0o750 : 0o755) == 0 || errno == EEXIST else {
                throw PostofficeError(parent, code: errno, missing: .missing)
            }
            // The name of a new spool must be as durable as what will be accepted in it.
            let above = parent.lastIndex(of: "/").map { $0 == parent.startIndex ? "/" : String(parent[..<$0]) } ?? "."
            try syncDirectory(above)
        }
        for directory in SpoolDirectory.allCases {
            let path = "\(root)/\(directory.rawValue)"
            if mkdir(path, directory.mode) == 0 {
                try finish(path, mode: directory.mode, root: root)
            } else if errno != EEXIST {
                throw PostofficeError(path, code: errno, missing: .missing)
            }
        }
        try syncDirectory(root)
    }

    /// mkdir obeys the umask; the mode is part of the format. By descriptor: the folder above may belong to a user whom root
    /// must not follow elsewhere.
    private static func finish(_ path: String, mode: mode_t, root: String) throws(PostofficeError) {
        let descriptor = cposix_open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0)
        guard descriptor >= 0 else { throw PostofficeError(path, code: errno) }
        defer { close(descriptor) }
        guard fchmod(descriptor, mode) == 0 else { throw PostofficeError(path, code: errno) }
        try giveToOwner(of: root) { fchown(descriptor, $0, $1) }
    }

    private static func check(_ path: String, mode: mode_t) throws(PostofficeError) {
        var info = stat()
        guard lstat(path, &info) == 0 else { throw PostofficeError(path, code: errno, missing: .missing) }
        guard info.st_mode & S_IFMT == S_IFDIR else { throw PostofficeError(.notOwner, path, "is not a directory") }
        let me = geteuid()
        guard me == 0 || info.st_uid == me else {
            throw PostofficeError(.notOwner, path, "is owned by uid \(info.st_uid), but this process is uid \(me)")
        }
        guard info.st_mode & 0o022 == 0 else {
            throw PostofficeError(
                .notOwner, path,
                "is writable by others (mode \(String(info.st_mode & 0o7777, radix: 8)), "
                    + "should be \(String(mode, radix: 8)))")
        }
    }

    public func path(_ directory: SpoolDirectory, _ id: SpoolID) -> String { "\(root)/\(directory.rawValue)/\(id)" }

    /// A name that no other message has or had.
    public func newID() -> SpoolID { generator.withLock { $0.next(milliseconds: cposix_milliseconds()) } }

    /// What is free for this user on the spool's file system.
    public func freeSpace() throws(PostofficeError) -> (bytes: UInt64, inodes: UInt64) {
        var bytes: UInt64 = 0
        var inodes: UInt64 = 0
        guard cposix_free_space(root, &bytes, &inodes) == 0 else { throw PostofficeError(root, code: errno) }
        return (bytes, inodes)
    }

    /// The messages in a directory, oldest first; other names are passed over.
    public func entries(_ directory: SpoolDirectory) throws(PostofficeError) -> [SpoolID] {
        var ids: [SpoolID] = []
        try forEachEntry(directory) { name in
            if let id = SpoolID(name) { ids.append(id) }
            return true
        }
        return ids.sorted()
    }

    /// Calls `body` with each name until it returns `false`; in no order, one at a time, whatever the directory's size.
    public func forEachEntry(_ directory: SpoolDirectory, _ body: (String) -> Bool) throws(PostofficeError) {
        let path = "\(root)/\(directory.rawValue)"
        guard let stream = opendir(path) else { throw PostofficeError(path, code: errno, missing: .missing) }
        defer { closedir(stream) }
        while true {
            errno = 0
            guard let entry = readdir(stream) else {
                if errno != 0 { throw PostofficeError(path, code: errno) }
                return
            }
            let name = withUnsafePointer(to: &entry.pointee.d_name) {
                $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
            }
            if name != ".", name != "..", !body(name) { return }
        }
    }

    /// All octets of a spool file; ``PostofficeError/Kind/full`` with EFBIG if it has more than `limit`.
    public func read(_ directory: SpoolDirectory, _ id: SpoolID, limit: Int) throws(PostofficeError) -> [UInt8] {
        let (octets, size) = try readPrefix(directory, id, limit: limit)
        guard size <= limit else { throw PostofficeError(path(directory, id), code: EFBIG) }
        return octets
    }

    /// The first `limit` octets of a spool file, and how large the whole is.
    public func readPrefix(
        _ directory: SpoolDirectory, _ id: SpoolID, limit: Int
    ) throws(PostofficeError) -> (octets: [UInt8], size: Int) {
        let name = path(directory, id)
        let descriptor = cposix_open(name, O_RDONLY | O_NOFOLLOW, 0)
        guard descriptor >= 0 else { throw PostofficeError(name, code: errno) }
        defer { close(descriptor) }
        var info = stat()
        guard fstat(descriptor, &info) == 0 else { throw PostofficeError(name, code: errno) }
        let wanted = min(Int(info.st_size), limit)
        var count = 0
        var code: Int32 = 0
        let octets = [UInt8](unsafeUninitializedCapacity: wanted) { buffer, initialized in
            while count < wanted {
                let got = pread(descriptor, buffer.baseAddress?.advanced(by: count), wanted - count, off_t(count))
                if got > 0 {
                    count += got
                } else if got == 0 {
                    break
                } else if errno != EINTR {
                    code = errno
                    break
                }
            }
            initialized = count
        }
        guard code == 0 else { throw PostofficeError(name, code: code) }
        return (octets, Int(info.st_size))
    }
}
