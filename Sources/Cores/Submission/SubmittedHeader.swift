import MailModel

/// The header section of a message that a program of this host submits: what is missing is added, what must not be seen goes
/// (RFC 6409 §8), and recipients are read out of it where that is wanted.
public struct SubmittedHeader: Hashable, Sendable {
    public struct StrayLine: Hashable, Sendable {
        /// From 1.
        public let number: Int
        /// At most ``AddressField/maximumMalformedLength`` octets of it.
        public let text: String

        public init(number: Int, text: String) {
            self.number = number
            self.text = text
        }
    }

    public struct Plan: Hashable, Sendable {
        /// For `From`, where it is missing: `user@example.org`.
        public var author: String
        /// In front of it; empty: none.
        public var fullName = ""
        /// RFC 5322 §3.3.
        public var date: String
        /// With brackets.
        public var messageID: String
        /// Behind the `@` of addresses that have none; empty: they stay as they are.
        public var domain = ""
        /// `-t`
        public var takesRecipients = false

        public init(author: String, date: String, messageID: String) {
            self.author = author
            self.date = date
            self.messageID = messageID
        }
    }

    /// The section with CRLF line ends, without the empty line behind it.
    public private(set) var octets: [UInt8] = []
    /// Of `To`, `Cc` and `Bcc`, in that order of the fields, as they stand there; of `Resent-…` alone if there are such
    /// (RFC 5322 §3.6.6).
    public private(set) var recipients: [String] = []
    /// What stands among them and is no address.
    public private(set) var malformed: [String] = []
    /// Some address in it is not ASCII: it needs SMTPUTF8 (RFC 6531 §3.2).
    public private(set) var needsSMTPUTF8 = false
    /// The line that ended the section and is neither empty nor a field, and its number from 1: what was meant to be a field behind it
    /// is body, and with it `Bcc`.
    public private(set) var strayLine: StrayLine?
    /// Where the body begins in the octets that were given.
    public let bodyStart: Int

    private static let addressFields: Set<String> = [
        "from", "sender", "reply-to", "to", "cc", "bcc", "resent-from", "resent-sender", "resent-to", "resent-cc",
        "resent-bcc",
    ]
    private static let recipientFields: Set<String> = ["to", "cc", "bcc"]
    private static let resentRecipientFields: Set<String> = ["resent-to", "resent-cc", "resent-bcc"]

    /// - Parameter message: the message with CRLF line ends, at least up to the end of its header section.
    public init(_ message: [UInt8], _ plan: Plan) {
        let section = HeaderSection(message, from: Self.behindMailboxLine(message))
        bodyStart = section.bodyStart
        if section.end == section.bodyStart, section.end < message.count {
            let line = message[section.end...].prefix { $0 != 0x0d && $0 != 0x0a }
            let number = message[..<section.end].count { $0 == 0x0a } + 1
            strayLine = StrayLine(number: number, text: Octets.text(line.prefix(AddressField.maximumMalformedLength)))
        }
        let names = section.fields.map { asciiLowercased($0.name) }
        let isResent = names.contains { $0.hasPrefix("resent-") }
        let wanted =
            isResent && !Self.resentRecipientFields.isDisjoint(with: names)
            ? Self.resentRecipientFields : Self.recipientFields
        for (field, name) in zip(section.fields, names) {
            let isAddressField = Self.addressFields.contains(name)
            var bareEnds: [Int] = []
            if isAddressField {
                let list = AddressField(message[field.bodyRange])
                if list.addresses.contains(where: { $0.utf8.contains { $0 >= 0x80 } }) { needsSMTPUTF8 = true }
                bareEnds = list.bareEnds
                if plan.takesRecipients, wanted.contains(name) {
                    recipients += list.addresses
                    malformed += list.malformed
                }
            }
            if name == "bcc" || name == "resent-bcc" { continue }
            if isAddressField {
                octets += Self.qualified(message, field, bareEnds, plan.domain)
            } else {
                octets += message[field.range]
            }
            if octets.last != 0x0a { octets += [0x0d, 0x0a] }
        }
        let prefix = isResent ? "Resent-" : ""
        func has(_ name: String) -> Bool { names.contains("\(asciiLowercased(prefix))\(name)") }
        var added = ""
        if !has("from") {
            let address = plan.fullName.isEmpty ? plan.author : "\(DisplayName.encoded(plan.fullName)) <\(plan.author)>"
            added += "\(prefix)From: \(address)\r\n"
        }
        if !has("date") { added += "\(prefix)Date: \(plan.date)\r\n" }
        if !has("message-id") { added += "\(prefix)Message-ID: \(plan.messageID)\r\n" }
        // Resent fields stand together, in front of what they were added to.
        octets = isResent ? Array(added.utf8) + octets : octets + Array(added.utf8)
    }

    /// The field with `@domain` behind the addresses that lack it (RFC 6409 §8, RFC 5321 §2.3.4): what leaves this host is no address
    /// without it.
    private static func qualified(
        _ message: [UInt8], _ field: HeaderSection.Field, _ ends: [Int], _ domain: String
    ) -> [UInt8] {
        guard !domain.isEmpty, !ends.isEmpty else { return Array(message[field.range]) }
        var result: [UInt8] = []
        var start = field.range.lowerBound
        for end in ends {
            let position = field.bodyRange.lowerBound + end
            result += message[start..<position]
            result += "@\(domain)".utf8
            start = position
        }
        return result + message[start..<field.range.upperBound]
    }

    /// Programs that copy a message out of an mbox file leave its `From ` line in front.
    private static func behindMailboxLine(_ message: [UInt8]) -> Int {
        guard message.starts(with: "From ".utf8) || message.starts(with: ">From ".utf8),
            let end = message.firstIndex(of: 0x0a)
        else { return 0 }
        return end + 1
    }
}

/// A person's name in front of an address (RFC 5322 §3.4, `display-name`).
public enum DisplayName {
    /// Octets of a name that are used.
    public static let maximumLength = 200

    /// As it stands in a field: words, a quoted string, or encoded words of UTF-8 (RFC 2047 §5); control characters are left out.
    public static func encoded(_ name: String) -> String {
        var text = ""
        for scalar in name.unicodeScalars where scalar.value >= 0x20 && scalar.value != 0x7f {
            guard text.utf8.count + String(scalar).utf8.count <= maximumLength else { break }
            text.unicodeScalars.append(scalar)
        }
        if text.utf8.allSatisfy({ $0 < 0x80 }) {
            let isPlain = text.utf8.allSatisfy { octet in
                octet == 0x20 || (48...57).contains(octet) || (65...90).contains(octet) || (97...122).contains(octet)
                    || octet == UInt8(ascii: "-") || octet == UInt8(ascii: "'")
            }
            if isPlain { return text }
            var quoted = "\""
            for character in text.unicodeScalars {
                if character == "\"" || character == "\\" { quoted += "\\" }
                quoted.unicodeScalars.append(character)
            }
            return quoted + "\""
        }
        return words(text).map { "=?UTF-8?B?\(Base64.encode(Array($0.utf8)))?=" }.joined(separator: " ")
    }

    /// An encoded word has at most 75 characters, and whole characters in it.
    private static func words(_ text: String) -> [String] {
        var words: [String] = []
        var word = ""
        for scalar in text.unicodeScalars {
            if word.utf8.count + String(scalar).utf8.count > 45 {
                words.append(word)
                word = ""
            }
            word.unicodeScalars.append(scalar)
        }
        return word.isEmpty ? words : words + [word]
    }
}
