import CGDBM
import Glibc

/// One file of the greylist: a GDBM file of sightings under hashed keys. Confined to one thread.
///
/// Each record carries a check, so that what a crash has left half written is no sighting; whatever GDBM itself finds wrong is an
/// error of the file as a whole, and its owner starts a new one.
final class GreylistFile {
    struct Failure: Error, Hashable, CustomStringConvertible {
        enum Kind {
            /// Another process writes it, or the disk has no room, …: the file may be good.
            case unavailable
            /// Not a file of ours, or damaged.
            case broken
        }
        let kind: Kind
        let description: String
    }

    /// The first record of each file.
    struct Header: Hashable {
        /// The hash's key, the same in both generations.
        var secret: (UInt64, UInt64)
        /// Seconds since 1970.
        var created: Int64

        static func == (left: Self, right: Self) -> Bool {
            left.secret == right.secret && left.created == right.created
        }
        func hash(into hasher: inout Hasher) { hasher.combine(created) }
    }

    let path: String
    let header: Header
    private let handle: GDBM_FILE
    private let hash: SipHash
    private let secondHash: SipHash
    /// Records when it was opened, the header included, and all that were stored since.
    private(set) var count: Int

    private static let headerKey = Array("greylist-1".utf8)

    /// Opens the file; makes it with `fresh` if it is not there.
    static func open(_ path: String, fresh: Header) throws(Failure) -> GreylistFile {
        try GreylistFile(path, GDBM_WRCREAT | GDBM_CLOEXEC | GDBM_NOMMAP, fresh)
    }

    /// Opens the file if it is there. A reader does not lock: it sees what the writer, if there is one, has written.
    static func openExisting(_ path: String, writing: Bool) throws(Failure) -> GreylistFile? {
        guard access(path, F_OK) == 0 else {
            if errno == ENOENT { return nil }
            throw Failure(kind: .unavailable, description: "\(path): \(String(cString: strerror(errno)))")
        }
        let flags = writing ? GDBM_WRITER : GDBM_READER | GDBM_NOLOCK
        return try GreylistFile(path, flags | GDBM_CLOEXEC | GDBM_NOMMAP, nil)
    }

    private init(_ path: String, _ flags: Int32, _ fresh: Header?) throws(Failure) {
        // Written with write(2), not through a mapping: a full disk is an error and not SIGBUS.
        guard let handle = gdbm_open(path, 4096, flags, 0o600, nil) else {
            throw Self.failure(path, Int(cgdbm_errno()))
        }
        self.path = path
        self.handle = handle
        // The library's default grows with the file.
        var cacheSize = 256
        gdbm_setopt(handle, GDBM_SETCACHESIZE, &cacheSize, Int32(MemoryLayout<Int>.size))
        guard Self.endsWithFile(gdbm_fdesc(handle)) else {
            gdbm_close(handle)
            throw Failure(
                kind: .broken, description: "\(path): is damaged: its header has an end far behind the file's")
        }
        var number: gdbm_count_t = 0
        guard gdbm_count(handle, &number) == 0 else {
            let failure = Self.failure(path, Int(gdbm_last_errno(handle)))
            gdbm_close(handle)
            throw failure
        }
        let found: Header?
        do throws(Failure) {
            found = try Self.fetch(handle, path, Self.headerKey).flatMap { Self.header($0) }
        } catch {
            gdbm_close(handle)
            throw error
        }
        if let found {
            header = found
        } else if number == 0, let fresh {
            header = fresh
            do throws(Failure) {
                try Self.store(
                    handle, path, Self.headerKey,
                    Self.octets([fresh.secret.0, fresh.secret.1, UInt64(bitPattern: fresh.created)]))
            } catch {
                gdbm_close(handle)
                throw error
            }
            number = 1
        } else {
            gdbm_close(handle)
            throw Failure(kind: .broken, description: "\(path): is no greylist")
        }
        count = Int(clamping: number)
        hash = SipHash(key: header.secret)
        secondHash = SipHash(key: (header.secret.1, ~header.secret.0))
    }

    deinit { gdbm_close(handle) }

    /// Octets that a crash may have left unwritten.
    private static let slack = 1 << 20

    /// Whether `next_block` of the header (`gdbm_file_header`, octet 32) is in the file: at the next store the library would write
    /// zeros up to it, until the disk is full.
    private static func endsWithFile(_ descriptor: Int32) -> Bool {
        var end: Int64 = 0
        var info = stat()
        guard pread(descriptor, &end, 8, 32) == 8, fstat(descriptor, &info) == 0 else { return false }
        return end >= 0 && end <= Int64(info.st_size) + Int64(slack)
    }

    struct Sighting: Hashable {
        /// Seconds since 1970.
        var first: Int64
        var last: Int64
    }

    func sighting(_ name: String) throws(Failure) -> Sighting? {
        let key = key(name)
        guard let value = try Self.fetch(handle, path, key) else { return nil }
        let words = Self.words(value)
        guard words.count == 3, words[2] == check(key, words[0], words[1]) else { return nil }
        return Sighting(first: Int64(bitPattern: words[0]), last: Int64(bitPattern: words[1]))
    }

    func store(_ name: String, _ sighting: Sighting) throws(Failure) {
        let key = key(name)
        let first = UInt64(bitPattern: sighting.first)
        let last = UInt64(bitPattern: sighting.last)
        try Self.store(handle, path, key, Self.octets([first, last, check(key, first, last)]))
        count += 1
    }

    private func key(_ name: String) -> [UInt8] {
        let octets = Array(name.utf8)
        return Self.octets([hash.hash(octets), secondHash.hash(octets)])
    }

    private func check(_ key: [UInt8], _ first: UInt64, _ last: UInt64) -> UInt64 {
        hash.hash(key + Self.octets([first, last]))
    }

    // MARK: octets and the library

    private static func octets(_ words: [UInt64]) -> [UInt8] {
        words.flatMap { word in (0..<8).map { UInt8(truncatingIfNeeded: word >> (56 - 8 * UInt64($0))) } }
    }

    private static func words(_ octets: [UInt8]) -> [UInt64] {
        guard octets.count % 8 == 0 else { return [] }
        return stride(from: 0, to: octets.count, by: 8).map { start in
            octets[start..<(start + 8)].reduce(0) { $0 << 8 | UInt64($1) }
        }
    }

    private static func header(_ octets: [UInt8]) -> Header? {
        let words = words(octets)
        guard words.count == 3 else { return nil }
        return Header(secret: (words[0], words[1]), created: Int64(bitPattern: words[2]))
    }

    private static func withDatum<Result>(_ octets: [UInt8], _ body: (datum) -> Result) -> Result {
        var octets = octets
        return octets.withUnsafeMutableBytes { buffer in
            body(datum(dptr: buffer.bindMemory(to: CChar.self).baseAddress, dsize: Int32(buffer.count)))
        }
    }

    private static func fetch(_ handle: GDBM_FILE, _ path: String, _ key: [UInt8]) throws(Failure) -> [UInt8]? {
        let value = withDatum(key) { gdbm_fetch(handle, $0) }
        guard let pointer = value.dptr else {
            let code = Int(gdbm_last_errno(handle))
            if code == GDBM_ITEM_NOT_FOUND { return nil }
            throw failure(path, code)
        }
        defer { free(pointer) }
        return Array(UnsafeRawBufferPointer(start: pointer, count: Int(max(0, value.dsize))))
    }

    private static func store(
        _ handle: GDBM_FILE, _ path: String, _ key: [UInt8], _ value: [UInt8]
    ) throws(Failure) {
        let code = withDatum(key) { key in withDatum(value) { gdbm_store(handle, key, $0, GDBM_REPLACE) } }
        if code != 0 { throw failure(path, Int(gdbm_last_errno(handle))) }
    }

    private static func failure(_ path: String, _ code: Int) -> Failure {
        let system = errno
        let text = String(cString: gdbm_strerror(gdbm_error(code)))
        let isSystem = gdbm_check_syserr(gdbm_error(code)) != 0
        let isBusy = code == GDBM_CANT_BE_READER || code == GDBM_CANT_BE_WRITER
        return Failure(
            kind: isSystem || isBusy ? .unavailable : .broken,
            description: "\(path): \(text)\(isSystem ? ": \(String(cString: strerror(system)))" : "")")
    }
}
