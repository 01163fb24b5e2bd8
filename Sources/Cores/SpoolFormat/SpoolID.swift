/// The name of a message in every spool directory: decimal, digit first, ordered by time, never reused (docs/spool.md §1).
///
/// The upper 42 bits are milliseconds since 1970, the lower 22 bits a slot (10) and a sequence number (12).
public struct SpoolID: Hashable, Sendable, Comparable, CustomStringConvertible {
    public let rawValue: UInt64

    public init(rawValue: UInt64) { self.rawValue = rawValue }

    /// Parses a file name of decimal digits (1...20), nothing else.
    public init?(_ name: some StringProtocol) {
        let utf8 = name.utf8
        guard (1...20).contains(utf8.count), utf8.allSatisfy({ (48...57).contains($0) }), let value = UInt64(name)
        else {
            return nil
        }
        rawValue = value
    }

    /// Milliseconds since 1970 at which the name was made.
    public var milliseconds: Int64 { Int64(rawValue >> 22) }
    /// Seconds since 1970.
    public var unixTime: Int64 { milliseconds / 1000 }

    public var description: String { String(rawValue) }
    public static func < (left: Self, right: Self) -> Bool { left.rawValue < right.rawValue }
}

/// Makes ``SpoolID``s. Two generators with different slots never make the same; with the same slot they can only meet
/// within a millisecond, and then the link of the second file fails and is reported.
public struct SpoolIDGenerator: Sendable {
    private let slot: UInt64
    private var last: UInt64 = 0

    /// `slot`: only the lower 10 bits count; processes use their pid.
    public init(slot: Int) { self.slot = UInt64(slot & 1023) }

    /// `milliseconds` since 1970; a clock that goes back does not make names go back.
    public mutating func next(milliseconds: Int64) -> SpoolID {
        // `last` counts milliseconds and sequence together: a full sequence borrows the next millisecond.
        last = max(UInt64(milliseconds) << 12, last + 1)
        return SpoolID(rawValue: (last >> 12) << 22 | slot << 12 | (last & 4095))
    }
}
