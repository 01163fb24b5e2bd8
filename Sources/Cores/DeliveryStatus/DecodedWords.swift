import MailModel

/// Encoded-words of a stranger's header (RFC 2047) as a person reads them: those of UTF-8, US-ASCII and ISO 8859-1; others stay.
public enum DecodedWords {
    /// Blanks between words that were encoded are left out.
    public static func text(_ value: String) -> String {
        var result = ""
        var wasEncoded = false
        var blanks = ""
        for word in value.split(separator: " ", omittingEmptySubsequences: false) {
            let decoded = decode(word)
            // Blanks between two encoded words are not part of the text (RFC 2047 §6.2).
            if !(wasEncoded && decoded != nil) { result += blanks }
            result += decoded ?? String(word)
            wasEncoded = decoded != nil
            blanks = " "
        }
        return result
    }

    private static func decode(_ word: Substring) -> String? {
        guard word.utf8.count <= 1000, word.hasPrefix("=?"), word.hasSuffix("?=") else { return nil }
        let parts = word.utf8.split(separator: UInt8(ascii: "?"), omittingEmptySubsequences: false)
        guard parts.count == 5 else { return nil }
        let octets: [UInt8]? =
            switch asciiLowercased(String(decoding: parts[2], as: UTF8.self)) {
            case "q": quoted(parts[3])
            case "b": Base64.decode(parts[3])
            default: nil
            }
        guard let octets else { return nil }
        // Behind an asterisk stands the language (RFC 2231 §5).
        switch asciiLowercased(String(decoding: parts[1].prefix { $0 != 0x2a }, as: UTF8.self)) {
        case "utf-8", "us-ascii": return String(decoding: octets, as: UTF8.self)
        case "iso-8859-1":
            return String(String.UnicodeScalarView(octets.map { Unicode.Scalar($0) }))
        default: return nil
        }
    }

    private static func quoted(_ text: Substring.UTF8View.SubSequence) -> [UInt8]? {
        var octets: [UInt8] = []
        var rest = text[...]
        while let octet = rest.popFirst() {
            switch octet {
            case UInt8(ascii: "_"): octets.append(0x20)
            case UInt8(ascii: "="):
                guard let first = rest.popFirst(), let second = rest.popFirst(),
                    let value = UInt8(String(decoding: [first, second], as: UTF8.self), radix: 16)
                else { return nil }
                octets.append(value)
            default: octets.append(octet)
            }
        }
        return octets
    }
}
