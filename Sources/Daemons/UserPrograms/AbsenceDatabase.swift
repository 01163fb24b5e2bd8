import Glibc
import Tables

/// Who was told when that a user is away: `~/.vacation.db`, a GDBM file. Confined to one thread; ``AbsenceLock`` is held while it is
/// read and written.
struct AbsenceDatabase {
    /// Senders that are kept; of more the oldest are forgotten.
    static let maximumEntries = 20_000
    /// The key of the interval, as other vacations have it; no address looks like it.
    private static let intervalKey = Array("VIT".utf8)

    let path: String
    /// Seconds since 1970, by address in lower case.
    private(set) var told: [String: Int64] = [:]
    /// Addresses, and domains as `@example.org`, that are never told.
    private(set) var excluded: Set<String> = []
    /// Seconds; `nil`: nobody has said one.
    var interval: Int64?

    /// Empty.
    init(path: String) { self.path = path }

    /// What is there; empty if nothing is. Throws where the system has failed: what is in the file may be good, and who is excluded
    /// must not be told because of that.
    ///
    /// - Parameter complain: told of a file that is damaged, which is put aside.
    init(reading path: String, complain: (String) -> Void) throws(GDBMFailure) {
        self.init(path: path)
        do throws(GDBMFailure) {
            let reader = try GDBMReader(path: path)
            var read = AbsenceDatabase(path: path)
            try reader.forEach { read.take($0, $1) }
            self = read
        } catch {
            if error.code == ENOENT { return }
            guard error.code == 0 else { throw error }
            let aside = "\(path).bad"
            let text = rename(path, aside) == 0 ? "it is \(aside) now, and all senders are new" : "it is passed over"
            complain("\(error); \(text)")
        }
    }

    private mutating func take(_ key: [UInt8], _ value: [UInt8]) {
        guard value.count == 8, key.count <= 600 else { return }
        let number = value.reversed().reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
        if key == Self.intervalKey {
            interval = Int64(bitPattern: number)
            return
        }
        // Other vacations count the octet behind the text.
        let name = String(decoding: key.last == 0 ? key.dropLast() : key[...], as: UTF8.self)
        if Int64(bitPattern: number) < 0 {
            excluded.insert(name)
        } else if told.count < 2 * Self.maximumEntries {
            told[name] = Int64(bitPattern: number)
        }
    }

    mutating func tell(_ address: String, at time: Int64) {
        told[address] = time
        guard told.count > Self.maximumEntries else { return }
        let kept = told.sorted { $0.value > $1.value }.prefix(Self.maximumEntries * 3 / 4)
        told = Dictionary(uniqueKeysWithValues: kept.map { ($0.key, $0.value) })
    }

    /// `false`: there are ``maximumEntries`` others.
    mutating func exclude(_ name: String) -> Bool {
        guard excluded.count < Self.maximumEntries || excluded.contains(name) else { return false }
        excluded.insert(name)
        return true
    }

    func write() throws(GDBMFailure) {
        let writer = try GDBMWriter(path: path, mode: 0o600)
        if let interval { _ = try writer.insert(Self.intervalKey, Self.octets(interval)) }
        for name in excluded { _ = try writer.insert(Array(name.utf8), Self.octets(-1)) }
        for (address, time) in told { _ = try writer.insert(Array(address.utf8), Self.octets(time)) }
        try writer.commit()
    }

    private static func octets(_ number: Int64) -> [UInt8] {
        (0..<8).map { UInt8(truncatingIfNeeded: number >> ($0 * 8)) }
    }
}

/// One vacation of a user at a time decides and remembers: two messages of one sender get one answer.
final class AbsenceLock {
    /// Seconds that others get.
    private static let patience = 60
    private let descriptor: Int32

    /// `nil`, with errno set: it cannot be had.
    init?(beside path: String) {
        descriptor = open("\(path).lock", O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0o600)
        guard descriptor >= 0 else { return nil }
        for _ in 0..<(Self.patience * 10) {
            if flock(descriptor, LOCK_EX | LOCK_NB) == 0 { return }
            guard errno == EWOULDBLOCK || errno == EINTR else { return nil }
            usleep(100_000)
        }
        errno = EWOULDBLOCK
        return nil
    }

    deinit { if descriptor >= 0 { close(descriptor) } }
}
