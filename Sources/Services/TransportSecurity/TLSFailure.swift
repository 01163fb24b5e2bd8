import MailModel

/// What went wrong: our configuration, or the peer.
public struct TLSFailure: Error, Hashable, Sendable, CustomStringConvertible {
    public enum Kind: Hashable, Sendable {
        /// A file or a setting of ours.
        case configuration
        /// The peer broke the protocol, or has no protocol, cipher or group in common with us.
        case protocolError
        /// The peer refused us with this alert (RFC 8446 §6).
        case alert(UInt8)
        /// The peer's certificate is missing, not trusted or of another name.
        case verification
        /// The connection ended without close_notify: what came may be cut short (RFC 8446 §6.1).
        case truncated
        /// A call in a state that does not allow it: our mistake.
        case misuse
    }

    public let kind: Kind
    /// The file that is wrong, if it is one.
    public let file: String?
    /// One line without control characters, 500 octets at most.
    public let reason: String

    init(_ kind: Kind, file: String? = nil, _ reason: String) {
        self.kind = kind
        self.file = file
        self.reason = LogText.line(reason, limit: 500)
    }

    /// One line for a log.
    public var description: String { file.map { "\(LogText.line($0, limit: 300)): \(reason)" } ?? reason }
}

/// Text of others on its way to a log.
enum LogText {
    /// One line without control characters, `limit` octets at most; what is not UTF-8 is replaced.
    static func line(_ text: String, limit: Int) -> String {
        let cleaned = Octets.cleaned(text)
        guard cleaned.utf8.count > limit else { return cleaned }
        var end = cleaned.utf8.index(cleaned.utf8.startIndex, offsetBy: limit)
        while String.Index(end, within: cleaned) == nil { end = cleaned.utf8.index(before: end) }
        return String(cleaned[..<end]) + "…"
    }
}
