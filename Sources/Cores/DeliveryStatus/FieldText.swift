/// Texts of strangers on their way into header fields and reports: cleaned, bounded, folded. This is the one place that decides
/// what may become part of a line.
enum FieldText {
    /// Octets of one value before folding.
    static let maximumLength = 2000
    /// Octets of a line where there is a blank to fold at (RFC 5322 §2.1.1).
    static let softLineLength = 76
    /// Octets of a line in any case; below the 998 of RFC 5322 §2.1.1.
    static let hardLineLength = 900

    /// One line: control characters and Unicode's line separators become blanks, characters that turn the direction of what
    /// follows become `?`, what exceeds ``maximumLength`` is cut and ends in `...`. With `isASCII`, other octets than ASCII become
    /// `?`.
    static func cleaned(_ text: some StringProtocol, isASCII: Bool) -> String {
        var result = String.UnicodeScalarView()
        var length = 0
        for scalar in text.unicodeScalars {
            length += UTF8.width(scalar)
            guard length <= maximumLength else {
                result.append(contentsOf: "...".unicodeScalars)
                break
            }
            switch scalar.value {
            case 0..<0x20, 0x7f...0x9f, 0x2028, 0x2029: result.append(" ")
            case 0x20..<0x7f: result.append(scalar)
            // With these a stranger's words would show in another order than they are written (UAX #9 §2).
            case 0x061c, 0x200e, 0x200f, 0x202a...0x202e, 0x2066...0x2069, 0xfeff, 0xe0000...0xe007f:
                result.append("?")
            default: result.append(isASCII ? "?" : scalar)
            }
        }
        return trimmed(String(result))
    }

    static func trimmed(_ text: some StringProtocol) -> String {
        let isBlank = { (octet: UInt8) in octet == 0x20 || octet == 0x09 }
        var octets = Array(text.utf8)[...]
        while let last = octets.last, isBlank(last) { octets.removeLast() }
        return String(decoding: octets.drop(while: isBlank), as: UTF8.self)
    }

    static func isASCII(_ text: some StringProtocol) -> Bool { text.utf8.allSatisfy { $0 < 0x80 } }

    /// Appends `start` and the words of `text`, folded: a new line begins with `indent`, never in the middle of a character.
    static func appendFolded(_ text: String, after start: String, indent: String, to octets: inout [UInt8]) {
        octets.append(contentsOf: start.utf8)
        var length = start.utf8.count
        var isLineStart = true
        for word in text.unicodeScalars.split(separator: " ") {
            let width = word.reduce(0) { $0 + UTF8.width($1) }
            if !isLineStart {
                if length + 1 + width > softLineLength {
                    octets.append(contentsOf: "\r\n\(indent)".utf8)
                    length = indent.utf8.count
                } else {
                    octets.append(0x20)
                    length += 1
                }
            }
            isLineStart = false
            for scalar in word {
                if length + UTF8.width(scalar) > hardLineLength {
                    octets.append(contentsOf: "\r\n\(indent)".utf8)
                    length = indent.utf8.count
                }
                octets.append(contentsOf: UTF8.encode(scalar) ?? UTF8.encodedReplacementCharacter)
                length += UTF8.width(scalar)
            }
        }
        octets.append(contentsOf: "\r\n".utf8)
    }

    /// `Name: value`, folded.
    static func appendField(_ name: String, _ value: String, to octets: inout [UInt8]) {
        appendFolded(value, after: "\(name): ", indent: "    ", to: &octets)
    }
}
