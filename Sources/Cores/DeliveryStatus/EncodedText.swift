import MailModel

/// Text beyond ASCII in a message that must be ASCII: encoded-words for its header, quoted-printable for its parts.
enum EncodedText {
    /// RFC 2047: the words from the first to the last one beyond ASCII become encoded-words, the rest stays. Letters and digits
    /// alone stand for themselves in them, which is right in a phrase too (§5 (3)). A quoted string cannot hold one (§5), so its
    /// quotes go.
    static func header(_ text: String) -> String {
        if FieldText.isASCII(text) { return text }
        let words = text.unicodeScalars.filter { $0 != "\"" }.split(separator: " ").map { String(Substring($0)) }
        guard let first = words.firstIndex(where: { !FieldText.isASCII($0) }),
            let last = words.lastIndex(where: { !FieldText.isASCII($0) })
        else { return text }
        let encoded = encodedWords(words[first...last].joined(separator: " "))
        return (words[..<first] + encoded + words[(last + 1)...]).joined(separator: " ")
    }

    /// Encoded-words of at most 75 octets (RFC 2047 §2), none split within a character.
    private static func encodedWords(_ text: String) -> [String] {
        let start = "=?utf-8?Q?"
        let room = 75 - start.utf8.count - 2
        var words: [String] = []
        var current = ""
        for scalar in text.unicodeScalars {
            let piece =
                switch scalar {
                case "a"..."z", "A"..."Z", "0"..."9": String(scalar)
                case " ": "_"
                default:
                    (UTF8.encode(scalar) ?? UTF8.encodedReplacementCharacter).map { "=\(hexadecimal($0))" }.joined()
                }
            if current.utf8.count + piece.utf8.count > room {
                words.append("\(start)\(current)?=")
                current = ""
            }
            current += piece
        }
        if !current.isEmpty { words.append("\(start)\(current)?=") }
        return words
    }

    /// RFC 2045 §6.7, of lines that end in CRLF. What some mail systems would change at the beginning of a line, a dot and `From `,
    /// is encoded too (RFC 2049 §3).
    static func quotedPrintable(_ octets: [UInt8]) -> [UInt8] {
        var result: [UInt8] = []
        result.reserveCapacity(octets.count + octets.count / 4)
        var lines = Octets.split(octets[...], at: 0x0a)
        if lines.last?.isEmpty == true { lines.removeLast() }
        for line in lines {
            append(line: line.last == 0x0d ? line.dropLast() : line, to: &result)
            result.append(contentsOf: "\r\n".utf8)
        }
        return result
    }

    private static func append(line: ArraySlice<UInt8>, to result: inout [UInt8]) {
        var length = 0
        let isChanged = line.first == 0x2e || Octets.hasPrefix(line, "From ")
        for index in line.indices {
            let octet = line[index]
            let isPlain =
                switch octet {
                case 0x3d: false
                case 0x2e, 0x46: index > line.startIndex || !isChanged
                case 0x20: index + 1 < line.endIndex
                default: (0x21...0x7e).contains(octet)
                }
            let piece = isPlain ? [octet] : Array("=\(hexadecimal(octet))".utf8)
            // Room for the sign of a soft line break.
            if length + piece.count > 75 {
                result.append(contentsOf: "=\r\n".utf8)
                length = 0
            }
            result += piece
            length += piece.count
        }
    }

    private static func hexadecimal(_ octet: UInt8) -> String {
        let text = String(octet, radix: 16, uppercase: true)
        return octet < 16 ? "0\(text)" : text
    }
}
