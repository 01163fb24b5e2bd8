/// A message's header section (RFC 5322 §2.2). Reads anything and changes nothing: fields are ranges of the original octets.
public struct HeaderSection: Sendable {
    public struct Field: Hashable, Sendable {
        /// As spelled, without the colon; never empty.
        public let name: String
        /// The whole field with its folded lines and line ends.
        public let range: Range<Int>
        /// What follows the colon, line ends included.
        public let bodyRange: Range<Int>
    }

    public let octets: [UInt8]
    public let fields: [Field]
    /// Index behind the header section: of the empty line, or of the first line that cannot be a field, or the end.
    public let end: Int
    /// Index of the first body octet: behind the empty line if there is one.
    public let bodyStart: Int

    /// Scans from `start`. Line ends are CRLF or LF. The section ends at the first empty line, or before a line that is
    /// neither a field nor a continuation (RFC 5321 relays carry such messages; the rest is body then).
    public init(_ octets: [UInt8], from start: Int = 0) {
        var fields: [Field] = []
        var index = start
        var end: Int?
        var bodyStart = octets.count
        while index < octets.count {
            let lineStart = index
            var lineEnd = index
            while lineEnd < octets.count && octets[lineEnd] != 0x0a { lineEnd += 1 }
            let next = min(lineEnd + 1, octets.count)
            let isEmpty = lineStart == lineEnd || (lineEnd == lineStart + 1 && octets[lineStart] == 0x0d)
            if isEmpty {
                end = lineStart
                bodyStart = next
                break
            }
            if octets[lineStart] == 0x20 || octets[lineStart] == 0x09, let last = fields.popLast() {
                fields.append(
                    Field(
                        name: last.name, range: last.range.lowerBound..<next,
                        bodyRange: last.bodyRange.lowerBound..<next))
            } else if let colon = Self.colon(in: octets[lineStart..<lineEnd]) {
                var nameEnd = colon
                while nameEnd > lineStart, octets[nameEnd - 1] == 0x20 || octets[nameEnd - 1] == 0x09 { nameEnd -= 1 }
                fields.append(
                    Field(
                        name: String(decoding: octets[lineStart..<nameEnd], as: UTF8.self), range: lineStart..<next,
                        bodyRange: (colon + 1)..<next))
            } else {
                end = lineStart
                bodyStart = lineStart
                break
            }
            index = next
        }
        self.octets = octets
        self.fields = fields
        self.end = end ?? octets.count
        self.bodyStart = bodyStart
    }

    /// Index of the colon that ends a field name (printable ASCII but colon, then optional blanks), if the line has one.
    private static func colon(in line: ArraySlice<UInt8>) -> Int? {
        var sawBlank = false
        // A folded line in front of the first field continues nothing.
        if line.first == 0x20 || line.first == 0x09 { return nil }
        for index in line.indices {
            switch line[index] {
            case UInt8(ascii: ":"): return index > line.startIndex ? index : nil
            case 0x20, 0x09: sawBlank = true
            case 0x21...0x7e: if sawBlank { return nil }
            default: return nil
            }
        }
        return nil
    }

    /// The first field of that name, without regard to case.
    public func first(_ name: String) -> Field? {
        fields.first { Self.isSame($0.name, name) }
    }

    public func count(_ name: String) -> Int {
        fields.count { Self.isSame($0.name, name) }
    }

    private static func isSame(_ left: String, _ right: String) -> Bool {
        guard left.utf8.count == right.utf8.count else { return false }
        for (one, other) in zip(left.utf8, right.utf8) where one != other {
            guard one | 0x20 == other | 0x20, (0x61...0x7a).contains(one | 0x20) else { return false }
        }
        return true
    }

    /// The field's body unfolded (RFC 5322 §2.2.3) and trimmed; octets that are not UTF-8 become U+FFFD.
    public func value(_ field: Field) -> String {
        var unfolded: [UInt8] = []
        for byte in octets[field.bodyRange] where byte != 0x0d && byte != 0x0a { unfolded.append(byte) }
        let isBlank = { (byte: UInt8) in byte == 0x20 || byte == 0x09 }
        let leading = unfolded.prefix(while: isBlank).count
        var trimmed = unfolded[leading...]
        while let last = trimmed.last, isBlank(last) { trimmed.removeLast() }
        return String(decoding: trimmed, as: UTF8.self)
    }

    public func value(_ name: String) -> String? { first(name).map(value) }
}
