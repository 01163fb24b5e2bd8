import CPosix
import Glibc

/// Who owns a table and whether others could have written it (router.md §4, security rule).
public struct TableOwner: Hashable, Sendable {
    public let uid: uid_t
    /// The file's mode is at most 0644 (0664 if so declared) and its directory not writable by group or others, or sticky.
    public let isSecure: Bool

    /// The uid under which files and programs named in the table may be used: its owner's, or nobody's.
    public var privilege: Int { isSecure ? Int(uid) : Self.nobody }

    public static let nobody = 65534

    init(file: stat, directory: stat?) {
        uid = file.st_uid
        let isDirectorySafe = directory.map { $0.st_mode & 0o022 == 0 || $0.st_mode & S_ISVTX != 0 } ?? false
        isSecure = file.st_mode & 0o022 == 0 && isDirectorySafe
    }
}

/// What happened to a table: for the log.
public enum TableEvent: Hashable, Sendable {
    /// An optional table is not there: it counts as empty.
    case missing(path: String)
    case loaded(path: String)
    /// The new version is wrong; `keepsOld`: the one before it stays in use.
    case broken(TableErrors, keepsOld: Bool)
    case unreadable(path: String, code: Int32, keepsOld: Bool)
}

/// A text table that is read again when the file changes. Confined to one thread.
public final class TableFile<Table> {
    public struct Version {
        public let table: Table
        /// `nil` if the file is missing.
        public let owner: TableOwner?
    }

    /// Octets of a table at most.
    public static var maximumSize: Int { 64 << 20 }
    /// Between two looks at the file.
    public static var interval: Int64 { 1000 }
    /// A file that vanishes is believed to be gone after this: programs replace files in two steps.
    public static var graceMilliseconds: Int64 { 3000 }

    public let path: String
    /// What a missing file stands for; `nil`: it must be there.
    private let empty: Table?
    private let parse: ([UInt8], String) throws(TableErrors) -> Table
    private let report: (TableEvent) -> Void
    private var version: Version?
    private var signature: FileSignature?
    private var lastLook: Int64?
    private var vanishedAt: Int64?
    private var isKnownMissing = false
    private var trouble: TableTrouble?

    public init(
        path: String, empty: Table?, parse: @escaping ([UInt8], String) throws(TableErrors) -> Table,
        report: @escaping (TableEvent) -> Void
    ) {
        self.path = path
        self.empty = empty
        self.parse = parse
        self.report = report
    }

    /// The version in use; looks at the file at most once a second. `now` in milliseconds of a steady clock.
    public func current(now: Int64) throws(TableTrouble) -> Version {
        if let lastLook, now - lastLook < Self.interval, now >= lastLook {
            if let version { return version }
        } else {
            look(now)
        }
        if let version { return version }
        throw trouble ?? TableTrouble("\(path) cannot be used")
    }

    /// The next use looks at the file.
    public func lookAgain() {
        lastLook = nil
        vanishedAt = nil
    }

    private func look(_ now: Int64) {
        lastLook = now
        var info = stat()
        guard stat(path, &info) == 0 else {
            let code = errno
            // A folder that is gone is not a table that was never made: a file system may not be mounted.
            if code == ENOENT, isFolderThere { missing(now) } else { unreadable(code) }
            return
        }
        vanishedAt = nil
        isKnownMissing = false
        let signature = FileSignature(info)
        guard signature != self.signature else { return }
        self.signature = signature
        read()
    }

    private var isFolderThere: Bool {
        guard let slash = path.lastIndex(of: "/") else { return true }
        return access(String(path[..<slash]) + "/", F_OK) == 0
    }

    private func missing(_ now: Int64) {
        guard let empty else { return unreadable(ENOENT) }
        if version != nil, !isKnownMissing {
            let since = vanishedAt ?? now
            vanishedAt = since
            if now - since < Self.graceMilliseconds { return }
        }
        signature = nil
        version = Version(table: empty, owner: nil)
        if !isKnownMissing { report(.missing(path: path)) }
        isKnownMissing = true
    }

    private func unreadable(_ code: Int32) {
        signature = nil
        if trouble == nil { report(.unreadable(path: path, code: code, keepsOld: version != nil)) }
        trouble = TableTrouble("\(path): \(String(cString: strerror(code)))")
    }

    private func read() {
        let descriptor = cposix_open(path, O_RDONLY, 0)
        guard descriptor >= 0 else { return unreadable(errno) }
        defer { close(descriptor) }
        var info = stat()
        guard fstat(descriptor, &info) == 0 else { return unreadable(errno) }
        guard info.st_size <= Self.maximumSize else { return unreadable(EFBIG) }
        guard let octets = Self.octets(descriptor, Int(info.st_size)) else { return unreadable(errno) }
        var directory = stat()
        let slash = path.lastIndex(of: "/")
        let folder = slash.map { $0 == path.startIndex ? "/" : String(path[..<$0]) } ?? "."
        let hasDirectory = stat(folder, &directory) == 0
        // What was read is what the open file is; a file put in its place meanwhile shows at the next look.
        signature = FileSignature(info)
        do throws(TableErrors) {
            let table = try parse(octets, path)
            let isFirst = version == nil
            version = Version(table: table, owner: TableOwner(file: info, directory: hasDirectory ? directory : nil))
            trouble = nil
            if !isFirst { report(.loaded(path: path)) }
        } catch {
            report(.broken(error, keepsOld: version != nil))
            trouble = TableTrouble(error.errors.first?.description ?? "\(path) is wrong")
        }
    }

    private static func octets(_ descriptor: Int32, _ size: Int) -> [UInt8]? {
        var octets = [UInt8](repeating: 0, count: size + 1)
        var count = 0
        while true {
            let got = octets.withUnsafeMutableBytes { buffer in
                Glibc.read(descriptor, buffer.baseAddress?.advanced(by: count), buffer.count - count)
            }
            if got < 0 {
                if errno == EINTR { continue }
                return nil
            }
            if got == 0 { break }
            count += got
            if count > maximumSize {
                errno = EFBIG
                return nil
            }
            if count == octets.count { octets.append(contentsOf: repeatElement(0, count: max(4096, count))) }
        }
        octets.removeLast(octets.count - count)
        return octets
    }
}
