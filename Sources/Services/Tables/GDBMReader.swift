import CGDBM
import CPosix
import Glibc
import Policy

/// An open GDBM file. It is mapped, so that its pages are shared and can be dropped; memory of its own is bounded. Confined to one
/// thread.
///
/// The file must not be written to any more: a new version comes as a new file under its name (``GDBMWriter``). Should somebody
/// truncate it, look-ups fail from then on.
public final class GDBMReader: PolicyDatabase {
    /// Buckets in memory, usually of 4096 octets each.
    static let cachedBuckets = 100

    public let path: String
    let identity: FileIdentity
    private let handle: GDBM_FILE
    private let descriptor: Int32
    private var kept: PolicyMetadata?

    /// - Parameter path: of the file, with its suffix.
    public init(path: String) throws(GDBMFailure) {
        // Not waiting: a FIFO of that name would never open.
        let descriptor = cposix_open(path, O_RDONLY | O_NONBLOCK, 0)
        guard descriptor >= 0 else { throw GDBMFailure(path, errno: errno) }
        var info = stat()
        guard fstat(descriptor, &info) == 0 else {
            let failure = GDBMFailure(path, errno: errno)
            close(descriptor)
            throw failure
        }
        if let problem = GDBMHeader.problem(descriptor, path, info) {
            close(descriptor)
            throw problem
        }
        // Nobody writes to a file that has its name: no lock is needed, and none can keep us out.
        let flags = GDBM_READER | GDBM_NOLOCK | GDBM_CLOEXEC | GDBM_CLOERROR
        // With a function for fatal errors the library would end the process behind it.
        guard let handle = gdbm_fd_open(descriptor, path, 0, flags, nil) else {
            throw GDBMFailure(path, library: gdbm_error(UInt32(bitPattern: cgdbm_errno())), errno: errno)
        }
        self.path = path
        self.handle = handle
        self.descriptor = descriptor
        identity = FileIdentity(info)
        guard GDBMOctets.setCacheSize(handle, Self.cachedBuckets) else { throw GDBMFailure(path, of: handle) }
    }

    deinit { gdbm_close(handle) }

    /// `nil`: the key is not there.
    public func octets(for key: [UInt8]) throws(GDBMFailure) -> [UInt8]? {
        try checkSize()
        if let value = GDBMOctets.take(GDBMOctets.with(key) { gdbm_fetch(handle, $0) }) { return value }
        guard gdbm_last_errno(handle) == GDBM_ITEM_NOT_FOUND else { throw GDBMFailure(path, of: handle) }
        return nil
    }

    /// All keys and values, in no order.
    public func forEach(_ body: (_ key: [UInt8], _ value: [UInt8]) -> Void) throws(GDBMFailure) {
        try checkSize()
        var key = GDBMOctets.take(gdbm_firstkey(handle))
        while let current = key {
            guard let value = try octets(for: current) else { throw GDBMFailure(path, "damaged: a key has no value") }
            body(current, value)
            key = GDBMOctets.take(GDBMOctets.with(current) { gdbm_nextkey(handle, $0) })
        }
        guard gdbm_last_errno(handle) == GDBM_ITEM_NOT_FOUND else { throw GDBMFailure(path, of: handle) }
    }

    /// A mapping that reaches behind the end of its file is a signal when it is used.
    private func checkSize() throws(GDBMFailure) {
        var info = stat()
        guard fstat(descriptor, &info) == 0 else { throw GDBMFailure(path, errno: errno) }
        guard Int(info.st_size) >= identity.size else {
            throw GDBMFailure(path, "was truncated from \(identity.size) to \(info.st_size) octets while it is in use")
        }
    }

    // MARK: As a policy database

    public func value(for key: [UInt8]) throws(PolicyTrouble) -> [UInt8]? {
        do throws(GDBMFailure) {
            return try octets(for: key)
        } catch {
            throw PolicyTrouble(error.description)
        }
    }

    public func metadata() throws(PolicyTrouble) -> PolicyMetadata {
        if let kept { return kept }
        let octets = try value(for: PolicyKey.metadata)
        guard let octets else {
            throw PolicyTrouble("\(path): has no metadata record: it is incomplete, or not made by makedb -p")
        }
        guard let metadata = PolicyMetadata(octets: octets) else {
            throw PolicyTrouble("\(path): its metadata record is of another version; run policy-builder.sh")
        }
        kept = metadata
        return metadata
    }
}
