/// Texts of strangers on an operator's terminal: nothing of them but printable characters, and nothing left out.
enum TerminalText {
    /// UTF-8 stays; every other octet but a tab, and what moves the cursor or the direction, is written as `\xHH` or `\u{HHHH}`.
    static func escaped(_ octets: some Collection<UInt8>) -> String {
        let octets = Array(octets)
        var text = ""
        var index = 0
        while index < octets.count {
            let count = length(octets[index])
            let end = min(index + max(1, count), octets.count)
            if count > 0, let part = String(validating: octets[index..<end], as: UTF8.self),
                let scalar = part.unicodeScalars.first, part.unicodeScalars.count == 1
            {
                text += isPrintable(scalar) ? part : escape(scalar)
                index = end
            } else {
                text += "\\x\(hexadecimal(UInt32(octets[index]), 2))"
                index += 1
            }
        }
        return text
    }

    static func escaped(_ text: String) -> String { escaped(text.utf8) }

    /// Lines, as they are divided in mail: LF, or CRLF.
    static func lines(_ octets: ArraySlice<UInt8>) -> String {
        var lines = octets.split(separator: 0x0a, omittingEmptySubsequences: false)
        if lines.last?.isEmpty == true { lines.removeLast() }
        return lines.map { escaped($0.last == 0x0d ? $0.dropLast() : $0) + "\n" }.joined()
    }

    /// Octets of the character that begins with this one; 0: none does.
    private static func length(_ octet: UInt8) -> Int {
        switch octet {
        case 0..<0x80: 1
        case 0xc2..<0xe0: 2
        case 0xe0..<0xf0: 3
        case 0xf0..<0xf5: 4
        default: 0
        }
    }

    private static func isPrintable(_ scalar: Unicode.Scalar) -> Bool {
        if scalar == "\t" { return true }
        switch scalar.properties.generalCategory {
        case .control, .format, .surrogate, .privateUse, .unassigned, .lineSeparator, .paragraphSeparator: return false
        default: return true
        }
    }

    private static func escape(_ scalar: Unicode.Scalar) -> String {
        scalar.value < 0x80 ? "\\x\(hexadecimal(scalar.value, 2))" : "\\u{\(hexadecimal(scalar.value, 4))}"
    }

    private static func hexadecimal(_ value: UInt32, _ digits: Int) -> String {
        let text = String(value, radix: 16)
        return String(repeating: "0", count: max(0, digits - text.count)) + text
    }
}
