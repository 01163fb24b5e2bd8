import Glibc

/// Says of a line whether it is worth to be parsed, by a look at its `key=value`s: a log of a gigabyte has millions of lines, and few
/// are wanted.
enum LogMatcher {
    /// `queue-id=`, `report-id=` and `session=` with one of these values.
    case identifiers(Set<[UInt8]>)
    /// `msgid=`.
    case messageIDs
    /// `from=`, `to=`, `orig_to=`, and `command=` of a refused RCPT: this sender, or this recipient.
    case addresses(from: [UInt8]?, to: [UInt8]?)
    /// Lines of `smtpserver -l` that begin with one of these.
    case tags(Set<[UInt8]>)

    /// Exact for identifiers and tags but for quoted text of strangers; too much for the others. The parsed line decides.
    func matches(_ line: UnsafeRawBufferPointer) -> Bool {
        switch self {
        case .tags(let tags):
            return line.count > SessionLogLine.tagLength && tags.contains(Array(line.prefix(SessionLogLine.tagLength)))
        case .identifiers, .messageIDs, .addresses: break
        }
        guard let base = line.baseAddress else { return false }
        var position = 0
        while position < line.count, let found = memchr(base + position, 0x3d, line.count - position) {
            let equals = UnsafeRawPointer(found) - base
            if isWanted(line, equals) { return true }
            position = equals + 1
        }
        return false
    }

    private func isWanted(_ line: UnsafeRawBufferPointer, _ equals: Int) -> Bool {
        switch self {
        case .tags: return false
        case .identifiers(let values):
            guard
                Self.isKey("queue-id", line, equals) || Self.isKey("session", line, equals)
                    || Self.isKey("report-id", line, equals)
            else { return false }
            let value = line[(equals + 1)...].prefix { $0 != 0x20 }
            return value.count <= 20 && values.contains(Array(value))
        case .messageIDs: return Self.isKey("msgid", line, equals)
        case .addresses(let from, let to):
            if let from, Self.isKey("from", line, equals), Self.begins(line, equals + 1, from) { return true }
            guard let to else { return false }
            if Self.isKey("to", line, equals) || Self.isKey("orig_to", line, equals) {
                return Self.begins(line, equals + 1, to)
            }
            return Self.isKey("command", line, equals)
        }
    }

    /// Whether the word before `equals` is `key`.
    private static func isKey(_ key: StaticString, _ line: UnsafeRawBufferPointer, _ equals: Int) -> Bool {
        let count = key.utf8CodeUnitCount
        guard equals > count, line[equals - count - 1] == 0x20, let base = line.baseAddress else { return false }
        return memcmp(base + (equals - count), key.utf8Start, count) == 0
    }

    /// Whether the value is `text` or may be: quotes and escapes are left to the parser.
    private static func begins(_ line: UnsafeRawBufferPointer, _ start: Int, _ text: [UInt8]) -> Bool {
        guard start < line.count, line[start] != 0x22, line[start] != UInt8(ascii: "<") else { return true }
        guard line.count - start >= text.count else { return false }
        return zip(line[start...], text).allSatisfy { lowered($0) == lowered($1) }
    }

    private static func lowered(_ octet: UInt8) -> UInt8 { (65...90).contains(octet) ? octet + 32 : octet }
}

/// A line of `smtpserver -l` (smtpserver.md §15): seven characters that name the session, seconds since its start, `r`, `w` or `#`, TAB, text.
struct SessionLogLine: Hashable {
    static let tagLength = 7

    let tag: String
    let seconds: Int
    /// `r`: from the client, `w`: to it, `#`: a remark.
    let kind: Character
    let text: String

    /// `nil`: not such a line.
    init?(_ line: UnsafeRawBufferPointer) {
        let digits = line.dropFirst(Self.tagLength).prefix { (0x30...0x39).contains($0) }
        let kind = digits.endIndex
        guard digits.count >= 4, digits.count <= 9, kind + 1 < line.count, line[kind + 1] == 0x09,
            [UInt8(ascii: "r"), UInt8(ascii: "w"), UInt8(ascii: "#")].contains(line[kind]),
            let seconds = Int(String(decoding: digits, as: UTF8.self))
        else { return nil }
        tag = String(decoding: line.prefix(Self.tagLength), as: UTF8.self)
        self.seconds = seconds
        self.kind = Character(Unicode.Scalar(line[kind]))
        text = String(decoding: line[(kind + 2)...], as: UTF8.self)
    }

    /// The session that a remark names.
    var session: String? {
        guard kind == "#", let word = text.split(separator: " ").last(where: { $0.hasPrefix("session=") }) else {
            return nil
        }
        return String(word.dropFirst(8))
    }
}
