/// Escapes one value of a log line.
enum LogValue {
    static func append(_ value: String, to line: inout [UInt8]) {
        let utf8 = value.utf8
        var hasBlank = utf8.isEmpty
        let isPlain =
            utf8.count <= EventLog.maximumValueLength
            && utf8.allSatisfy { octet in
                if octet == 0x20 { hasBlank = true }
                return octet >= 0x20 && octet < 0x7f && octet != 0x22 && octet != 0x5c
            }
        if isPlain {
            if hasBlank { line.append(0x22) }
            line.append(contentsOf: utf8)
            if hasBlank { line.append(0x22) }
            return
        }
        line.append(0x22)
        var count = 0
        for scalar in value.unicodeScalars {
            let octets = UTF8.encode(scalar)
            guard let octets else { continue }
            count += octets.count
            if count > EventLog.maximumValueLength {
                line.append(contentsOf: "…".utf8)
                break
            }
            switch scalar {
            case "\"", "\\":
                line.append(0x5c)
                line.append(contentsOf: octets)
            case _ where isControl(scalar):
                for octet in octets {
                    line.append(0x5c)
                    line.append(0x78)
                    line.append(hexDigit(octet >> 4))
                    line.append(hexDigit(octet & 15))
                }
            default: line.append(contentsOf: octets)
            }
        }
        line.append(0x22)
    }

    /// What moves a terminal's cursor, ends a line for some reader, or turns the direction of writing around.
    private static func isControl(_ scalar: Unicode.Scalar) -> Bool {
        switch scalar.value {
        case 0..<0x20, 0x7f..<0xa0, 0x200e...0x200f, 0x2028...0x202e, 0x2066...0x2069, 0xfeff: true
        default: false
        }
    }

    private static func hexDigit(_ value: UInt8) -> UInt8 { value < 10 ? 0x30 + value : 0x57 + value }
}
