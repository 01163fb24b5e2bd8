import MailModel

/// ETRN over the scheduler's own socket, `$POSTOFFICE/.scheduler.mailq` (docs/protocols.md §5): one line each way. The asker needs
/// no password: the socket looks at its uid.
public enum LocalETRN {
    /// What to write. `remark`: for whom, for the log; blanks and control characters are taken out.
    public static func request(_ target: ETRNTarget, remark: String = "") -> String {
        let word = String(decoding: Octets.cleaned(remark).utf8.filter { $0 != 0x20 }, as: UTF8.self)
        return "etrn \(target)\(word.isEmpty ? "" : " \(word)")\n"
    }

    public struct Answer: Hashable, Sendable {
        /// Threads that are tried now, and the jobs in them.
        public let threads: Int
        public let started: Int

        public init(threads: Int, started: Int) {
            self.threads = threads
            self.started = started
        }

        public func line(_ target: ETRNTarget) -> String {
            var name: [UInt8] = []
            for octet in target.description.utf8 {
                if octet == 0x22 || octet == 0x5c { name.append(0x5c) }
                name.append(octet)
            }
            let text = String(decoding: name, as: UTF8.self)
            return "{\"etrn\":\"\(text)\",\"threads\":\(threads),\"started\":\(started)}\n"
        }
    }

    public enum Failure: Error, Hashable, Sendable, CustomStringConvertible {
        /// The scheduler says why not.
        case refused(String)
        /// It is not what the scheduler answers.
        case unreadable
        public var description: String {
            switch self {
            case .refused(let line): "the scheduler refused: \(line)"
            case .unreadable: "the scheduler's answer cannot be read"
            }
        }
    }

    /// The first line that the scheduler has written, without its LF.
    public static func answer(_ line: some Collection<UInt8>) throws(Failure) -> Answer {
        let octets = Array(line)
        if Octets.hasPrefix(octets[...], "{\"error\":") {
            throw .refused(Octets.cleaned(Octets.text(octets[...])))
        }
        guard Octets.hasPrefix(octets[...], "{\"etrn\":"), let threads = number("threads", in: octets),
            let started = number("started", in: octets)
        else { throw .unreadable }
        return Answer(threads: threads, started: started)
    }

    /// The last one of this key: a name of the target's cannot stand behind it.
    private static func number(_ key: String, in octets: [UInt8]) -> Int? {
        let pattern = Array("\"\(key)\":".utf8)
        var start = octets.count - pattern.count
        while start >= 0, !octets[start...].starts(with: pattern) { start -= 1 }
        guard start >= 0 else { return nil }
        return Octets.decimal(octets[(start + pattern.count)...].prefix { (48...57).contains($0) })
    }
}
