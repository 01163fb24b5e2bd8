/// A line of ``EventLog``, read back.
public struct LogRecord: Hashable, Sendable {
    public struct Field: Hashable, Sendable {
        public let key: String
        public let value: String

        public init(key: String, value: String) {
            self.key = key
            self.value = value
        }
    }

    /// Since 1970.
    public let milliseconds: Int64
    public let program: String
    public let pid: Int
    public let level: String
    public let event: String
    /// In the order of the line, escapes undone.
    public let fields: [Field]

    public init(
        milliseconds: Int64, program: String, pid: Int, level: String, event: String, fields: [Field]
    ) {
        self.milliseconds = milliseconds
        self.program = program
        self.pid = pid
        self.level = level
        self.event = event
        self.fields = fields
    }

    /// The first one of this key.
    public subscript(key: String) -> String? { fields.first { $0.key == key }?.value }

    /// `nil`: not a line of ours.
    public init?(_ line: some Collection<UInt8>) {
        var reader = LogLineReader(octets: Array(line))
        guard let milliseconds = reader.time(), let (program, pid) = reader.source(), let level = reader.word(),
            let event = reader.word(), let fields = reader.fields()
        else { return nil }
        self.init(
            milliseconds: milliseconds, program: program, pid: pid, level: level, event: event, fields: fields)
    }

    /// What stands at the beginning of the line.
    public var time: String {
        var octets: [UInt8] = []
        Timestamp.append(milliseconds: milliseconds, to: &octets)
        return String(decoding: octets, as: UTF8.self)
    }
}

private struct LogLineReader {
    let octets: [UInt8]
    private var position = 0

    init(octets: [UInt8]) { self.octets = octets }

    /// `2026-11-21T05:10:01.042Z` and the blank behind it.
    mutating func time() -> Int64? {
        let shape = Array("dddd-dd-ddTdd:dd:dd.dddZ ".utf8)
        guard octets.count > shape.count else { return nil }
        var digits: [Int64] = []
        for (octet, expected) in zip(octets, shape) {
            if expected == UInt8(ascii: "d") {
                guard (0x30...0x39).contains(octet) else { return nil }
                digits.append(Int64(octet - 0x30))
            } else if octet != expected {
                return nil
            }
        }
        func number(_ range: Range<Int>) -> Int64 { digits[range].reduce(0) { $0 * 10 + $1 } }
        let month = number(4..<6)
        guard (1...12).contains(month) else { return nil }
        let days = Self.days(year: number(0..<4), month: month, day: number(6..<8))
        let seconds = ((days * 24 + number(8..<10)) * 60 + number(10..<12)) * 60 + number(12..<14)
        position = shape.count
        return seconds * 1000 + number(14..<17)
    }

    /// Since 1970, in the proleptic Gregorian calendar; years begin in March here, so that a leap day is the last one.
    private static func days(year: Int64, month: Int64, day: Int64) -> Int64 {
        let year = month <= 2 ? year - 1 : year
        let era = (year >= 0 ? year : year - 399) / 400
        let yearOfEra = year - era * 400
        let dayOfYear = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1
        return era * 146_097 + yearOfEra * 365 + yearOfEra / 4 - yearOfEra / 100 + dayOfYear - 719_468
    }

    /// `program[pid]: `
    mutating func source() -> (program: String, pid: Int)? {
        guard let word = word(), word.hasSuffix("]:"), let bracket = word.firstIndex(of: "["),
            let pid = Int(word[word.index(after: bracket)...].dropLast(2))
        else { return nil }
        return (String(word[..<bracket]), pid)
    }

    /// Up to the next blank, which is passed.
    mutating func word() -> String? {
        let end = octets[position...].firstIndex(of: 0x20) ?? octets.count
        guard end > position else { return nil }
        defer { position = min(end + 1, octets.count) }
        return String(decoding: octets[position..<end], as: UTF8.self)
    }

    /// All that is left; what is cut off at its end counts as far as it goes.
    mutating func fields() -> [LogRecord.Field]? {
        var fields: [LogRecord.Field] = []
        while position < octets.count {
            guard let equals = octets[position...].firstIndex(of: 0x3d) else { return nil }
            let key = String(decoding: octets[position..<equals], as: UTF8.self)
            position = equals + 1
            fields.append(LogRecord.Field(key: key, value: value()))
        }
        return fields
    }

    private mutating func value() -> String {
        guard position < octets.count, octets[position] == 0x22 else { return word() ?? skippingBlank() }
        position += 1
        var out: [UInt8] = []
        while position < octets.count {
            let octet = octets[position]
            position += 1
            switch octet {
            case 0x22:
                // The blank behind the quote.
                if position < octets.count { position += 1 }
                return String(decoding: out, as: UTF8.self)
            case 0x5c where position < octets.count: out.append(escaped())
            default: out.append(octet)
            }
        }
        return String(decoding: out, as: UTF8.self)
    }

    /// An empty value without quotes: nothing of ours writes it.
    private mutating func skippingBlank() -> String {
        position = min(position + 1, octets.count)
        return ""
    }

    /// Behind a backslash: itself, or `xHH`.
    private mutating func escaped() -> UInt8 {
        let octet = octets[position]
        position += 1
        guard octet == UInt8(ascii: "x"), position + 2 <= octets.count,
            let value = UInt8(String(decoding: octets[position..<(position + 2)], as: UTF8.self), radix: 16)
        else { return octet }
        position += 2
        return value
    }
}
