/// CRC-32C (Castagnoli, RFC 3720 appendix B.4), as 8 lower-case hexadecimal digits in spool files.
public struct Checksum: Hashable, Sendable {
    public private(set) var value: UInt32 = 0

    public init() {}

    public init(_ octets: some Sequence<UInt8>) { update(octets) }

    public mutating func update(_ octets: some Sequence<UInt8>) {
        var crc = ~value
        if octets.withContiguousStorageIfAvailable({ crc = Self.continued(crc, $0) }) == nil {
            for octet in octets { crc = Self.table[Int(UInt8(truncatingIfNeeded: crc) ^ octet)] ^ (crc >> 8) }
        }
        value = ~crc
    }

    public var text: String {
        let digits = String(value, radix: 16)
        return String(repeating: "0", count: 8 - digits.count) + digits
    }

    private static func continued(_ start: UInt32, _ octets: UnsafeBufferPointer<UInt8>) -> UInt32 {
        var crc = start
        table.withUnsafeBufferPointer { table in
            for octet in octets { crc = table[Int(UInt8(truncatingIfNeeded: crc) ^ octet)] ^ (crc >> 8) }
        }
        return crc
    }

    private static let table: [UInt32] = (0..<256).map { index in
        (0..<8).reduce(UInt32(index)) { crc, _ in crc & 1 == 1 ? 0x82f6_3b78 ^ (crc >> 1) : crc >> 1 }
    }
}
