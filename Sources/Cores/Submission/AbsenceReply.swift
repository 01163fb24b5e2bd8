import DeliveryStatus
import MailModel
import MessageConversion

/// The message that tells a sender that somebody is away (RFC 3834 §3, RFC 5230 §5): the user's own text, with what it quotes of the
/// message that is answered.
public struct AbsenceReply: Hashable, Sendable {
    /// Octets of the text.
    public static let maximumTextSize = 1 << 16
    /// Octets of what is quoted of the message in one place.
    public static let maximumQuotation = 200
    /// Octets of `References`.
    private static let maximumReferences = 900

    /// Fields of the text that go into the reply; others would make it what it is not.
    private static let taken: Set<String> = [
        "from", "subject", "reply-to", "mime-version", "content-type", "content-transfer-encoding", "content-language",
        "organization",
    ]
    /// Fields by which a header is known as one, beside those and what begins with ``knownPrefixes``: without an empty line behind
    /// fields that are known the text is all body. Many a text begins with `Note: …`.
    private static let known: Set<String> = taken.union([
        "to", "cc", "bcc", "sender", "date", "message-id", "in-reply-to", "references", "auto-submitted", "precedence",
        "return-path", "importance", "priority", "keywords", "comments",
    ])
    private static let knownPrefixes = ["x-", "content-", "list-", "resent-"]

    private static func isHeader(_ section: HeaderSection) -> Bool {
        section.end < section.bodyStart
            && section.fields.allSatisfy { field in
                let name = asciiLowercased(field.name)
                return known.contains(name) || knownPrefixes.contains(where: name.hasPrefix)
            }
    }

    /// The user's text, LF or CRLF.
    public var text: [UInt8]
    /// The user: `From` where the text has none.
    public var author: String
    public var recipient: Mailbox
    public var date: String
    /// With brackets.
    public var messageID: String

    public init(text: [UInt8], author: String, recipient: Mailbox, date: String, messageID: String) {
        self.text = text
        self.author = author
        self.recipient = recipient
        self.date = date
        self.messageID = messageID
    }

    /// The whole message, CRLF.
    ///
    /// - Parameter original: the header of the message that is answered.
    public func composed(answering original: HeaderSection) -> [UInt8] {
        let text = Self.crlf(text.prefix(Self.maximumTextSize))
        let section = HeaderSection(text)
        let own = Self.isHeader(section) ? section : HeaderSection([])
        let body = own.octets.isEmpty ? text : Array(text[own.bodyStart...])
        let quotation = Quotation(original, recipient)
        var header = ""
        var hasField: Set<String> = []
        for field in own.fields {
            let name = asciiLowercased(field.name)
            guard Self.taken.contains(name), hasField.insert(name).inserted else { continue }
            header += Self.encodedField(field.name, quotation.filled(Array(own.octets[field.bodyRange])))
        }
        if !hasField.contains("from") { header = Self.field("From", author) + header }
        // RFC 3834 §3.1.5
        if !hasField.contains("subject") {
            header += Self.encodedField("Subject", Array("Auto: \(quotation.subject)".utf8))
        }
        header += Self.field("To", "<\(recipient)>")
        header += Self.field("Date", date)
        header += Self.field("Message-ID", messageID)
        header += references(original)
        header += "Auto-Submitted: auto-replied (vacation)\r\n"
        // For servers that know no RFC 3834.
        header += "X-Auto-Response-Suppress: All\r\n"
        // Encoded words mean nothing in a body, and UTF-8 would mean nothing in one of another charset.
        let isUTF8 = String(validating: body, as: UTF8.self) != nil && !hasField.contains("content-type")
        let filled = (isUTF8 ? quotation.decoded : quotation).filled(body)
        if filled.contains(where: { $0 >= 0x80 }), !hasField.contains("content-type") {
            let charset = String(validating: filled, as: UTF8.self) == nil ? "ISO-8859-1" : "UTF-8"
            header += "MIME-Version: 1.0\r\nContent-Type: text/plain; charset=\(charset)\r\n"
            header += "Content-Transfer-Encoding: 8bit\r\n"
        }
        return Array((header + "\r\n").utf8) + filled
    }

    /// RFC 5322 §3.6.4: nothing where the original has no identifier.
    private func references(_ original: HeaderSection) -> String {
        guard let identifier = Self.identifiers(original.value("Message-ID") ?? "").first else { return "" }
        let before = Self.identifiers(original.value("References") ?? original.value("In-Reply-To") ?? "")
        var list = [identifier]
        var size = identifier.utf8.count
        for earlier in before.reversed() where earlier != identifier {
            size += earlier.utf8.count + 1
            guard size <= Self.maximumReferences else { break }
            list.insert(earlier, at: 0)
        }
        return "In-Reply-To: \(identifier)\r\nReferences: \(list.joined(separator: "\r\n "))\r\n"
    }

    /// `<…@…>` of printable ASCII, and nothing else.
    static func identifiers(_ text: String) -> [String] {
        var found: [String] = []
        for part in text.split(separator: "<").dropFirst(text.hasPrefix("<") ? 0 : 1) {
            guard let end = part.firstIndex(of: ">") else { continue }
            let inside = part[..<end]
            guard (3...250).contains(inside.utf8.count), inside.utf8.contains(UInt8(ascii: "@")),
                inside.utf8.allSatisfy({ (0x21...0x7e).contains($0) })
            else { continue }
            found.append("<\(inside)>")
        }
        return found
    }

    /// One field on lines of at most 78 octets where its blanks allow that (RFC 5322 §2.1.1).
    static func field(_ name: String, _ value: String) -> String {
        var lines: [String] = []
        var line = "\(name):"
        for word in value.split(separator: " ", omittingEmptySubsequences: true) {
            if line.utf8.count + 1 + word.utf8.count > 78, line != "\(name):" {
                lines.append(line)
                line = ""
            }
            line += " \(word)"
        }
        lines.append(line)
        return lines.joined(separator: "\r\n") + "\r\n"
    }

    /// The same of what may have 8-bit octets: encoded words (RFC 2047), as the reply asks for no SMTPUTF8.
    private static func encodedField(_ name: String, _ value: [UInt8]) -> String {
        let line = value.filter { $0 != 0x0d && $0 != 0x0a }.map { $0 == 0x09 ? 0x20 : $0 }
        let encoded = FieldEncoder(charset: "ISO-8859-1").encode(line[...], name: name)
        return field(name, Octets.text(encoded.filter { $0 != 0x0d && $0 != 0x0a }[...]))
    }

    private static func crlf(_ octets: ArraySlice<UInt8>) -> [UInt8] {
        var ends = LineEnds(endsAtDot: false)
        var result: [UInt8] = []
        Array(octets).withUnsafeBytes { ends.push($0, into: &result) }
        ends.finish(into: &result)
        return result
    }
}

/// What the text may quote of the message: a stranger's words, cleaned and bounded.
struct Quotation: Hashable, Sendable {
    let subject: String
    let address: String
    /// The display name of the sender, or the address.
    let name: String

    private init(subject: String, address: String, name: String) {
        self.subject = subject
        self.address = address
        self.name = name
    }

    /// As a person reads it.
    var decoded: Quotation {
        Quotation(
            subject: Self.cleaned(DecodedWords.text(subject)), address: address,
            name: Self.cleaned(DecodedWords.text(name)))
    }

    init(_ original: HeaderSection, _ recipient: Mailbox) {
        subject = Self.cleaned(original.value("Subject") ?? "")
        address = Self.cleaned(recipient.description)
        let from = original.value("From") ?? ""
        let phrase = from.prefix { $0 != "<" }
        let named = from.contains("<") ? Self.cleaned(String(phrase)).filter { $0 != "\"" } : ""
        let trimmed = named.drop { $0 == " " }
        name = trimmed.isEmpty ? address : String(trimmed)
    }

    /// No control characters, no more than ``AbsenceReply/maximumQuotation`` octets, and no character or encoded word cut in two.
    static func cleaned(_ text: String) -> String {
        var result = ""
        for word in text.split(whereSeparator: { $0 == " " || $0 == "\t" }) {
            let word = String(
                String.UnicodeScalarView(
                    word.unicodeScalars.filter { scalar in
                        scalar.value >= 0x20 && !(0x7f...0x9f).contains(scalar.value)
                            // Marks that turn the direction of what follows.
                            && !(0x202a...0x202e).contains(scalar.value) && !(0x2066...0x2069).contains(scalar.value)
                    }))
            guard !word.isEmpty else { continue }
            guard result.utf8.count + 1 + word.utf8.count <= AbsenceReply.maximumQuotation else {
                if result.isEmpty { result = Self.prefix(word) }
                break
            }
            result += (result.isEmpty ? "" : " ") + word
        }
        return result
    }

    /// Of a word that is too long alone; of an encoded word nothing is left.
    private static func prefix(_ word: String) -> String {
        guard !word.hasPrefix("=?") else { return "" }
        var result = ""
        for scalar in word.unicodeScalars {
            guard result.utf8.count + 4 <= AbsenceReply.maximumQuotation else { break }
            result.unicodeScalars.append(scalar)
        }
        return result
    }

    /// With `$SUBJECT`, `$FROM` and `$NAME` replaced; what was put in is not looked at again.
    func filled(_ text: [UInt8]) -> [UInt8] {
        var result: [UInt8] = []
        var rest = text[...]
        while let dollar = rest.firstIndex(of: UInt8(ascii: "$")) {
            result += rest[..<dollar]
            let tail = rest[(dollar + 1)...]
            if let (word, value) = values.first(where: { tail.starts(with: $0.0.utf8) }) {
                result += value.utf8
                rest = tail.dropFirst(word.utf8.count)
            } else {
                result.append(UInt8(ascii: "$"))
                rest = tail
            }
        }
        return result + rest
    }

    func filled(_ text: String) -> String { Octets.text(filled(Array(text.utf8))[...]) }

    private var values: [(String, String)] { [("SUBJECT", subject), ("FROM", address), ("NAME", name)] }
}
