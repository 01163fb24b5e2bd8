import MailModel

/// Makes the body of a header field 7-bit: encoded words where RFC 2047 §5 allows them, RFC 2231 for parameters, question marks where
/// nothing better can be done.
public struct FieldEncoder: Sendable {
    /// For octets that are not UTF-8.
    public let charset: String

    public init(charset: String) { self.charset = charset }

    private enum Form {
        /// Text (RFC 5322 §2.2.1).
        case unstructured
        /// Addresses or phrases: encoded words may stand for the words of a phrase, and in comments.
        case phrases
        /// Parameters behind semicolons.
        case parameters
        /// No encoded word can stand there.
        case structured
    }

    /// - Parameters:
    ///   - body: what follows the colon, folding included, without the last line end.
    ///   - name: of the field.
    public func encode(_ body: ArraySlice<UInt8>, name: String) -> [UInt8] {
        let charset = String(validating: body, as: UTF8.self) == nil ? charset : "UTF-8"
        switch Self.form(asciiLowercased(name)) {
        case .unstructured:
            return EncodedWords.write(Self.words(body), charset: charset, column: name.utf8.count + 1)
        case .phrases:
            return EncodedWords.write(Self.phrases(body), charset: charset, column: name.utf8.count + 1)
        case .parameters: return Self.parameters(body, charset)
        case .structured: return Self.stripped(body)
        }
    }

    private static func form(_ name: String) -> Form {
        let plain = name.hasPrefix("resent-") ? String(name.dropFirst(7)) : name
        switch plain {
        case "from", "sender", "reply-to", "to", "cc", "bcc", "return-receipt-to", "disposition-notification-to",
            "errors-to", "mail-followup-to", "mail-reply-to", "apparently-to", "keywords", "list-id":
            return .phrases
        case "content-type", "content-disposition": return .parameters
        case "received", "message-id", "in-reply-to", "references", "date", "mime-version",
            "content-transfer-encoding", "content-id", "return-path", "dkim-signature", "domainkey-signature",
            "authentication-results", "arc-seal", "arc-message-signature", "arc-authentication-results",
            "delivered-to", "original-recipient", "list-post", "list-help", "list-unsubscribe", "list-subscribe",
            "list-owner", "list-archive", "content-language", "auto-submitted":
            return .structured
        default: return .unstructured
        }
    }

    static func stripped(_ octets: some Sequence<UInt8>) -> [UInt8] {
        octets.map { $0 < 0x80 ? $0 : UInt8(ascii: "?") }
    }

    // MARK: text

    private static func words(_ body: ArraySlice<UInt8>) -> [EncodedWords.Token] {
        var tokens: [EncodedWords.Token] = []
        var index = body.startIndex
        while index < body.endIndex {
            let isBlank = HeaderTokens.isBlank(body[index])
            let end = body[index...].firstIndex { HeaderTokens.isBlank($0) != isBlank } ?? body.endIndex
            let octets = Array(body[index..<end])
            tokens.append(isBlank ? .blank(octets) : .word(raw: octets, text: octets))
            index = end
        }
        return tokens
    }

    // MARK: addresses

    private static func phrases(_ body: ArraySlice<UInt8>) -> [EncodedWords.Token] {
        var tokens: [EncodedWords.Token] = []
        var index = body.startIndex
        while index < body.endIndex {
            let octet = body[index]
            let end: Int
            switch octet {
            case 0x20, 0x09, 0x0d, 0x0a:
                end = body[index...].firstIndex { !HeaderTokens.isBlank($0) } ?? body.endIndex
                tokens.append(.blank(Array(body[index..<end])))
            case UInt8(ascii: "\""):
                end = Self.end(of: body, from: index, closing: octet)
                let raw = Array(body[index..<end])
                // A local part is no word of a phrase.
                let isLocalPart = end < body.endIndex && body[end] == UInt8(ascii: "@")
                tokens.append(
                    isLocalPart ? .other(stripped(raw)) : .word(raw: raw, text: Self.unquoted(raw)))
            case UInt8(ascii: "("):
                end = Self.endOfComment(body, from: index)
                tokens += Self.comment(body[index..<end])
            case UInt8(ascii: "<"):
                end = Self.end(of: body, from: index, closing: UInt8(ascii: ">"))
                tokens.append(.other(stripped(body[index..<end])))
            case UInt8(ascii: ","), UInt8(ascii: ";"), UInt8(ascii: ":"), UInt8(ascii: ">"), UInt8(ascii: ")"),
                UInt8(ascii: "@"), UInt8(ascii: "["), UInt8(ascii: "]"), UInt8(ascii: "\\"):
                end = index + 1
                tokens.append(.other([octet]))
            default:
                end =
                    body[index...].firstIndex {
                        HeaderTokens.isBlank($0) || "\"(<,;:>)@[]\\".utf8.contains($0)
                    } ?? body.endIndex
                let raw = Array(body[index..<end])
                let isAddress =
                    (end < body.endIndex && body[end] == UInt8(ascii: "@"))
                    || (index > body.startIndex && body[index - 1] == UInt8(ascii: "@"))
                tokens.append(isAddress ? .other(stripped(raw)) : .word(raw: raw, text: raw))
            }
            index = end
        }
        return tokens
    }

    /// Behind the closing octet, or the end.
    private static func end(of body: ArraySlice<UInt8>, from start: Int, closing: UInt8) -> Int {
        var index = start + 1
        while index < body.endIndex {
            if body[index] == UInt8(ascii: "\\") {
                index += 1
            } else if body[index] == closing {
                return index + 1
            }
            index += 1
        }
        return body.endIndex
    }

    private static func endOfComment(_ body: ArraySlice<UInt8>, from start: Int) -> Int {
        var index = start
        var depth = 0
        while index < body.endIndex {
            switch body[index] {
            case UInt8(ascii: "\\"): index += 1
            case UInt8(ascii: "("): depth += 1
            case UInt8(ascii: ")"):
                depth -= 1
                if depth == 0 { return index + 1 }
            default: break
            }
            index += 1
        }
        return body.endIndex
    }

    /// Words between the parentheses.
    private static func comment(_ octets: ArraySlice<UInt8>) -> [EncodedWords.Token] {
        var tokens: [EncodedWords.Token] = []
        var index = octets.startIndex
        while index < octets.endIndex {
            let octet = octets[index]
            if octet == UInt8(ascii: "(") || octet == UInt8(ascii: ")") {
                tokens.append(.other([octet]))
                index += 1
                continue
            }
            let isBlank = HeaderTokens.isBlank(octet)
            var end = index
            while end < octets.endIndex, HeaderTokens.isBlank(octets[end]) == isBlank,
                octets[end] != UInt8(ascii: "("), octets[end] != UInt8(ascii: ")")
            {
                // What stands behind a backslash belongs to it.
                end += octets[end] == UInt8(ascii: "\\") && end + 1 < octets.endIndex ? 2 : 1
            }
            let raw = Array(octets[index..<end])
            tokens.append(isBlank ? .blank(raw) : .word(raw: raw, text: raw.filter { $0 != UInt8(ascii: "\\") }))
            index = end
        }
        return tokens
    }

    private static func unquoted(_ raw: [UInt8]) -> [UInt8] {
        var text: [UInt8] = []
        var isEscaped = false
        for octet in raw.dropFirst() {
            if isEscaped {
                isEscaped = false
            } else if octet == UInt8(ascii: "\\") {
                isEscaped = true
                continue
            } else if octet == UInt8(ascii: "\"") {
                break
            }
            if octet != 0x0d, octet != 0x0a { text.append(octet) }
        }
        return text
    }

    // MARK: parameters

    /// Octets of a value beyond which RFC 2231 would want it in pieces.
    private static let maximumValue = 250

    private static func parameters(_ body: ArraySlice<UInt8>, _ charset: String) -> [UInt8] {
        let parts = HeaderTokens.parameters(body)
        var output: [UInt8] = []
        for (index, part) in parts.enumerated() {
            if index > 0 { output.append(UInt8(ascii: ";")) }
            guard index > 0, part.contains(where: { $0 >= 0x80 }), let (name, value) = HeaderTokens.parameter(part),
                !name.hasSuffix("*"), name.utf8.allSatisfy({ $0 < 0x80 }), value.count <= maximumValue,
                value.contains(where: { $0 >= 0x80 })
            else {
                output += stripped(part)
                continue
            }
            output += "\r\n \(name)*=\(charset)''".utf8
            for octet in value {
                if isAttributeCharacter(octet) {
                    output.append(octet)
                } else {
                    output += [UInt8(ascii: "%"), Hexadecimal.digit(octet >> 4), Hexadecimal.digit(octet & 0x0f)]
                }
            }
        }
        return output
    }

    /// RFC 2231 §7: `attribute-char`.
    private static func isAttributeCharacter(_ octet: UInt8) -> Bool {
        switch octet {
        case 0x30...0x39, 0x41...0x5a, 0x61...0x7a: true
        default: "!#$&+-.^_`{|}~".utf8.contains(octet)
        }
    }
}
