import MailModel

/// What `Content-Type` says of an entity (RFC 2045 §5), as far as a conversion needs it.
struct ContentType: Hashable, Sendable {
    /// In lower case.
    var type: String
    var subtype: String
    /// Octets of `boundary`, 1 to 70 (RFC 2046 §5.1.1); `nil`: none, or one that no delimiter can have.
    var boundary: [UInt8]?
    /// In lower case.
    var charset: String?

    /// RFC 2045 §5.2
    static let textPlain = ContentType(type: "text", subtype: "plain")

    private init(type: String, subtype: String) {
        self.type = type
        self.subtype = subtype
    }

    /// - Parameter octets: the field's body, folded or not. What cannot be read counts as `text/plain` (RFC 2045 §5.2).
    init(_ octets: ArraySlice<UInt8>) {
        let parts = HeaderTokens.parameters(octets)
        let name = parts.first.map { Octets.text(HeaderTokens.withoutComments($0)[...]) } ?? ""
        let words = asciiLowercased(name.filter { !$0.isWhitespace }).split(separator: "/")
        guard words.count == 2 else {
            self = .textPlain
            return
        }
        self.init(type: String(words[0]), subtype: String(words[1]))
        for part in parts.dropFirst() {
            guard let (name, value) = HeaderTokens.parameter(part) else { continue }
            switch name {
            case "boundary" where boundary == nil:
                var octets = value
                while octets.last == 0x20 { octets.removeLast() }
                if (1...70).contains(octets.count), octets.allSatisfy({ (0x20...0x7e).contains($0) }) {
                    boundary = octets
                }
            case "charset" where charset == nil: charset = asciiLowercased(Octets.text(value[...]))
            default: break
            }
        }
    }

    var isMultipart: Bool { type == "multipart" }
}

/// Pieces of structured header fields (RFC 5322 §3.2, RFC 2045 §5.1).
enum HeaderTokens {
    /// The parts between semicolons outside of quotes and comments, the first being no parameter.
    static func parameters(_ octets: ArraySlice<UInt8>) -> [ArraySlice<UInt8>] {
        var parts: [ArraySlice<UInt8>] = []
        var start = octets.startIndex
        var index = start
        var isQuoted = false
        var depth = 0
        while index < octets.endIndex {
            switch octets[index] {
            case UInt8(ascii: "\\") where isQuoted || depth > 0: index += 1
            case UInt8(ascii: "\"") where depth == 0: isQuoted.toggle()
            case UInt8(ascii: "(") where !isQuoted: depth += 1
            case UInt8(ascii: ")") where !isQuoted && depth > 0: depth -= 1
            case UInt8(ascii: ";") where !isQuoted && depth == 0:
                parts.append(octets[start..<index])
                start = index + 1
            default: break
            }
            index += 1
        }
        parts.append(octets[start...])
        return parts
    }

    static func withoutComments(_ octets: ArraySlice<UInt8>) -> [UInt8] {
        var result: [UInt8] = []
        var isQuoted = false
        var depth = 0
        var isEscaped = false
        for octet in octets {
            defer { if isEscaped { isEscaped = false } else { isEscaped = octet == UInt8(ascii: "\\") } }
            if isEscaped {
                if depth == 0 { result.append(octet) }
                continue
            }
            switch octet {
            case UInt8(ascii: "\"") where depth == 0: isQuoted.toggle()
            case UInt8(ascii: "(") where !isQuoted: depth += 1
            case UInt8(ascii: ")") where !isQuoted && depth > 0:
                depth -= 1
                continue
            default: break
            }
            if depth == 0 { result.append(octet) }
        }
        return result
    }

    /// `name=value`, the value without its quotes; the name in lower case.
    static func parameter(_ part: ArraySlice<UInt8>) -> (name: String, value: [UInt8])? {
        let text = withoutComments(part)
        guard let equals = text.firstIndex(of: UInt8(ascii: "=")) else { return nil }
        let name = asciiLowercased(Octets.text(trimmed(text[..<equals])))
        let rest = trimmed(text[(equals + 1)...])
        guard rest.first == UInt8(ascii: "\"") else {
            return name.isEmpty ? nil : (name, Array(rest.prefix { !isBlank($0) }))
        }
        var value: [UInt8] = []
        var index = rest.startIndex + 1
        while index < rest.endIndex, rest[index] != UInt8(ascii: "\"") {
            if rest[index] == UInt8(ascii: "\\"), index + 1 < rest.endIndex { index += 1 }
            if rest[index] != 0x0d, rest[index] != 0x0a { value.append(rest[index]) }
            index += 1
        }
        return name.isEmpty ? nil : (name, value)
    }

    static func trimmed(_ octets: ArraySlice<UInt8>) -> ArraySlice<UInt8> {
        var octets = octets
        while let first = octets.first, isBlank(first) { octets.removeFirst() }
        while let last = octets.last, isBlank(last) { octets.removeLast() }
        return octets
    }

    /// Line ends of folding count as blanks.
    static func isBlank(_ octet: UInt8) -> Bool { octet == 0x20 || octet == 0x09 || octet == 0x0d || octet == 0x0a }
}
