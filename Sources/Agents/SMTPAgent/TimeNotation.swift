/// ZMailer's notation of time: `90`, `90s`, `3m`, `1h5m20s`, `2d`.
enum TimeNotation {
    /// `nil` if the text is none, or longer than a year.
    static func duration(_ text: some StringProtocol) -> Duration? {
        var total = 0
        var digits = 0
        var number = 0
        for character in text.utf8 {
            let unit: Int
            switch character {
            case UInt8(ascii: "0")...UInt8(ascii: "9"):
                number = number * 10 + Int(character - 48)
                digits += 1
                if digits > 8 { return nil }
                continue
            case UInt8(ascii: "s"): unit = 1
            case UInt8(ascii: "m"): unit = 60
            case UInt8(ascii: "h"): unit = 3600
            case UInt8(ascii: "d"): unit = 86400
            default: return nil
            }
            if digits == 0 { return nil }
            total += number * unit
            digits = 0
            number = 0
        }
        guard !text.isEmpty else { return nil }
        total += number
        return total > 366 * 86400 ? nil : .seconds(total)
    }
}
