import MailModel

/// Who submitted a message, as the `AUTH=` of MAIL says it (RFC 4954 §5).
public struct Submitter: Hashable, Sendable {
    /// xtext of a mailbox, or `<>`: not known, or not trusted.
    public let text: String

    /// `nil` unless xtext or `<>`, at most 500 octets.
    public init?(_ text: String) {
        guard (1...500).contains(text.utf8.count), text == "<>" || XText.decode(text) != nil else { return nil }
        self.text = text
    }
}
