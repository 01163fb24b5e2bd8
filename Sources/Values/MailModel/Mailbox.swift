/// The part left of the `@`, decoded: no surrounding quotes, no escaping backslashes (RFC 5321 §4.1.2 `Local-part`).
public struct LocalPart: Hashable, Sendable, CustomStringConvertible {
    /// 1... octets, printable ASCII and space, or UTF-8 (RFC 6531 §3.3).
    public let text: String

    /// `nil` if the text is empty, too long, or holds a control character.
    public init?(decoded text: some StringProtocol) {
        guard (1...Self.maximumLength).contains(text.utf8.count), text.utf8.allSatisfy({ $0 >= 0x20 && $0 != 0x7f })
        else { return nil }
        self.text = String(text)
    }

    /// Octets. RFC 5321 §4.5.3.1.1 guarantees 64; longer ones exist (VERP, SRS) and are taken.
    public static let maximumLength = 255

    public var isASCII: Bool { text.utf8.allSatisfy { $0 < 0x80 } }

    /// As it goes on the wire: a dot-string where possible, else a quoted string.
    public var encoded: String {
        if Self.isDotString(text.utf8) { return text }
        var quoted = "\""
        for character in text.unicodeScalars {
            if character == "\"" || character == "\\" { quoted.unicodeScalars.append("\\") }
            quoted.unicodeScalars.append(character)
        }
        return quoted + "\""
    }

    public var description: String { encoded }

    static func isDotString(_ bytes: String.UTF8View) -> Bool {
        var previousDot = true
        for byte in bytes {
            if byte == UInt8(ascii: ".") {
                if previousDot { return false }
                previousDot = true
            } else if isAtomText(byte) {
                previousDot = false
            } else {
                return false
            }
        }
        return !previousDot
    }

    /// `atext` of RFC 5322 §3.2.3, extended by RFC 6532 §3.2.
    static func isAtomText(_ byte: UInt8) -> Bool {
        switch byte {
        case 0x80...: true
        case UInt8(ascii: "!"), UInt8(ascii: "#"), UInt8(ascii: "$"), UInt8(ascii: "%"), UInt8(ascii: "&"),
            UInt8(ascii: "'"), UInt8(ascii: "*"), UInt8(ascii: "+"), UInt8(ascii: "-"), UInt8(ascii: "/"),
            UInt8(ascii: "="), UInt8(ascii: "?"), UInt8(ascii: "^"), UInt8(ascii: "_"), UInt8(ascii: "`"),
            UInt8(ascii: "{"), UInt8(ascii: "|"), UInt8(ascii: "}"), UInt8(ascii: "~"):
            true
        default: DomainName.isLetterOrDigit(byte)
        }
    }
}

/// An address: local part and domain (RFC 5321 §4.1.2 `Mailbox`).
public struct Mailbox: Hashable, Sendable, CustomStringConvertible {
    public let localPart: LocalPart
    public let domain: MailDomain

    public init(localPart: LocalPart, domain: MailDomain) {
        self.localPart = localPart
        self.domain = domain
    }

    /// Parses `local@domain` without angle brackets, the whole of `text`.
    public init?(_ text: some StringProtocol, allowingUTF8: Bool = true) {
        let bytes = Array(text.utf8)
        var parser = PathParser(bytes[...], options: PathParser.Options(allowsUTF8: allowingUTF8))
        guard let mailbox = try? parser.mailbox(), parser.isAtEnd else { return nil }
        self = mailbox
    }

    /// Whether it can only be sent with SMTPUTF8 (RFC 6531 §3.3).
    public var isInternationalized: Bool { !localPart.isASCII || !domain.isASCII }

    /// The wire form, quoted where needed; parses back to an equal value.
    public var description: String { "\(localPart.encoded)@\(domain)" }
}

/// `MAIL FROM`: RFC 5321 §4.1.2 `Reverse-path`.
public enum ReversePath: Hashable, Sendable, CustomStringConvertible {
    /// `<>`: no delivery report is ever sent to it.
    case null
    case mailbox(Mailbox)

    /// With angle brackets.
    public var description: String {
        switch self {
        case .null: "<>"
        case .mailbox(let mailbox): "<\(mailbox)>"
        }
    }

    public var mailbox: Mailbox? {
        if case .mailbox(let mailbox) = self { mailbox } else { nil }
    }
}

/// `RCPT TO`: RFC 5321 §4.1.2 `Forward-path`, or `<Postmaster>` without a domain (§4.1.1.3).
public enum ForwardPath: Hashable, Sendable, CustomStringConvertible {
    case postmaster
    case mailbox(Mailbox)

    /// With angle brackets.
    public var description: String {
        switch self {
        case .postmaster: "<postmaster>"
        case .mailbox(let mailbox): "<\(mailbox)>"
        }
    }

    /// Without angle brackets: the form of spool files.
    public var address: String {
        switch self {
        case .postmaster: "postmaster"
        case .mailbox(let mailbox): mailbox.description
        }
    }

    public var isInternationalized: Bool {
        if case .mailbox(let mailbox) = self { mailbox.isInternationalized } else { false }
    }
}
