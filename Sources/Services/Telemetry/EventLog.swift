import CPosix
import Glibc
import Synchronization

/// Where log lines go and from which level on.
///
/// A line is `<time> <program>[<pid>]: <level> <event> key=value …`; values with blanks are quoted, control characters
/// and octets of strangers escaped, and each value is cut at ``maximumValueLength``.
public final class EventLog: Sendable {
    public enum Level: Int, Comparable, Sendable, CaseIterable {
        /// A person should look now.
        case error
        /// Our trouble.
        case warning
        /// Start, stop, reload.
        case notice
        /// One line a decision.
        case info
        case debug

        public var name: String {
            switch self {
            case .error: "error"
            case .warning: "warning"
            case .notice: "notice"
            case .info: "info"
            case .debug: "debug"
            }
        }
        public static func < (left: Self, right: Self) -> Bool { left.rawValue < right.rawValue }
    }

    public enum Destination: Sendable {
        case standardError
        /// Appended to; opened again by ``reopen()``.
        case file(String)
    }

    /// Octets of one value; what is longer ends in `…`.
    public static let maximumValueLength = 512

    public let program: String
    public let level: Level
    private let destination: Destination
    /// The same number for life: ``reopen()`` puts the new file under it. One write(2) with O_APPEND needs no lock.
    private let descriptor: Int32
    private let prefix: String
    /// Lines go to syslog(3) too, as facility mail.
    private let copiesToSyslog: Bool
    /// Milliseconds between two looks whether the file still has its name; `nil`: somebody says when it is to be opened again.
    private let followsNameEvery: Int64?
    /// In milliseconds of the steady clock.
    private let nextLook = Atomic<Int64>(0)

    /// Milliseconds, for programs that nobody tells of a rotation.
    public static let lookInterval: Int64 = 10_000

    /// `followsNameEvery`: for programs that nobody tells of a rotation, ``lookInterval``.
    ///
    /// Opens the destination; a file that cannot be opened is an error with its path and reason.
    public init(
        program: String, destination: Destination = .standardError, level: Level = .info, copiesToSyslog: Bool = false,
        followsNameEvery: Int64? = nil
    ) throws(EventLogError) {
        self.followsNameEvery = followsNameEvery
        self.copiesToSyslog = copiesToSyslog
        if copiesToSyslog { openlog(Self.syslogName(program), LOG_PID, LOG_MAIL) }
        self.program = program
        self.level = level
        self.destination = destination
        self.prefix = " \(program)[\(getpid())]: "
        descriptor = try Self.open(destination)
    }

    /// A log on standard error, which needs no opening.
    public init(standardErrorOf program: String, level: Level = .info) {
        copiesToSyslog = false
        followsNameEvery = nil
        self.program = program
        self.level = level
        destination = .standardError
        prefix = " \(program)[\(getpid())]: "
        descriptor = 2
    }

    private static func open(_ destination: Destination) throws(EventLogError) -> Int32 {
        switch destination {
        case .standardError: return 2
        case .file(let path): return try LogFile.open(path)
        }
    }

    /// After rotation: the same path, a new file. Standard output and error follow if they led to the old one: the last words of
    /// a process that crashes belong beside its log lines, and the old file must not stay open. The old file stays in use, and gets a line, if the new one cannot be opened.
    public func reopen() {
        guard case .file(let path) = destination else { return }
        let fresh: Int32
        do throws(EventLogError) { fresh = try LogFile.open(path) } catch {
            return self.error("log-not-opened", ["reason": error.description])
        }
        for standard: Int32 in [1, 2] where LogFile.isSame(descriptor, standard) { dup2(fresh, standard) }
        dup2(fresh, descriptor)
        _ = cposix_set_cloexec(descriptor, 1)
        close(fresh)
    }

    public func error(_ event: StaticString, _ fields: KeyValuePairs<StaticString, String> = [:]) {
        write(.error, event, fields)
    }
    public func warning(_ event: StaticString, _ fields: KeyValuePairs<StaticString, String> = [:]) {
        write(.warning, event, fields)
    }
    public func notice(_ event: StaticString, _ fields: KeyValuePairs<StaticString, String> = [:]) {
        write(.notice, event, fields)
    }
    public func info(_ event: StaticString, _ fields: KeyValuePairs<StaticString, String> = [:]) {
        write(.info, event, fields)
    }
    public func debug(_ event: StaticString, _ fields: @autoclosure () -> KeyValuePairs<StaticString, String> = [:]) {
        if level >= .debug { write(.debug, event, fields()) }
    }

    private func write(_ lineLevel: Level, _ event: StaticString, _ fields: KeyValuePairs<StaticString, String>) {
        guard lineLevel <= level else { return }
        var line: [UInt8] = []
        line.reserveCapacity(256)
        append(lineLevel, event, fields, to: &line)
        write(line)
    }

    func append(
        _ lineLevel: Level, _ event: StaticString, _ fields: KeyValuePairs<StaticString, String>, to line: inout [UInt8]
    ) {
        Timestamp.append(milliseconds: cposix_milliseconds(), to: &line)
        line.append(contentsOf: prefix.utf8)
        line.append(contentsOf: lineLevel.name.utf8)
        line.append(0x20)
        line.append(contentsOf: UnsafeBufferPointer(start: event.utf8Start, count: event.utf8CodeUnitCount))
        for (key, value) in fields {
            line.append(0x20)
            line.append(contentsOf: UnsafeBufferPointer(start: key.utf8Start, count: key.utf8CodeUnitCount))
            line.append(0x3d)
            LogValue.append(value, to: &line)
        }
        line.append(0x0a)
    }

    /// openlog(3) keeps the pointer: it must stay for the life of the process.
    private static func syslogName(_ program: String) -> UnsafeMutablePointer<CChar>? { strdup(program) }

    /// Behind time, name and pid, which syslog writes itself.
    private func copyToSyslog(_ lines: [UInt8]) {
        for line in lines.split(separator: 0x0a) {
            let text = line.split(separator: 0x20, maxSplits: 2).last ?? line
            let priority =
                text.starts(with: "error".utf8)
                ? LOG_ERR
                : text.starts(with: "warning".utf8)
                    ? LOG_WARNING : text.starts(with: "notice".utf8) ? LOG_NOTICE : LOG_INFO
            String(decoding: text, as: UTF8.self).withCString { text in
                withVaList([text]) { vsyslog(priority, "%s", $0) }
            }
        }
    }

    /// Costs a look at the file now and then.
    private func follow(_ interval: Int64) {
        let now = cposix_monotonic_milliseconds()
        let due = nextLook.load(ordering: .relaxed)
        guard now >= due,
            nextLook.compareExchange(expected: due, desired: now + interval, ordering: .relaxed).exchanged,
            case .file(let path) = destination
        else { return }
        var named = stat()
        var mine = stat()
        guard fstat(descriptor, &mine) == 0 else { return }
        if stat(path, &named) != 0 || named.st_ino != mine.st_ino || named.st_dev != mine.st_dev { reopen() }
    }

    /// Whole lines, in one call: that keeps the lines of all writers apart. What a full disk refuses is lost.
    func write(_ lines: [UInt8]) {
        if let followsNameEvery { follow(followsNameEvery) }
        if copiesToSyslog { copyToSyslog(lines) }
        lines.withUnsafeBytes { octets in
            var written = Glibc.write(descriptor, octets.baseAddress, octets.count)
            while written < 0, errno == EINTR { written = Glibc.write(descriptor, octets.baseAddress, octets.count) }
        }
    }
}
