import CPosix
import Glibc
import Policy

/// An open GDBM file, mapped: its pages are shared and can be dropped, and there is no memory of its own. Confined to one thread.
///
/// The file must not be written to any more: a new version comes as a new file under its name (``GDBMWriter``). Should somebody
/// truncate it, look-ups fail from then on.
public final class GDBMReader: PolicyDatabase {
    public let path: String
    let signature: FileSignature
    private let descriptor: Int32
    private let mapping: UnsafeRawBufferPointer
    private let layout: GDBMLayout
    private var kept: PolicyMetadata?

    /// - Parameter path: of the file, with its suffix.
    public init(path: String) throws(GDBMFailure) {
        // Not waiting: a FIFO of that name would never open.
        let descriptor = cposix_open(path, O_RDONLY | O_NONBLOCK, 0)
        guard descriptor >= 0 else { throw GDBMFailure(path, errno: errno) }
        do throws(GDBMFailure) {
            var info = stat()
            guard fstat(descriptor, &info) == 0 else { throw GDBMFailure(path, errno: errno) }
            guard info.st_mode & S_IFMT == S_IFREG else { throw GDBMFailure(path, "is no file") }
            guard info.st_size > 0 else { throw GDBMFailure(path, "is empty, no GDBM database") }
            let size = Int(info.st_size)
            guard let base = mmap(nil, size, PROT_READ, MAP_SHARED, descriptor, 0), base != MAP_FAILED else {
                throw GDBMFailure(path, errno: errno, doing: "map")
            }
            mapping = UnsafeRawBufferPointer(start: base, count: size)
            // Keys are hashed: what lies beside a page is not what is wanted next.
            madvise(base, size, MADV_RANDOM)
            signature = FileSignature(info)
        } catch {
            close(descriptor)
            throw error
        }
        do throws(GDBMLayout.Damage) {
            layout = try GDBMLayout(mapping)
        } catch {
            munmap(UnsafeMutableRawPointer(mutating: mapping.baseAddress), mapping.count)
            close(descriptor)
            throw GDBMFailure(path, error.reason)
        }
        self.path = path
        self.descriptor = descriptor
    }

    deinit {
        munmap(UnsafeMutableRawPointer(mutating: mapping.baseAddress), mapping.count)
        close(descriptor)
    }

    /// `nil`: the key is not there.
    public func octets(for key: [UInt8]) throws(GDBMFailure) -> [UInt8]? {
        try checkSize()
        return try find(key)
    }

    private func find(_ key: [UInt8]) throws(GDBMFailure) -> [UInt8]? {
        do throws(GDBMLayout.Damage) {
            return try key.withUnsafeBufferPointer { (key) throws(GDBMLayout.Damage) in
                try layout.value(UnsafeRawBufferPointer(key)).map(Array.init)
            }
        } catch {
            throw GDBMFailure(path, error.reason)
        }
    }

    /// All keys and values, in no order.
    public func forEach(_ body: (_ key: [UInt8], _ value: [UInt8]) -> Void) throws(GDBMFailure) {
        try checkSize()
        if let damage = layout.forEach({ body(Array($0), Array($1)) }) { throw GDBMFailure(path, damage.reason) }
    }

    /// A mapping that reaches behind the end of its file is a signal when it is used.
    func checkSize() throws(GDBMFailure) {
        let info = try information()
        guard Int(info.st_size) >= layout.size else {
            throw GDBMFailure(path, "was truncated from \(layout.size) to \(info.st_size) octets while it is in use")
        }
    }

    /// Of the open file, now.
    func information() throws(GDBMFailure) -> stat {
        var info = stat()
        guard fstat(descriptor, &info) == 0 else { throw GDBMFailure(path, errno: errno) }
        return info
    }

    // MARK: As a policy database

    /// Does not look whether the file still has its size: ``GDBMPolicyDatabase`` does, before each decision.
    public func value(for key: [UInt8]) throws(PolicyTrouble) -> [UInt8]? {
        do throws(GDBMFailure) {
            return try find(key)
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
