import MailModel

/// The addresses of a field such as `To` (RFC 5322 §3.4, `address-list`), whatever stands around them: names, comments, groups, old
/// routes. What a person or a program has written by hand is read as it is meant; what cannot be one address is told.
public struct AddressField: Hashable, Sendable {
    /// As they came, without brackets, comments and blanks: `local@domain`, or a local part alone.
    public private(set) var addresses: [String] = []
    /// Texts where an address should be and none is; cut at ``maximumMalformedLength``.
    public private(set) var malformed: [String] = []

    /// Behind which octets of the body an address ends that has no domain, counted from its first.
    public private(set) var bareEnds: [Int] = []

    /// Octets of a text in ``malformed``.
    public static let maximumMalformedLength = 100

    /// - Parameter body: what follows the colon, folded or not.
    public init(_ body: some Sequence<UInt8>) {
        var reader = Reader()
        for (index, octet) in body.enumerated() where octet != 0x0d && octet != 0x0a {
            reader.index = index
            reader.take(octet)
        }
        reader.finish()
        addresses = reader.addresses
        malformed = reader.malformed
        bareEnds = reader.bareEnds
    }

    public init(_ text: String) { self.init(text.utf8) }

    private struct Reader {
        var addresses: [String] = []
        var malformed: [String] = []
        var bareEnds: [Int] = []
        /// Of the octet that is taken.
        var index = 0
        /// Behind the last octet outside brackets, and in them.
        private var outsideEnd = 0
        private var insideEnd = 0
        /// Outside brackets; blanks between words are kept as one.
        private var outside: [UInt8] = []
        /// An `@` outside brackets and quotes.
        private var hasAt = false
        private var inside: [UInt8]?
        private var isInBrackets = false
        /// Something stands behind the brackets: another address, of which one would be lost.
        private var hasTail = false
        /// Of the comment that is open; bounded.
        private var comment: [UInt8] = []
        private var comments = 0
        private var isQuoted = false
        private var isEscaped = false

        mutating func take(_ octet: UInt8) {
            if isEscaped {
                isEscaped = false
                if comments == 0 { append(octet) }
                return
            }
            if octet == UInt8(ascii: "\\") {
                isEscaped = true
                if comments == 0 { append(octet) }
                return
            }
            if isQuoted {
                append(octet)
                if octet == UInt8(ascii: "\"") { isQuoted = false }
                return
            }
            if comments > 0 {
                if comment.count < AddressField.maximumMalformedLength { comment.append(octet) }
                if octet == UInt8(ascii: "(") { comments += 1 }
                if octet == UInt8(ascii: ")") { comments -= 1 }
                return
            }
            switch octet {
            case UInt8(ascii: "("):
                comments = 1
                comment = []
            case UInt8(ascii: "\""):
                isQuoted = true
                append(octet)
            case UInt8(ascii: "<") where inside == nil:
                isInBrackets = true
                inside = []
            case UInt8(ascii: ">") where isInBrackets: isInBrackets = false
            case UInt8(ascii: ",") where !(isInBrackets && inside?.first == UInt8(ascii: "@")): finish()
            // The end of a group, or how some people separate addresses.
            case UInt8(ascii: ";") where !isInBrackets: finish()
            // The name of a group: what stands before it is no address.
            case UInt8(ascii: ":") where inside == nil && !hasAt: outside = []
            case 0x20, 0x09:
                if !isInBrackets, let last = outside.last, last != 0x20 { outside.append(0x20) }
            default: append(octet)
            }
        }

        private mutating func append(_ octet: UInt8) {
            if isInBrackets {
                inside?.append(octet)
                insideEnd = index + 1
            } else {
                if inside != nil { hasTail = true }
                if octet == UInt8(ascii: "@"), !isQuoted { hasAt = true }
                outside.append(octet)
                outsideEnd = index + 1
            }
        }

        mutating func finish() {
            defer {
                outside = []
                hasAt = false
                inside = nil
                isInBrackets = false
                hasTail = false
                comments = 0
                isQuoted = false
            }
            while outside.last == 0x20 { outside.removeLast() }
            // Only the end of the field comes before the end of a comment or a quoted string: what they have swallowed may be addresses.
            if comments > 0 || isQuoted {
                let address = inside.map { "<\(Octets.text($0[...]))>" }
                let open = comments > 0 ? "(\(Octets.text(comment[...]))" : nil
                let words = [outside.isEmpty ? nil : Octets.text(outside[...]), address, open].compactMap(\.self)
                return tell(words.joined(separator: " "))
            }
            guard let bracketed = inside else {
                guard !outside.isEmpty else { return }
                let text = Octets.text(outside[...])
                // Blanks may stand around the dots and the @ of an address (RFC 5322 §4.4), and nowhere else in it.
                let joined = Self.withoutObsoleteBlanks(outside)
                if joined.contains(0x20), !Self.isQuoted(joined) {
                    tell(text)
                } else {
                    add(joined[...], outsideEnd)
                }
                return
            }
            var address = bracketed[...]
            if address.first == UInt8(ascii: "@"), let colon = address.firstIndex(of: UInt8(ascii: ":")) {
                address = address[(colon + 1)...]
            }
            if isInBrackets || address.isEmpty {
                tell("<\(Octets.text(bracketed[...]))>")
            } else if hasTail {
                tell("<\(Octets.text(bracketed[...]))> \(Octets.text(outside[...]))")
            } else {
                add(address, insideEnd)
            }
        }

        private mutating func add(_ address: ArraySlice<UInt8>, _ end: Int) {
            addresses.append(Octets.text(address))
            if !address.contains(UInt8(ascii: "@")) { bareEnds.append(end) }
        }

        private mutating func tell(_ text: String) {
            malformed.append(String(decoding: text.utf8.prefix(AddressField.maximumMalformedLength), as: UTF8.self))
        }

        private static func isQuoted(_ octets: [UInt8]) -> Bool { octets.contains(UInt8(ascii: "\"")) }

        private static func withoutObsoleteBlanks(_ octets: [UInt8]) -> [UInt8] {
            let isGlue = { (octet: UInt8) in octet == UInt8(ascii: "@") || octet == UInt8(ascii: ".") }
            var result: [UInt8] = []
            for (index, octet) in octets.enumerated() {
                if octet == 0x20 {
                    if let last = result.last, isGlue(last) { continue }
                    if index + 1 < octets.count, isGlue(octets[index + 1]) { continue }
                }
                result.append(octet)
            }
            return result
        }
    }
}
