import MailModel

/// Who is told that somebody is away (RFC 3834 §2, RFC 5230 §4.5–4.6): a person who has written to him, and nobody else. Everything
/// here was written by a stranger.
public struct AbsenceRules: Hashable, Sendable {
    /// Why nobody is told.
    public enum Silence: Hashable, Sendable, CustomStringConvertible {
        case nullSender
        /// The sender is no address.
        case noAddress(String)
        /// It is a name that a program or a list writes under.
        case robot(String)
        case ownMessage
        /// This field says that no answer is wanted.
        case field(name: String, value: String)
        /// None of the addresses stands in To, Cc, Resent-To, Resent-Cc.
        case notAddressed
        case excluded(String)
        /// The header is larger than what is looked at: what it says is not known.
        case headerTooLarge

        public var description: String {
            switch self {
            case .nullSender: "the sender is <>"
            case .noAddress(let text): "the sender '\(text)' is no address"
            case .robot(let address): "<\(address)> is a list or a program"
            case .ownMessage: "it is his own message"
            case .field(let name, let value): "\(name): \(value)"
            case .notAddressed: "neither To nor Cc has his address (-a names another, -j does not look)"
            case .excluded(let address): "<\(address)> is excluded (-x)"
            case .headerTooLarge: "the header is too large"
            }
        }
    }

    public enum Verdict: Hashable, Sendable {
        case answer(Mailbox)
        case silent(Silence)
    }

    /// Local parts, or whole addresses, that are his (`user`, and `-a`); compared without regard to case.
    public var names: [String]
    /// `-j`: whatever To and Cc say.
    public var answersUnaddressed = false
    /// `-x`: addresses, and domains as `@example.org`, that are never told.
    public var excluded: Set<String> = []

    /// Octets of a header section that are looked at.
    public static let maximumHeaderSize = 1 << 18
    /// Octets of a field's value in a ``Silence``.
    public static let maximumValueLength = 80

    public init(names: [String]) { self.names = names.map { asciiLowercased($0) } }

    /// - Parameter sender: the reverse-path without brackets, empty for `<>`.
    public func verdict(sender: String, header: HeaderSection) -> Verdict {
        guard !sender.isEmpty, sender != "<>" else { return .silent(.nullSender) }
        guard let mailbox = Mailbox(sender) else { return .silent(.noAddress(Self.cut(sender))) }
        let address = asciiLowercased(mailbox.description)
        if Self.isRobot(mailbox.localPart.text) { return .silent(.robot(Self.cut(mailbox.description))) }
        if excluded.contains(address) || excluded.contains("@\(asciiLowercased("\(mailbox.domain)"))") {
            return .silent(.excluded(Self.cut(mailbox.description)))
        }
        if names.contains(where: { $0.contains("@") ? $0 == address : false }) { return .silent(.ownMessage) }
        for field in header.fields {
            if let silence = Self.silence(asciiLowercased(field.name), header.value(field)) { return .silent(silence) }
        }
        let isAddressed =
            answersUnaddressed
            || header.fields.contains { field in
                Self.recipientFields.contains(asciiLowercased(field.name))
                    && AddressField(header.octets[field.bodyRange]).addresses.contains(where: isHis)
            }
        return isAddressed ? .answer(mailbox) : .silent(.notAddressed)
    }

    private static let recipientFields: Set<String> = ["to", "cc", "resent-to", "resent-cc"]

    /// `name`, `name+detail`, at any domain where the name has none.
    private func isHis(_ address: String) -> Bool {
        let address = asciiLowercased(address)
        let parts = address.utf8.split(separator: UInt8(ascii: "@"), maxSplits: 1)
        let localPart = parts.first.map { String(decoding: $0, as: UTF8.self) } ?? ""
        let domain = parts.count > 1 ? "@" + String(decoding: parts[1], as: UTF8.self) : ""
        let base = localPart.utf8.firstIndex(of: UInt8(ascii: "+")).map { String(localPart[..<$0]) } ?? localPart
        return names.contains { name in
            name.utf8.contains(UInt8(ascii: "@"))
                ? name == address || name == base + domain : name == localPart || name == base
        }
    }

    // MARK: names

    private static let robots: Set<String> = [
        "mailer-daemon", "mailer", "mail-daemon", "daemon", "postmaster", "listserv", "listproc", "majordomo",
        "mailman",
        "lists", "list", "listmaster", "robot", "autoreply", "auto-reply", "autoresponder", "bounce", "bounces",
        "noreply", "no-reply", "no_reply", "donotreply", "do-not-reply", "do_not_reply", "owner", "root", "nobody",
    ]
    private static let robotBeginnings = [
        "owner-", "bounce-", "bounces-", "bounce+", "bounces+", "noreply-", "no-reply-",
    ]
    private static let robotEndings = [
        "-owner", "-request", "-relay", "-outgoing", "-bounce", "-bounces", "-noreply", "-no-reply", "-confirm",
        "-errors", "-unsubscribe", "-subscribe",
    ]

    /// Local parts that nobody reads answers at: of lists, of programs, and of mail that is sent in one's own name for each recipient
    /// (VERP).
    static func isRobot(_ localPart: String) -> Bool {
        let name = asciiLowercased(localPart)
        // `list-bounces+user=example.org`
        let base = String(name.prefix { $0 != "+" && $0 != "=" })
        return robots.contains(name) || robots.contains(base) || robotBeginnings.contains(where: name.hasPrefix)
            || robotEndings.contains { name.hasSuffix($0) || base.hasSuffix($0) }
    }

    // MARK: fields

    private static func silence(_ name: String, _ value: String) -> Silence? {
        let word = asciiLowercased(value.prefix { $0 != ";" && $0 != " " && $0 != "\t" && $0 != "(" })
        let speaks: Bool
        switch name {
        // RFC 3834 §5: anything but "no" was made by a program.
        case "auto-submitted": speaks = word != "no"
        case "precedence": speaks = ["bulk", "list", "junk"].contains(word)
        case "x-auto-response-suppress":
            let words = asciiLowercased(value).split { $0 == "," || $0 == " " || $0 == ";" }
            speaks = words.contains { $0 == "all" || $0 == "oof" || $0 == "autoreply" }
        case "x-autoreply", "x-autorespond", "x-autoresponse", "x-loop", "x-mailing-list", "mailing-list", "x-list":
            speaks = true
        case "x-spam-flag", "x-spam-status": speaks = word.hasPrefix("yes")
        case "content-type": speaks = word == "multipart/report"
        case "feedback-id": speaks = true
        // RFC 2369, RFC 2919
        default: speaks = name.hasPrefix("list-")
        }
        return speaks ? .field(name: name, value: cut(value)) : nil
    }

    private static func cut(_ text: String) -> String {
        Octets.cleaned(String(decoding: text.utf8.prefix(maximumValueLength), as: UTF8.self))
    }
}
