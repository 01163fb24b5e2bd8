import MailModel

/// CRC-32C (Castagnoli, RFC 3720 appendix B.4), as 8 lower-case hexadecimal digits in spool files.
public struct Checksum: Hashable, Sendable {
    public private(set) var value: UInt32 = 0

    public init() {}

    /// Of octets that are not at hand.
    public init(value: UInt32) { self.value = value }

    public init(_ octets: some Sequence<UInt8>) { update(octets) }

    public mutating func update(_ octets: some Sequence<UInt8>) {
        let isDone: Void? = octets.withContiguousStorageIfAvailable { update(UnsafeRawBufferPointer($0)) }
        if isDone == nil { Array(octets).withUnsafeBytes { update($0) } }
    }

    mutating func update(_ octets: ArraySlice<UInt8>) {
        octets.withUnsafeBytes { update($0) }
    }

    /// Eight octets a step: `table` holds, for each distance from the end of the step, what an octet there contributes.
    private mutating func update(_ octets: UnsafeRawBufferPointer) {
        var crc = ~value
        Self.table.withUnsafeBufferPointer { table in
            var index = 0
            while index + 8 <= octets.count {
                let word =
                    UInt64(littleEndian: octets.loadUnaligned(fromByteOffset: index, as: UInt64.self))
                    ^ UInt64(crc)
                crc = 0
                for position in 0..<8 {
                    crc ^= table[(7 - position) << 8 | Int(truncatingIfNeeded: word >> (8 * UInt64(position)) & 0xff)]
                }
                index += 8
            }
            while index < octets.count {
                crc = table[Int(UInt8(truncatingIfNeeded: crc) ^ octets[index])] ^ (crc >> 8)
                index += 1
            }
        }
        value = ~crc
    }

    public var text: String { String(decoding: digits, as: UTF8.self) }

    /// The octets of ``text``.
    var digits: [UInt8] {
        (0..<8).map { index in
            let digit = UInt8(truncatingIfNeeded: value >> (28 - 4 * UInt32(index)) & 15)
            return digit < 10 ? 0x30 + digit : 0x57 + digit
        }
    }

    /// Whether `octets` are the digits of this checksum.
    func matches(_ octets: ArraySlice<UInt8>) -> Bool { octets.elementsEqual(digits) }

    private static let table: [UInt32] = {
        var table: [UInt32] = (0..<256).map { index in
            (0..<8).reduce(UInt32(index)) { crc, _ in crc & 1 == 1 ? 0x82f6_3b78 ^ (crc >> 1) : crc >> 1 }
        }
        for index in 256..<2048 {
            let before = table[index - 256]
            table.append(table[Int(before & 0xff)] ^ (before >> 8))
        }
        return table
    }()
}
