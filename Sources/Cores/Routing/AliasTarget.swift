import MailModel

/// What an alias or a list names. Files and programs come from tables alone: an envelope address is never one.
public enum AliasTarget: Hashable, Sendable {
    /// A local part of ours: expanded further.
    case name(LocalPart)
    /// `\name`: that mailbox, not expanded further.
    case mailbox(LocalPart)
    case address(Mailbox)
    /// With its `|`.
    case command(String)
    /// Absolute.
    case file(String)
    /// `:include:` without the prefix; absolute.
    case include(String)

    public static let validForms =
        "valid are user, user@domain, \\user, |\"program arguments\", /file and :include:/file"

    /// Why `text` is no target, `nil` if it is one.
    public static func problem(_ text: String) -> String? {
        AliasTarget(text) == nil ? "is no target; \(validForms)" : nil
    }

    public init?(_ text: String) {
        guard text.utf8.allSatisfy({ $0 >= 0x20 && $0 != 0x7f }) else { return nil }
        switch text.utf8.first {
        case UInt8(ascii: "|"):
            guard text.utf8.dropFirst().contains(where: { $0 != 0x20 }) else { return nil }
            self = .command(text)
        case UInt8(ascii: "/"):
            guard text.utf8.count > 1 else { return nil }
            self = .file(text)
        case UInt8(ascii: ":"):
            let prefix = ":include:"
            guard text.utf8.count > prefix.utf8.count + 1, asciiLowercased(text.prefix(prefix.count)) == prefix else {
                return nil
            }
            let path = String(text.dropFirst(prefix.count))
            guard path.utf8.first == UInt8(ascii: "/") else { return nil }
            self = .include(path)
        case UInt8(ascii: "\\"):
            guard let local = Self.localPart(String(text.dropFirst())) else { return nil }
            self = .mailbox(local)
        default:
            if let mailbox = Mailbox(text) {
                self = .address(mailbox)
            } else if text.utf8.first == UInt8(ascii: "<"), text.utf8.last == UInt8(ascii: ">"),
                let mailbox = Mailbox(text.dropFirst().dropLast())
            {
                self = .address(mailbox)
            } else if let local = Self.localPart(text) {
                self = .name(local)
            } else {
                return nil
            }
        }
    }

    /// A local part without a domain, quoted or not.
    static func localPart(_ text: String) -> LocalPart? { Mailbox("\(text)@localhost")?.localPart }
}
