import SpoolFormat

/// What `zmailer trace` is asked to follow.
public enum TraceSubject: Hashable, Sendable {
    /// A message of the spool.
    case queueID(SpoolID)
    /// The word behind `session=`.
    case session(String)
    /// As the router logs it, with its brackets.
    case messageID(String)
    /// The newest messages with this sender, this recipient, or both.
    case addresses(from: String?, to: String?)

    /// What an argument may be.
    public static let valid =
        "a queue id (7523422846721671169), a session (the word behind session=), ZMailer's spool id (S7523…), or a Message-ID"

    /// `nil`: none of the forms.
    public init?(_ text: String) {
        let octets = Array(text.utf8)
        if octets.contains(UInt8(ascii: "@")) || octets.first == UInt8(ascii: "<") {
            guard octets.allSatisfy({ $0 >= 0x20 && $0 != 0x7f }) else { return nil }
            self = .messageID(octets.first == UInt8(ascii: "<") ? text : "<\(text)>")
        } else if let id = SpoolID(zmailerName: text) {
            self = .queueID(id)
        } else if octets.count > 13, let id = SpoolID(text) {
            self = .queueID(id)
        } else if (1...13).contains(octets.count),
            octets.allSatisfy({ (0x30...0x39).contains($0) || (0x61...0x7a).contains($0) })
        {
            // No message of this century has so short a name; one of a test may.
            self = SpoolID(text).map { .queueID($0) } ?? .session(text)
        } else {
            return nil
        }
    }

    /// The same for addresses; brackets do not count.
    public init(from: String?, to: String?) {
        func bare(_ text: String) -> String {
            text.hasPrefix("<") && text.hasSuffix(">") ? String(text.dropFirst().dropLast()) : text
        }
        self = .addresses(from: from.map(bare), to: to.map(bare))
    }

    var text: String {
        switch self {
        case .queueID(let id): "\(id)"
        case .session(let session): "session \(session)"
        case .messageID(let id): id
        case .addresses(let from, let to):
            [from.map { "from <\($0)>" }, to.map { "to <\($0)>" }].compactMap { $0 }.joined(separator: " ")
        }
    }
}
