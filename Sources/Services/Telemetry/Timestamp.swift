/// RFC 3339 with milliseconds, UTC: `2026-11-21T05:10:01.042Z`. Computed without gmtime_r(3), which takes the C library's
/// time-zone lock for every line.
enum Timestamp {
    /// `milliseconds` since 1970; an earlier time counts as 1970, one behind the year 9999 as its end.
    static func append(milliseconds: Int64, to line: inout [UInt8]) {
        let clamped = min(max(milliseconds, 0), 253_402_300_799_999)
        let seconds = Int(clamped / 1000)
        let rest = seconds % 86400
        // Days since 0000-03-01, so that a leap day is the last of its year.
        let days = seconds / 86400 + 719_468
        let era = days / 146_097
        let dayOfEra = days % 146_097
        let yearOfEra = (dayOfEra - dayOfEra / 1460 + dayOfEra / 36524 - dayOfEra / 146_096) / 365
        let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
        let shiftedMonth = (5 * dayOfYear + 2) / 153
        let month = shiftedMonth < 10 ? shiftedMonth + 3 : shiftedMonth - 9
        digits(era * 400 + yearOfEra + (month <= 2 ? 1 : 0), 4, to: &line)
        line.append(0x2d)
        digits(month, 2, to: &line)
        line.append(0x2d)
        digits(dayOfYear - (153 * shiftedMonth + 2) / 5 + 1, 2, to: &line)
        line.append(0x54)
        digits(rest / 3600, 2, to: &line)
        line.append(0x3a)
        digits(rest / 60 % 60, 2, to: &line)
        line.append(0x3a)
        digits(rest % 60, 2, to: &line)
        line.append(0x2e)
        digits(Int(clamped % 1000), 3, to: &line)
        line.append(0x5a)
    }

    private static func digits(_ value: Int, _ width: Int, to line: inout [UInt8]) {
        line.append(contentsOf: repeatElement(0x30, count: width))
        var rest = value
        for index in 1...width {
            line[line.count - index] = 0x30 + UInt8(rest % 10)
            rest /= 10
        }
    }
}
