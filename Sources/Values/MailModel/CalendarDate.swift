/// A date and time in UTC, computed from Unix time without locale or time-zone tables.
public struct CalendarDate: Hashable, Sendable {
    public let year: Int
    /// 1...12
    public let month: Int
    /// 1...31
    public let day: Int
    public let hour: Int
    public let minute: Int
    public let second: Int
    /// 0 is Sunday.
    public let weekday: Int

    /// `seconds` since 1970-01-01T00:00:00Z (proleptic Gregorian calendar).
    public init(unixTime seconds: Int64) {
        let (quotient, remainder) = seconds.quotientAndRemainder(dividingBy: 86400)
        let days = Int(remainder < 0 ? quotient - 1 : quotient)
        let rest = Int(remainder < 0 ? remainder + 86400 : remainder)
        let shifted = days + 719_468
        let era = (shifted >= 0 ? shifted : shifted - 146_096) / 146_097
        let dayOfEra = shifted - era * 146_097
        let yearOfEra = (dayOfEra - dayOfEra / 1460 + dayOfEra / 36524 - dayOfEra / 146_096) / 365
        let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
        let shiftedMonth = (5 * dayOfYear + 2) / 153
        day = dayOfYear - (153 * shiftedMonth + 2) / 5 + 1
        month = shiftedMonth < 10 ? shiftedMonth + 3 : shiftedMonth - 9
        year = yearOfEra + era * 400 + (month <= 2 ? 1 : 0)
        hour = rest / 3600
        minute = rest / 60 % 60
        second = rest % 60
        // 1970-01-01 was a Thursday (4); 11 keeps the remainder of negative days positive.
        weekday = (days % 7 + 11) % 7
    }

    /// Seconds since 1970 of a date and time of RFC 3339 §5.6, such as `2026-11-21T05:10:01Z` or `…T06:10:01.5+01:00`; parts of a
    /// second are dropped. `nil` if it is none, or no day of the calendar.
    public static func unixTime(rfc3339 text: some StringProtocol) -> Int64? {
        let octets = Array(text.utf8)
        func number(_ start: Int, _ count: Int) -> Int? {
            guard octets.count >= start + count else { return nil }
            return Octets.unsigned(octets[start..<(start + count)]).map { Int($0) }
        }
        guard octets.count >= 20, octets[4] == UInt8(ascii: "-"), octets[7] == UInt8(ascii: "-"),
            octets[10] & 0xdf == UInt8(ascii: "T"), octets[13] == UInt8(ascii: ":"), octets[16] == UInt8(ascii: ":"),
            let year = number(0, 4), let month = number(5, 2), let day = number(8, 2), let hour = number(11, 2),
            let minute = number(14, 2), let second = number(17, 2), hour < 24, minute < 60, second <= 60,
            (1...12).contains(month), day >= 1
        else { return nil }
        var index = 19
        if octets[index] == UInt8(ascii: ".") {
            index += 1
            let digits = octets[index...].prefix { (0x30...0x39).contains($0) }.count
            guard digits > 0 else { return nil }
            index += digits
        }
        guard index < octets.count else { return nil }
        var offset = 0
        switch octets[index] {
        case UInt8(ascii: "Z"), UInt8(ascii: "z"):
            guard octets.count == index + 1 else { return nil }
        case UInt8(ascii: "+"), UInt8(ascii: "-"):
            guard octets.count == index + 6, octets[index + 3] == UInt8(ascii: ":"), let hours = number(index + 1, 2),
                let minutes = number(index + 4, 2), hours < 24, minutes < 60
            else { return nil }
            offset = (hours * 60 + minutes) * (octets[index] == UInt8(ascii: "-") ? -60 : 60)
        default:
            return nil
        }
        // Days from the civil date (proleptic Gregorian), with years that begin in March.
        let shiftedYear = month <= 2 ? year - 1 : year
        let yearOfEra = shiftedYear % 400
        let dayOfYear = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1
        let dayOfEra = yearOfEra * 365 + yearOfEra / 4 - yearOfEra / 100 + dayOfYear
        let days = shiftedYear / 400 * 146_097 + dayOfEra - 719_468
        let time = Int64(days * 86400 + hour * 3600 + minute * 60 + min(second, 59))
        let back = CalendarDate(unixTime: time)
        guard back.year == year, back.month == month, back.day == day else { return nil }
        return time - Int64(offset)
    }

    private static let weekdays = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"]
    private static let months = [
        "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
    ]

    /// RFC 5322 §3.3: `Sat, 21 Nov 2026 05:10:01 +0000`.
    public var rfc5322: String {
        "\(Self.weekdays[weekday]), \(day) \(Self.months[month - 1]) \(fourDigitYear) \(clock) +0000"
    }

    /// RFC 3339: `2026-11-21T05:10:01Z`.
    public var rfc3339: String { "\(fourDigitYear)-\(two(month))-\(two(day))T\(clock)Z" }

    /// The `From ` line of mbox: `Sat Nov 21 05:10:01 2026`.
    public var ctime: String {
        "\(Self.weekdays[weekday]) \(Self.months[month - 1]) \(day < 10 ? " " : "")\(day) \(clock) \(year)"
    }

    /// Both RFCs want at least four digits.
    private var fourDigitYear: String {
        (0..<1000).contains(year) ? String(String(10000 + year).dropFirst()) : String(year)
    }
    private var clock: String { "\(two(hour)):\(two(minute)):\(two(second))" }
    private func two(_ value: Int) -> String { value < 10 ? "0\(value)" : "\(value)" }
}
