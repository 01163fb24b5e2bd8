/// The keywords of a clause, each with what is valid for it.
enum SchedulerKeyword {
    /// Says what is wrong with a value and what would be valid; `nil`: it was taken.
    typealias Setter = @Sendable (_ clause: inout SchedulerClause, _ value: String?) -> String?

    static let table: [String: Setter] = [
        "interval": time({ $0.interval = $1 }, zeroIsValid: false),
        "idlemax": time({ $0.idleLimit = $1 }, zeroIsValid: false),
        "expiry": time({ $0.expiry = $1 }, zeroIsValid: false),
        "expiry2": time({ $0.expiry2 = $1 }, zeroIsValid: true),
        "retries": retries,
        "maxta": count({ $0.maximumJobs = $1 }, 0...100_000, zeroIsUnlimited: true),
        "maxchannel": count({ $0.maximumChannelJobs = $1 }, 0...100_000, zeroIsUnlimited: true),
        "maxring": count({ $0.maximumRingJobs = $1 }, 0...100_000, zeroIsUnlimited: true),
        "maxthr": count({ $0.maximumThreadJobs = $1 }, 0...100_000, zeroIsUnlimited: true),
        "overfeed": count({ $0.overfeed = $1 }, 0...10_000, zeroIsUnlimited: false),
        "skew": count({ $0.skew = $1 }, 1...1000, zeroIsUnlimited: false),
        "user": name({ $0.user = $1 }),
        "group": name({ $0.group = $1 }),
        "queueonly": flag({ $0.isQueueOnly = $1 }),
        "wakeuprestartonly": flag({ $0.wakesOnRestartOnly = $1 }),
        "ageorder": flag({ $0.isAgeOrdered = $1 }),
        "nice": { setNice(&$0, $1) { .relative($0) } },
        "priority": { setNice(&$0, $1) { .absolute($0) } },
        "maxconn": count({ $0.maximumHostJobs = $1 }, 0...100_000, zeroIsUnlimited: true),
        "maxrate": rate,
        "maxmsgs": count({ $0.messagesPerConnection = $1 }, 0...1_000_000, zeroIsUnlimited: true),
        "byhost": flag({ $0.isHostBound = $1 }),
        "bychannel": flag({ $0.isChannelBound = $1 }),
        "deliveryform": form({ $0.deliveryForm = $1 }),
        "expiryform": form({ $0.expiryForm = $1 }),
        "reporttimes": reportTimes,
    ]

    /// Other names of ZMailer's for the same.
    static let aliases = ["sysnice": "nice", "syspriority": "priority"]

    static var names: String { (Array(table.keys) + aliases.keys + ["command"]).sorted().joined(separator: " ") }

    private static func time(
        _ set: @escaping @Sendable (inout SchedulerClause, Duration) -> Void, zeroIsValid: Bool
    ) -> Setter {
        { clause, value in
            guard let value, let time = SchedulerTime.parse(value), zeroIsValid || time > .zero else {
                return "'\(value ?? "")' is not a time; valid are forms like 90, 30s, 5m, 1h30m, 3d"
            }
            set(&clause, time)
            return nil
        }
    }

    private static func count(
        _ set: @escaping @Sendable (inout SchedulerClause, Int) -> Void, _ range: ClosedRange<Int>,
        zeroIsUnlimited: Bool
    ) -> Setter {
        { clause, value in
            guard let value, let number = Int(value), range.contains(number) else {
                return
                    "'\(value ?? "")' is not valid; valid is a number from \(range.lowerBound) to \(range.upperBound)"
                    + (zeroIsUnlimited ? " (0: no limit)" : "")
            }
            set(&clause, zeroIsUnlimited && number == 0 ? Int.max : number)
            return nil
        }
    }

    private static func flag(_ set: @escaping @Sendable (inout SchedulerClause, Bool) -> Void) -> Setter {
        { clause, value in
            switch value.map({ $0.lowercased() }) {
            case nil, "yes", "true", "1", "on": set(&clause, true)
            case "no", "false", "0", "off": set(&clause, false)
            case let other?: return "'\(other)' is not valid; the word alone, or =yes, =no"
            }
            return nil
        }
    }

    private static func name(_ set: @escaping @Sendable (inout SchedulerClause, String) -> Void) -> Setter {
        { clause, value in
            guard let value, !value.isEmpty, value.utf8.allSatisfy({ $0 > 0x20 && $0 != 0x7f }) else {
                return "'\(value ?? "")' is not valid; valid is a name or a number"
            }
            set(&clause, value)
            return nil
        }
    }

    private static let retries: Setter = { clause, value in
        let words = (value ?? "").split { $0 == " " || $0 == "\t" || $0 == "," }
        let numbers = words.compactMap { Int($0) }
        guard !words.isEmpty, words.count <= 100, numbers.count == words.count,
            numbers.allSatisfy({ (1...100_000).contains($0) })
        else {
            return "'\(value ?? "")' is not valid; valid are 1 to 100 positive numbers, as in retries=\"1 1 2 3 5 8\""
        }
        clause.retries = numbers
        return nil
    }

    /// Times after which a sender is told of a delay (scheduler.md §2).
    static let maximumReportTimes = 4

    private static let reportTimes: Setter = { clause, value in
        let words = (value ?? "").split { $0 == " " || $0 == "\t" || $0 == "," }
        if words.count == 1, words[0].lowercased() == "none" {
            clause.reportTimes = []
            return nil
        }
        let valid =
            "valid are 1 to \(maximumReportTimes) times, each later than the one before it, as in"
            + " reporttimes=\"4h 1d\", or none"
        let times = words.compactMap { SchedulerTime.parse($0) }
        guard !words.isEmpty, times.count == words.count else { return "'\(value ?? "")' are no times; \(valid)" }
        guard times.count <= maximumReportTimes else { return "has \(times.count) times; \(valid)" }
        var last = Duration.zero
        for (word, time) in zip(words, times) {
            guard time > last else {
                return last == .zero
                    ? "'\(word)' is no time after the arrival; \(valid)"
                    : "'\(word)' is not later than the time before it; \(valid)"
            }
            last = time
        }
        clause.reportTimes = times
        return nil
    }

    private static let rate: Setter = { clause, value in
        let valid = "valid is n/time, as in maxrate=100/1m, with 1 to 1000000 messages in 1s to 1d, or 0: no limit"
        let parts = (value ?? "").split(separator: "/", omittingEmptySubsequences: false)
        if value == "0" {
            clause.rate = .unlimited
            return nil
        }
        guard parts.count == 2, let count = Int(parts[0]), (1...1_000_000).contains(count),
            let time = SchedulerTime.parse(parts[1]), time >= .seconds(1), time <= .seconds(86400)
        else { return "'\(value ?? "")' is no rate; \(valid)" }
        clause.rate = SchedulerRate(count: count, interval: time)
        return nil
    }

    /// The name of a file in one folder: it must not lead out of it.
    private static func form(_ set: @escaping @Sendable (inout SchedulerClause, String) -> Void) -> Setter {
        { clause, value in
            guard let value, !value.isEmpty, value.utf8.count <= 255, !value.hasPrefix("."),
                value.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7f && $0 != UInt8(ascii: "/") })
            else {
                return
                    "'\(value ?? "")' is not valid; valid is the name of a file in $MAILSHARE/forms, without / and not"
                    + " beginning with a dot"
            }
            set(&clause, value)
            return nil
        }
    }

    private static func setNice(
        _ clause: inout SchedulerClause, _ value: String?, _ make: (Int) -> SchedulerNiceness
    ) -> String? {
        guard let value, let number = Int(value), (-20...19).contains(number) else {
            return "'\(value ?? "")' is not valid; valid is a number from -20 to 19"
        }
        clause.nice = make(number)
        return nil
    }
}

/// `1h5m20s`: numbers with units s, m, h, d, w; a number alone is seconds.
public enum SchedulerTime {
    /// `nil` if it is no time or above ten years.
    public static func parse(_ text: some StringProtocol) -> Duration? {
        var total = 0
        var number: Int?
        for octet in text.utf8 {
            switch octet {
            case 48...57:
                number = (number ?? 0) * 10 + Int(octet - 48)
                guard let value = number, value < 400_000_000 else { return nil }
            default:
                let unit: Int
                switch octet | 0x20 {
                case UInt8(ascii: "s"): unit = 1
                case UInt8(ascii: "m"): unit = 60
                case UInt8(ascii: "h"): unit = 3600
                case UInt8(ascii: "d"): unit = 86400
                case UInt8(ascii: "w"): unit = 604_800
                default: return nil
                }
                guard let value = number else { return nil }
                total += value * unit
                number = nil
            }
        }
        if text.isEmpty { return nil }
        total += number ?? 0
        return total <= 315_360_000 ? .seconds(total) : nil
    }

    /// The shortest form: `1h5m20s`.
    public static func text(_ seconds: Int64) -> String {
        if seconds <= 0 { return "0s" }
        var rest = seconds
        var out = ""
        for (unit, name) in [(86400, "d"), (3600, "h"), (60, "m"), (1, "s")] as [(Int64, String)] where rest >= unit {
            out += "\(rest / unit)\(name)"
            rest %= unit
        }
        return out
    }
}
