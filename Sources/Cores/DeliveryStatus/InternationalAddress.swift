/// The forms of an address of type `utf-8` (RFC 6533 §3).
enum InternationalAddress {
    /// `utf-8-addr-xtext`: printable ASCII without `\`, `+` and `=`, all else as `\x{HEXPOINT}`. For what must be ASCII.
    static func xtext(_ address: String) -> String { escaped(address) { _ in true } }

    /// `utf-8-addr-unitext`: the same with characters beyond ASCII as they are. For what is UTF-8.
    static func unitext(_ address: String) -> String { escaped(address) { (0x80..<0xa0).contains($0.value) } }

    private static func escaped(_ address: String, _ isEscaped: (Unicode.Scalar) -> Bool) -> String {
        var result = ""
        for scalar in address.unicodeScalars {
            switch scalar {
            case "\\", "+", "=": result += escape(scalar)
            case "!"..."~": result.unicodeScalars.append(scalar)
            case "\u{0}"..."\u{7f}": result += escape(scalar)
            default:
                if isEscaped(scalar) { result += escape(scalar) } else { result.unicodeScalars.append(scalar) }
            }
        }
        return result
    }

    private static func escape(_ scalar: Unicode.Scalar) -> String {
        "\\x{\(scalar.value < 16 ? "0" : "")\(String(scalar.value, radix: 16, uppercase: true))}"
    }

    /// The address itself; what is no escape stands for itself.
    static func decoded(_ text: String) -> String {
        var result = String.UnicodeScalarView()
        var rest = Substring(text).unicodeScalars
        while let scalar = rest.popFirst() {
            guard scalar == "\\", rest.starts(with: "x{".unicodeScalars), let close = rest.firstIndex(of: "}") else {
                result.append(scalar)
                continue
            }
            let digits = rest[rest.index(rest.startIndex, offsetBy: 2)..<close]
            guard (2...6).contains(digits.count), let value = UInt32(String(Substring(digits)), radix: 16),
                let decoded = Unicode.Scalar(value)
            else {
                result.append(scalar)
                continue
            }
            result.append(decoded)
            rest = rest[rest.index(after: close)...]
        }
        return String(result)
    }
}
