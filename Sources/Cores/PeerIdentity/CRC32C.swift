/// The checksum of RFC 4960 Appendix B (Castagnoli's polynomial).
enum CRC32C {
    private static let table: [UInt32] = (0..<256 as Range<UInt32>).map { index in
        (0..<8).reduce(index) { value, _ in value & 1 == 0 ? value >> 1 : value >> 1 ^ 0x82f6_3b78 }
    }

    static func checksum(_ octets: some Sequence<UInt8>) -> UInt32 {
        ~octets.reduce(~0) { value, octet in value >> 8 ^ table[Int((value ^ UInt32(octet)) & 255)] }
    }
}
