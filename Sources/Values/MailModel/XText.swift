/// RFC 3461 §4: `xtext`, the encoding of ENVID, ORCPT and AUTH values.
public enum XText {
    /// `!`...`~` but `+` and `=` stand for themselves, all else is `+` and two upper-case hexadecimal digits.
    public static func encode(_ octets: some Sequence<UInt8>) -> String {
        var text: [UInt8] = []
        for octet in octets {
            if (0x21...0x7e).contains(octet), octet != UInt8(ascii: "+"), octet != UInt8(ascii: "=") {
                text.append(octet)
            } else {
                text.append(UInt8(ascii: "+"))
                text.append(hexDigit(octet >> 4))
                text.append(hexDigit(octet & 15))
            }
        }
        return String(decoding: text, as: UTF8.self)
    }

    /// `nil` if the text is not xtext.
    public static func decode(_ text: some StringProtocol) -> [UInt8]? {
        var octets: [UInt8] = []
        var iterator = text.utf8.makeIterator()
        while let byte = iterator.next() {
            switch byte {
            case UInt8(ascii: "+"):
                guard let first = iterator.next(), let second = iterator.next(), let high = hexValue(first),
                    let low = hexValue(second)
                else { return nil }
                octets.append(high << 4 | low)
            case 0x21...0x7e where byte != UInt8(ascii: "="):
                octets.append(byte)
            default:
                return nil
            }
        }
        return octets
    }

    private static func hexDigit(_ value: UInt8) -> UInt8 { value < 10 ? 0x30 + value : 0x37 + value }
}
