import MailModel

/// The name of a message in every spool directory: decimal, digit first, ordered by time, never reused (docs/spool.md §1).
///
/// The upper 42 bits are milliseconds since 1970, the lower 22 bits a slot (16) and a sequence number (6).
public struct SpoolID: Hashable, Sendable, Comparable, CustomStringConvertible {
    public let rawValue: UInt64

    public init(rawValue: UInt64) { self.rawValue = rawValue }

    /// Parses a file name of decimal digits (1...20), nothing else. A name with a leading zero is no spool name: the
    /// number behind it would lead to another file.
    public init?(_ name: some StringProtocol) { self.init(octets: Array(name.utf8)[...]) }

    /// The same from octets.
    public init?(octets: ArraySlice<UInt8>) {
        guard let value = Octets.unsigned(octets), octets.first != UInt8(ascii: "0") || octets.count == 1 else {
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

/// Makes ``SpoolID``s. Two generators with different slots never make the same. With the same slot they can meet within a
/// millisecond; the link of the second file fails only while the first is in the same directory, so slots should be as many as the
/// processes of a machine.
public struct SpoolIDGenerator: Sendable {
    private let slot: UInt64
    private var last: UInt64 = 0

    /// `slot`: only the lower 16 bits count; processes use their pid.
    public init(slot: Int) { self.slot = UInt64(slot & 0xffff) }

    /// `milliseconds` since 1970; a clock that goes back does not make names go back.
    public mutating func next(milliseconds: Int64) -> SpoolID {
        // 42 bits reach to the year 2109; a clock beyond them, or before 1970, must not trap or wrap.
        let time = UInt64(min(max(milliseconds, 0), (1 << 42) - 1))
        // `last` counts milliseconds and sequence together: a full sequence borrows the next millisecond.
        last = max(time << 6, last + 1)
        return SpoolID(rawValue: (last >> 6) << 22 | slot << 6 | (last & 63))
    }
}
