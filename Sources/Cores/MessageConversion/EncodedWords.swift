import MailModel

/// Words of a header field, those with 8-bit octets as encoded words (RFC 2047).
enum EncodedWords {
    enum Token: Hashable {
        /// Blanks and folding.
        case blank([UInt8])
        /// `raw` as it stands; `text` what it means.
        case word(raw: [UInt8], text: [UInt8])
        case other([UInt8])

        var isEightBit: Bool {
            if case .word(_, let text) = self { text.contains { $0 >= 0x80 } } else { false }
        }

        /// Blanks between two encoded words are not shown (RFC 2047 §6.2).
        var isEncodedWord: Bool {
            guard case .word(let raw, _) = self else { return false }
            return raw.count >= 6 && raw.starts(with: "=?".utf8) && raw.suffix(2).elementsEqual("?=".utf8)
        }

        var octets: [UInt8] {
            switch self {
            case .blank(let octets), .other(let octets): octets
            case .word(let raw, _): raw
            }
        }
    }

    /// RFC 2047 §2: of a word, and of a line with words.
    private static let maximumWord = 75
    private static let maximumLine = 76

    /// - Parameter column: how much of the first line stands in front.
    static func write(_ tokens: [Token], charset: String, column: Int) -> [UInt8] {
        var output: [UInt8] = []
        var column = column
        func append(_ octets: [UInt8]) {
            output += octets
            if let end = octets.lastIndex(of: 0x0a) { column = octets.count - end - 1 } else { column += octets.count }
        }
        var index = 0
        while index < tokens.count {
            guard tokens[index].isEightBit else {
                append(tokens[index].octets)
                index += 1
                continue
            }
            var text: [UInt8] = []
            if index >= 2, case .blank(let blank) = tokens[index - 1], tokens[index - 2].isEncodedWord {
                text += unfolded(blank)
            }
            var end = index
            while true {
                if case .word(_, let word) = tokens[end] { text += word }
                end += 1
                guard end + 1 < tokens.count, case .blank(let blank) = tokens[end] else { break }
                if tokens[end + 1].isEightBit {
                    text += unfolded(blank)
                    end += 1
                } else {
                    if tokens[end + 1].isEncodedWord { text += unfolded(blank) }
                    break
                }
            }
            let words = encode(text, charset, room: maximumLine - column)
            // Only where a blank stands may a line be folded.
            if output.last.map(HeaderTokens.isBlank) == true, column + (words.first?.count ?? 0) > maximumLine,
                output.last != 0x0a
            {
                let blank = output.removeLast()
                append([0x0d, 0x0a, blank])
            }
            for (number, word) in words.enumerated() {
                if number > 0 { append([0x0d, 0x0a, 0x20]) }
                append(word)
            }
            index = end
        }
        return output
    }

    /// A run of folding and blanks as what is seen of it.
    private static func unfolded(_ blank: [UInt8]) -> [UInt8] {
        let octets = blank.filter { $0 != 0x0d && $0 != 0x0a }
        return octets.isEmpty ? [0x20] : octets
    }

    /// - Parameter room: what is left of the line for the first word, if that is enough for one.
    private static func encode(_ text: [UInt8], _ charset: String, room: Int) -> [[UInt8]] {
        let unsafe = text.count { !isPlain($0) && $0 != 0x20 }
        // A little longer is no price for a text that people can read.
        let usesBase64 = 4 * text.count / 3 + 4 < text.count + 2 * unsafe
        let frame = Array("=?\(charset)?\(usesBase64 ? "B" : "Q")?".utf8)
        let smallest = frame.count + 2 + 24
        var limit = (room >= smallest ? min(room, maximumWord) : maximumWord) - frame.count - 2
        var words: [[UInt8]] = []
        var chunk: [UInt8] = []
        var length = 0
        func close() {
            let payload = usesBase64 ? Array(Base64.encode(chunk).utf8) : chunk.flatMap(quoted)
            words.append(frame + payload + Array("?=".utf8))
            chunk = []
            length = 0
            limit = maximumWord - frame.count - 2
        }
        for character in characters(text, charset) {
            let added = usesBase64 ? character.count : character.reduce(0) { $0 + quoted($1).count }
            let total = usesBase64 ? (length + added + 2) / 3 * 4 : length + added
            if total > limit, !chunk.isEmpty { close() }
            chunk += character
            length += added
        }
        if !chunk.isEmpty { close() }
        return words
    }

    /// What must not be torn apart: each word stands for itself (RFC 2047 §5).
    private static func characters(_ text: [UInt8], _ charset: String) -> [[UInt8]] {
        guard charset == "UTF-8" else { return text.map { [$0] } }
        var characters: [[UInt8]] = []
        for octet in text {
            if octet & 0xc0 == 0x80, !characters.isEmpty {
                characters[characters.count - 1].append(octet)
            } else {
                characters.append([octet])
            }
        }
        return characters
    }

    /// The octets that may stand as they are even in a phrase (RFC 2047 §5, rule 3).
    private static func isPlain(_ octet: UInt8) -> Bool {
        switch octet {
        case 0x30...0x39, 0x41...0x5a, 0x61...0x7a: true
        default: "!*+-/".utf8.contains(octet)
        }
    }

    private static func quoted(_ octet: UInt8) -> [UInt8] {
        if octet == 0x20 { return [UInt8(ascii: "_")] }
        if isPlain(octet) { return [octet] }
        return [UInt8(ascii: "="), Hexadecimal.digit(octet >> 4), Hexadecimal.digit(octet & 0x0f)]
    }
}
