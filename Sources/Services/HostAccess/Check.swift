import CWrap
import Glibc

/// One check that was asked for. Guarded by the queue's mutex but for ``run(_:)``, which reads what never changes.
final class Check {
    private let request: HostAccess.Request
    private let tables: HostAccess.Tables
    let timeLimit: Duration
    /// Of the monotonic clock.
    let deadline: MonotonicTime
    /// `nil`: it was answered.
    private var then: (@Sendable (HostAccess.Verdict) -> Void)?

    init(
        _ request: HostAccess.Request, _ tables: HostAccess.Tables, _ timeLimit: Duration,
        _ then: @escaping @Sendable (HostAccess.Verdict) -> Void
    ) {
        self.request = request
        self.tables = tables
        self.timeLimit = timeLimit
        self.then = then
        deadline = .now.advanced(by: timeLimit)
    }

    var isAnswered: Bool { then == nil }

    /// To be called once, outside the mutex; `nil`: somebody else has it.
    func takeAnswer() -> (@Sendable (HostAccess.Verdict) -> Void)? {
        defer { then = nil }
        return then
    }

    /// Asks libwrap. Only from its thread.
    func run(_ paths: inout TablePaths) -> HostAccess.Verdict {
        for path in [tables.allow, tables.deny] {
            // libwrap takes a table that it cannot open for one without rules, and lets everybody in.
            if faccessat(AT_FDCWD, path, R_OK, AT_EACCESS) != 0, errno != ENOENT, errno != ENOTDIR {
                return .unavailable("\(path): \(String(cString: strerror(errno)))")
            }
        }
        guard Self.fits(request.service), Self.fits(request.address) else {
            return .unavailable("'\(request.service)', '\(request.address)' cannot be looked up in \(tables.allow)")
        }
        paths.use(tables)
        let name = request.clientName.flatMap { Self.fits($0) ? $0 : nil }
        let user = request.user.flatMap { Self.fits($0) ? $0 : nil }
        let isGranted = Self.withOptional(name) { name in
            Self.withOptional(user) { user in cwrap_check(request.service, name, request.address, user) }
        }
        return isGranted != 0 ? .allowed : .denied
    }

    /// libwrap cuts texts to 127 octets: the beginning of a long name could be the name of a trusted host.
    private static func fits(_ text: String) -> Bool {
        (1...127).contains(text.utf8.count) && text.utf8.allSatisfy { $0 > 0x20 && $0 < 0x7f }
    }

    private static func withOptional(_ text: String?, _ body: (UnsafePointer<CChar>?) -> Int32) -> Int32 {
        guard let text else { return body(nil) }
        return text.withCString { body($0) }
    }
}

/// The paths that libwrap was told; it keeps the pointers. Owned by its thread.
struct TablePaths: ~Copyable {
    private var tables: HostAccess.Tables?
    private var allow: UnsafeMutablePointer<CChar>?
    private var deny: UnsafeMutablePointer<CChar>?

    mutating func use(_ wanted: HostAccess.Tables) {
        guard wanted != tables else { return }
        let old = (allow, deny)
        allow = strdup(wanted.allow)
        deny = strdup(wanted.deny)
        cwrap_set_tables(allow, deny)
        free(old.0)
        free(old.1)
        tables = wanted
    }
}

/// A point of CLOCK_MONOTONIC.
struct MonotonicTime: Comparable {
    let nanoseconds: Int64

    static var now: MonotonicTime {
        var time = timespec()
        clock_gettime(CLOCK_MONOTONIC, &time)
        return MonotonicTime(nanoseconds: Int64(time.tv_sec) * 1_000_000_000 + Int64(time.tv_nsec))
    }

    func advanced(by duration: Duration) -> MonotonicTime {
        let (seconds, attoseconds) = duration.components
        // A day: more is not meant.
        return MonotonicTime(
            nanoseconds: nanoseconds + min(max(0, seconds), 86_400) * 1_000_000_000 + max(0, attoseconds)
                / 1_000_000_000)
    }

    var value: timespec {
        timespec(tv_sec: Int(nanoseconds / 1_000_000_000), tv_nsec: Int(nanoseconds % 1_000_000_000))
    }

    static func < (left: Self, right: Self) -> Bool { left.nanoseconds < right.nanoseconds }
}
