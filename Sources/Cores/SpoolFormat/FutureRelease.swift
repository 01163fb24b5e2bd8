import MailModel

/// A message that is not to be released before its time (RFC 4865): the line `holduntil <epoch> [for=<seconds>]`.
public struct FutureRelease: Hashable, Sendable {
    /// Seconds since 1970, within ``EnvelopeTime/range``: nothing is delivered before.
    public let time: Int64
    /// What `HOLDFOR` asked for, in seconds; `nil`: the client gave the time itself (`HOLDUNTIL`).
    public let interval: Int?

    public init(at time: Int64, interval: Int? = nil) {
        self.time = EnvelopeTime.clamped(time)
        self.interval = interval.flatMap { Self.intervals.contains($0) ? $0 : nil }
    }

    /// `future-release-integer` (RFC 4865 §3).
    static let intervals = 1...999_999_999

    /// `<epoch>[ for=<seconds>]`.
    var text: String { interval.map { "\(time) for=\($0)" } ?? "\(time)" }

    /// Unknown words behind the time are passed over; `nil` without a time.
    init?(words: ArraySlice<ArraySlice<UInt8>>) {
        guard let time = words.first.flatMap(EnvelopeTime.parse) else { return nil }
        var interval: Int?
        for word in words.dropFirst() where Octets.hasPrefix(word, "for=") {
            interval = Octets.decimal(word.dropFirst(4))
        }
        self.init(at: time, interval: interval)
    }

    /// The value of `Future-Release-Request` (RFC 4865 §5.1.2): what the client has asked for.
    public var request: String {
        interval.map { "for;\($0)" } ?? "until;\(CalendarDate(unixTime: time).rfc3339)"
    }
}

/// Times that stand in envelopes: seconds since 1970 with which one can calculate without a thought of overflow.
public enum EnvelopeTime {
    /// Until the end of the year 9999.
    public static let range: ClosedRange<Int64> = 0...253_402_300_799

    static func clamped(_ time: Int64) -> Int64 { min(max(time, range.lowerBound), range.upperBound) }

    static func parse(_ octets: ArraySlice<UInt8>) -> Int64? {
        Octets.decimal(octets).map(Int64.init).flatMap { range.contains($0) ? $0 : nil }
    }
}
