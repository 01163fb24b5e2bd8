import Glibc
import SMTPProtocol
import Synchronization

/// The log of `-l`: every line received and sent, in ZMailer's form `<tag><seconds><kind>\t<text>` (smtpserver.md §15).
final class SessionLog: Sendable {
    struct Tag: Sendable {
        let text: String
        let start: Int64
        /// Of `-S remote`: what the file's name ends in.
        var suffix = ""
    }

    struct Failure: Error, CustomStringConvertible {
        let path: String
        let code: Int32
        var description: String { "cannot open the session log \(path): \(String(cString: strerror(code)))" }
    }

    private let path: String?
    private let usesSyslog: Bool
    private let isByClient: Bool
    private let descriptor: Mutex<Int32>
    private let count = Atomic<UInt32>(0)

    private static let alphabet = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZ0123abcdefghijklmnopqrstuvwxyz4567890-".utf8)

    /// - Parameters:
    ///   - path: appended to; `nil`: no file.
    ///   - isByClient: a file for each client's address, `path.192.0.2.1` (`-S remote`).
    init(path: String?, usesSyslog: Bool, isByClient: Bool = false) throws(Failure) {
        self.path = path
        self.usesSyslog = usesSyslog
        self.isByClient = isByClient
        descriptor = Mutex(try isByClient ? -1 : path.map { path throws(Failure) in try Self.open(path) } ?? -1)
        if usesSyslog { openlog("smtpserver", LOG_PID, LOG_MAIL) }
    }

    /// That of `-l` and `-S`; `nil` if there is none.
    static func wanted(by settings: Settings) throws(Failure) -> SessionLog? {
        let options = settings.options
        guard options.logFile != nil || options.logsToSyslog else { return nil }
        let suffix = options.logSuffix == .local ? ".\(settings.hostName)" : ""
        return try SessionLog(
            path: options.logFile.map { $0 + suffix }, usesSyslog: options.logsToSyslog,
            isByClient: options.logSuffix == .remote)
    }

    private static func open(_ path: String) throws(Failure) -> Int32 {
        let descriptor = Glibc.open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0o640)
        guard descriptor >= 0 else { throw Failure(path: path, code: errno) }
        return descriptor
    }

    /// After rotation. The old file stays in use if the new one cannot be opened.
    func reopen() {
        guard !isByClient, let path, let fresh = try? Self.open(path) else { return }
        descriptor.withLock { current in
            close(current)
            current = fresh
        }
    }

    /// Day, hour, minute, second of the start and 18 bits that tell sessions of one second apart. ZMailer takes the pid,
    /// of which a session of ours has none.
    func newTag(client: String = "") -> Tag {
        let now = Int64(time(nil))
        var tag = Self.tag(unixTime: now, number: count.add(1, ordering: .relaxed).newValue)
        // Brackets off: `IPv6:2001:db8::1` and `192.0.2.1` are good names of files.
        tag.suffix = "." + client.filter { $0 != "[" && $0 != "]" && $0 != "/" }
        return tag
    }

    static func tag(unixTime: Int64, number: UInt32) -> Tag {
        var seconds = time_t(unixTime)
        var parts = tm()
        gmtime_r(&seconds, &parts)
        let values = [
            parts.tm_mday - 1, parts.tm_hour, parts.tm_min, parts.tm_sec, Int32(number >> 12 & 63),
            Int32(number >> 6 & 63), Int32(number & 63),
        ]
        return Tag(text: String(decoding: values.map { alphabet[Int($0) & 63] }, as: UTF8.self), start: unixTime)
    }

    func write(_ tag: Tag, _ entries: [ServerSession.TranscriptEntry]) {
        for entry in entries {
            switch entry {
            case .received(let line): write(tag, "r", line)
            case .sent(let line): write(tag, "w", line)
            }
        }
    }

    func comment(_ tag: Tag, _ text: String) { write(tag, "#", text) }

    private func write(_ tag: Tag, _ kind: String, _ text: String) {
        let seconds = String(max(0, Int64(time(nil)) - tag.start))
        let line = tag.text + String(repeating: "0", count: max(0, 4 - seconds.count)) + seconds + kind + "\t" + text
        let octets = Array((line + "\n").utf8)
        if isByClient, let path {
            // Opened for each line: there may be as many files as clients.
            if let file = try? Self.open(path + tag.suffix) {
                _ = Glibc.write(file, octets, octets.count)
                close(file)
            }
        } else {
            descriptor.withLock { descriptor in
                if descriptor >= 0 { _ = Glibc.write(descriptor, octets, octets.count) }
            }
        }
        if usesSyslog {
            line.withCString { text in withVaList([text]) { vsyslog(LOG_DEBUG, "%s", $0) } }
        }
    }
}
