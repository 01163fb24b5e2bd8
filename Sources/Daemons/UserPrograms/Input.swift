import Glibc
import MailModel

/// The `From ` line that a mailbox file, and our pipes, have in front of a message.
struct MailboxLine {
    /// Its sender; empty for `MAILER-DAEMON`, which stands there for `<>`.
    let sender: String?
    /// Where the header begins.
    let end: Int

    init(_ octets: [UInt8]) {
        guard octets.starts(with: "From ".utf8), let newline = octets.firstIndex(of: 0x0a) else {
            sender = nil
            end = 0
            return
        }
        let word = Octets.text(octets[5..<newline].prefix { $0 != 0x20 && $0 != 0x0d })
        sender = asciiLowercased(word) == "mailer-daemon" ? "" : word
        end = newline + 1
    }
}

/// Standard input.
enum Input {
    /// The beginning, to the end of the header section or of `limit`, and whether that end was there. The rest is read, and dropped: who
    /// writes it must not fail.
    static func head(limit: Int) -> (octets: [UInt8], isComplete: Bool) {
        let octets = all(limit: limit)
        return (octets, octets.count < limit)
    }

    /// At most `limit` octets are kept.
    static func all(limit: Int) -> [UInt8] {
        var octets: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 1 << 16)
        while true {
            let count = read(0, &buffer, buffer.count)
            if count < 0, errno == EINTR { continue }
            guard count > 0 else { return octets }
            octets += buffer[..<min(count, limit - octets.count)]
        }
    }
}

/// syslog(3), for who has no terminal.
enum SystemLog {
    /// syslog keeps the pointer, and not the text.
    private static func name() -> UnsafeMutablePointer<CChar>? { strdup("vacation") }

    static func write(_ text: String, isTrouble: Bool) {
        let name = name()
        openlog(name, LOG_PID, LOG_MAIL)
        defer {
            closelog()
            free(name)
        }
        text.withCString { text in
            withVaList([text]) { vsyslog(isTrouble ? LOG_WARNING : LOG_INFO, "%s", $0) }
        }
    }
}
