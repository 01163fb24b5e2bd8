/// Searches that look at eight octets at a time; the one place of this module that loads words from memory.
enum OctetScan {
    private static let ones: UInt64 = 0x0101_0101_0101_0101
    private static let highBits: UInt64 = 0x8080_8080_8080_8080

    /// Index of the first octet below 0x0e (CR, LF, NUL, TAB and rarer controls) in `from..<octets.count`, or the count.
    /// The highest bits of the octets before it are or-ed into `high`: it stays 0 while all are ASCII.
    @inline(__always)
    static func firstBelowShiftOut(_ octets: UnsafeRawBufferPointer, from: Int, high: inout UInt64) -> Int {
        var index = from
        let end = octets.count
        while index &+ 8 <= end {
            let word = UInt64(littleEndian: octets.loadUnaligned(fromByteOffset: index, as: UInt64.self))
            // Exact for the lowest octet that matches: a borrow can only disturb the octets above it.
            let found = (word &- ones &* 0x0e) & ~word & highBits
            if found == 0 {
                high |= word & highBits
                index &+= 8
                continue
            }
            let offset = found.trailingZeroBitCount / 8
            if offset > 0 { high |= word & highBits & ((1 << UInt64(offset * 8)) &- 1) }
            return index &+ offset
        }
        while index < end {
            let octet = octets[index]
            if octet < 0x0e { return index }
            high |= UInt64(octet & 0x80)
            index &+= 1
        }
        return end
    }

    /// Index of the first LF in `from..<octets.count`, or `nil`.
    @inline(__always)
    static func firstLineFeed(_ octets: UnsafeRawBufferPointer, from: Int) -> Int? {
        var index = from
        let end = octets.count
        while index &+ 8 <= end {
            let word =
                UInt64(littleEndian: octets.loadUnaligned(fromByteOffset: index, as: UInt64.self)) ^ (ones &* 0x0a)
            let found = (word &- ones) & ~word & highBits
            if found != 0 { return index &+ found.trailingZeroBitCount / 8 }
            index &+= 8
        }
        while index < end {
            if octets[index] == .lineFeed { return index }
            index &+= 1
        }
        return nil
    }
}

extension UInt8 {
    static let carriageReturn = UInt8(ascii: "\r")
    static let lineFeed = UInt8(ascii: "\n")
    static let dot = UInt8(ascii: ".")
    static let space = UInt8(ascii: " ")
    static let tab = UInt8(ascii: "\t")
}

extension UnsafeRawBufferPointer {
    /// The octets from `start`, as a buffer with indices from 0.
    @inline(__always)
    func from(_ start: Int) -> UnsafeRawBufferPointer { UnsafeRawBufferPointer(rebasing: self[start...]) }
}
