import MailModel

/// Text that goes into one line of a spool file: whatever would break the line becomes a space.
public enum SpoolText {
    public static func field(_ text: String) -> String { Octets.cleaned(text) }

    /// One word: blanks too are replaced, by `_`.
    public static func word(_ text: String) -> String {
        if text.utf8.allSatisfy({ $0 > 0x20 && $0 != 0x7f }), !text.isEmpty { return text }
        if text.isEmpty { return "-" }
        return String(decoding: text.utf8.map { $0 <= 0x20 || $0 == 0x7f ? 0x5f : $0 }, as: UTF8.self)
    }

    /// `channel host user privilege`.
    public static func quad(_ quad: Quad) -> String {
        "\(word(quad.channel)) \(word(quad.host)) \(field(quad.user)) \(quad.privilege)"
    }
}

/// Lines of spool files are built as octets: a third of the time that String interpolation takes.
extension [UInt8] {
    mutating func append(text: String) { append(contentsOf: text.utf8) }

    mutating func append(literal: StaticString) {
        append(contentsOf: UnsafeBufferPointer(start: literal.utf8Start, count: literal.utf8CodeUnitCount))
    }

    mutating func append(decimal value: Int) {
        if value < 0 { append(0x2d) }
        let start = count
        var rest = value.magnitude
        repeat {
            append(0x30 + UInt8(truncatingIfNeeded: rest % 10))
            rest /= 10
        } while rest > 0
        self[start...].reverse()
    }

    mutating func append(field text: String) { append(text: SpoolText.field(text)) }
    mutating func append(word text: String) { append(text: SpoolText.word(text)) }

    mutating func append(quad: Quad) {
        append(word: quad.channel)
        append(0x20)
        append(word: quad.host)
        append(0x20)
        append(field: quad.user)
        append(0x20)
        append(decimal: quad.privilege)
    }

    /// A line's text: a newline becomes CR, a TAB a space.
    mutating func append(message text: String) {
        let start = count
        append(contentsOf: text.utf8)
        for index in start..<count {
            if self[index] == 0x0a { self[index] = 0x0d }
            if self[index] == 0x09 { self[index] = 0x20 }
        }
    }
}
