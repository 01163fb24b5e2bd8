/// Base64 with the usual alphabet and padding (RFC 4648 §4), as SASL exchanges need it (RFC 4954 §4).
public enum Base64 {
    private static let alphabet = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".utf8)

    public static func encode(_ octets: some Collection<UInt8>) -> String {
        var text: [UInt8] = []
        text.reserveCapacity((octets.count + 2) / 3 * 4)
        append(octets, to: &text)
        return String(decoding: text, as: UTF8.self)
    }

    /// The same, appended: with room for it in `text` nothing of the octets is left elsewhere in memory.
    public static func append(_ octets: some Collection<UInt8>, to text: inout [UInt8]) {
        var bits: UInt32 = 0
        var count = 0
        for octet in octets {
            bits = bits << 8 | UInt32(octet)
            count += 1
            guard count == 3 else { continue }
            for shift in [18, 12, 6, 0] as [UInt32] { text.append(alphabet[Int(bits >> shift & 63)]) }
            bits = 0
            count = 0
        }
        if count > 0 {
            bits <<= count == 1 ? 16 : 8
            text.append(alphabet[Int(bits >> 18 & 63)])
            text.append(alphabet[Int(bits >> 12 & 63)])
            text.append(count == 2 ? alphabet[Int(bits >> 6 & 63)] : UInt8(ascii: "="))
            text.append(UInt8(ascii: "="))
        }
    }

    /// `nil` unless the text is complete groups of four, padded, with nothing else in it and no bits left over:
    /// a value has one encoding only.
    public static func decode(_ text: some Collection<UInt8>) -> [UInt8]? {
        guard text.count % 4 == 0 else { return nil }
        var octets: [UInt8] = []
        octets.reserveCapacity(text.count / 4 * 3)
        var bits: UInt32 = 0
        var count = 0
        var padding = 0
        for character in text {
            if character == UInt8(ascii: "=") {
                padding += 1
                bits <<= 6
            } else {
                guard padding == 0, let value = value(character) else { return nil }
                bits = bits << 6 | UInt32(value)
            }
            count += 1
            guard count == 4 else { continue }
            guard padding <= 2, bits & (1 << (UInt32(padding) * 8) - 1) == 0 else { return nil }
            for shift in [16, 8, 0].prefix(3 - padding) as ArraySlice<UInt32> {
                octets.append(UInt8(truncatingIfNeeded: bits >> shift))
            }
            bits = 0
            count = 0
            if padding > 0 { padding = 3 }  // Nothing may follow.
        }
        return octets
    }

    private static func value(_ character: UInt8) -> UInt8? {
        switch character {
        case UInt8(ascii: "A")...UInt8(ascii: "Z"): character - 0x41
        case UInt8(ascii: "a")...UInt8(ascii: "z"): character - 0x61 + 26
        case UInt8(ascii: "0")...UInt8(ascii: "9"): character - 0x30 + 52
        case UInt8(ascii: "+"): 62
        case UInt8(ascii: "/"): 63
        default: nil
        }
    }
}
