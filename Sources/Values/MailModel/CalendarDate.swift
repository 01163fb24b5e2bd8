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
