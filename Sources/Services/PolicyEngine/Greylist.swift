import Glibc
import Telemetry

/// Who was seen first when: (client network, sender, recipient) triples by the name that the policy gives them. Confined to one thread.
///
/// Two files, the young and the old one: entries that are used move to the young file; when that is full or has its age, it becomes
/// the old one and the old one goes. So nothing needs to be searched or compacted, and the disk space is bounded. A damaged file is
/// set aside as `….broken`, with a log line, and a new one made: its senders are asked to come again once more. Without files (no room, no
/// right) it works in memory.
final class Greylist {
    enum Access {
        /// The policy service: one process.
        case writing
        /// A look from another process; what it sees stays in its memory.
        case reading
    }

    /// Seconds: 36 days since it was seen last.
    static let lifetime: Int64 = 36 * 86_400
    /// Entries of one file at most (about 80 octets each on disk).
    static let standardFileLimit = 500_000
    /// Entries kept in memory.
    static let memoryLimit = 20_000
    /// A sighting is written again when the last one is so many seconds old.
    static let renewal: Int64 = 86_400
    /// Seconds between two attempts to open files that could not be opened.
    static let retryInterval: Int64 = 60

    private let path: String
    private let oldPath: String
    private let access: Access
    private let fileLimit: Int
    private let log: EventLog
    private var memory = BoundedCache<String, GreylistFile.Sighting>(limit: Greylist.memoryLimit)
    private var young: GreylistFile?
    private var old: GreylistFile?
    private var isOpened = false
    private var nextAttempt: Int64?
    private var isUnavailable = false

    /// Files `<path>.gdbm` and `<path>-old.gdbm`, opened at the first use.
    init(path: String, access: Access, fileLimit: Int = Greylist.standardFileLimit, log: EventLog) {
        self.path = "\(path).gdbm"
        oldPath = "\(path)-old.gdbm"
        self.access = access
        self.fileLimit = fileLimit
        self.log = log
    }

    /// When it was seen first; `nil`: never, or too long ago. `now`: seconds since 1970.
    func firstSeen(_ name: String, now: Int64) -> Int64? { sighting(name, now)?.first }

    /// It is seen now.
    func saw(_ name: String, now: Int64) {
        guard let known = sighting(name, now) else {
            return keep(name, GreylistFile.Sighting(first: now, last: now), now)
        }
        // A clock that was set back must not make entries immortal or new.
        guard now - known.last >= Self.renewal else { return }
        keep(name, GreylistFile.Sighting(first: known.first, last: now), now)
    }

    private func sighting(_ name: String, _ now: Int64) -> GreylistFile.Sighting? {
        func isAlive(_ sighting: GreylistFile.Sighting) -> Bool { now - sighting.last <= Self.lifetime }
        if let known = memory[name] { return isAlive(known) ? known : nil }
        openFiles(now)
        if let young, let found = read(young, name, now) { return remember(name, found, isAlive(found)) }
        guard let old, let found = read(old, name, now) else { return nil }
        return remember(name, found, isAlive(found))
    }

    private func remember(
        _ name: String, _ sighting: GreylistFile.Sighting, _ isAlive: Bool
    ) -> GreylistFile.Sighting? {
        guard isAlive else { return nil }
        memory[name] = sighting
        return sighting
    }

    private func read(_ file: GreylistFile, _ name: String, _ now: Int64) -> GreylistFile.Sighting? {
        do throws(GreylistFile.Failure) { return try file.sighting(name) } catch {
            fail(file, error, now)
            return nil
        }
    }

    private func keep(_ name: String, _ sighting: GreylistFile.Sighting, _ now: Int64) {
        memory[name] = sighting
        guard access == .writing else { return }
        openFiles(now)
        guard let young else { return }
        do throws(GreylistFile.Failure) {
            // One that is in the young file already is counted again, once a day at most: the file changes places sooner.
            try young.store(name, sighting)
        } catch {
            return fail(young, error, now)
        }
        if young.count > fileLimit || now - young.header.created > Self.lifetime { rotate(young, now) }
    }

    /// The young file becomes the old one.
    private func rotate(_ file: GreylistFile, _ now: Int64) {
        let secret = file.header.secret
        old = nil
        young = nil
        guard rename(path, oldPath) == 0 else {
            log.error("greylist", ["reason": "\(oldPath): \(String(cString: strerror(errno)))"])
            return close(now)
        }
        attempt(now) { () throws(GreylistFile.Failure) in
            old = try GreylistFile.openExisting(oldPath, writing: false)
            young = try GreylistFile.open(path, fresh: GreylistFile.Header(secret: secret, created: now))
        }
    }

    // MARK: opening and trouble

    private func openFiles(_ now: Int64) {
        guard !isOpened else { return }
        if let nextAttempt, now < nextAttempt, now > nextAttempt - Self.retryInterval { return }
        attempt(now) { () throws(GreylistFile.Failure) in
            old = try opened(oldPath) { () throws(GreylistFile.Failure) in
                try GreylistFile.openExisting(oldPath, writing: false)
            }
            let fresh = GreylistFile.Header(secret: old?.header.secret ?? Self.randomSecret(), created: now)
            young = try opened(path) { () throws(GreylistFile.Failure) in
                switch access {
                case .writing: try GreylistFile.open(path, fresh: fresh)
                case .reading: try GreylistFile.openExisting(path, writing: false)
                }
            }
            isOpened = true
        }
    }

    /// What `open` gives; a damaged file is set aside first.
    private func opened(
        _ path: String, _ open: () throws(GreylistFile.Failure) -> GreylistFile?
    ) throws(GreylistFile.Failure) -> GreylistFile? {
        do throws(GreylistFile.Failure) { return try open() } catch {
            switch error.kind {
            case .unavailable: throw error
            case .broken:
                guard access == .writing else { return nil }
                setAside(path, error)
                return try open()
            }
        }
    }

    private func attempt(_ now: Int64, _ body: () throws(GreylistFile.Failure) -> Void) {
        do throws(GreylistFile.Failure) {
            try body()
            if isUnavailable { log.notice("greylist-back", ["file": path]) }
            isUnavailable = false
            nextAttempt = nil
        } catch {
            unavailable(error)
            close(now)
        }
    }

    private func close(_ now: Int64) {
        young = nil
        old = nil
        isOpened = false
        nextAttempt = now + Self.retryInterval
    }

    private func fail(_ file: GreylistFile, _ error: GreylistFile.Failure, _ now: Int64) {
        close(now)
        switch (access, error.kind) {
        case (.writing, .broken):
            setAside(file.path, error)
            nextAttempt = nil
        case (.writing, .unavailable), (.reading, .broken), (.reading, .unavailable): unavailable(error)
        }
    }

    private func unavailable(_ error: GreylistFile.Failure) {
        if !isUnavailable {
            log.error("greylist-unavailable", ["reason": error.description, "meaning": "kept in memory only"])
        }
        isUnavailable = true
    }

    private func setAside(_ path: String, _ error: GreylistFile.Failure) {
        let place = "\(path).broken"
        let isMoved = rename(path, place) == 0
        log.error(
            "greylist-broken",
            ["reason": error.description, "file": isMoved ? place : path, "meaning": "a new one is begun"])
        if !isMoved { unlink(path) }
    }

    private static func randomSecret() -> (UInt64, UInt64) {
        var generator = SystemRandomNumberGenerator()
        return (generator.next(), generator.next())
    }
}
