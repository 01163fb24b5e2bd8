import MailModel

/// One thing that was looked at on the way to a decision: what `-T` and `zmailer explain` show.
public struct PolicyStep: Hashable, Sendable {
    public enum Kind: String, Hashable, Sendable {
        /// A chain begins: `connect`, `reverse-name`, `helo`, `mail`, `rcpt`.
        case chain
        /// A key of the database: `[192.0.2.0]/24`, `.example.org`; the outcome is `found` or `not found`.
        case key
        /// An attribute of a found record, aliases as `= _tag`; the outcome tells whether it was taken.
        case attribute
        /// A state flag was set.
        case flag
        /// A question to the DNS, or to a list, and its answer with its age.
        case name
        /// A counter: connections, rates, greylist.
        case count
        /// A table of recipients: aliases, accounts.
        case table
        case spf
        case verdict
    }
    public var kind: Kind
    public var subject: String
    public var outcome: String
    /// `file:line` of the entry that this comes from; empty if from none.
    public var origin: String

    public init(_ kind: Kind, _ subject: String, _ outcome: String, origin: String = "") {
        self.kind = kind
        self.subject = subject
        self.outcome = outcome
        self.origin = origin
    }

    /// `kind|subject|outcome|origin`; `|` and `%` in the parts are percent-encoded.
    var encoded: String {
        func escaped(_ text: String) -> String {
            guard text.utf8.contains(where: { $0 == UInt8(ascii: "|") || $0 == UInt8(ascii: "%") }) else { return text }
            var out = ""
            for character in text.unicodeScalars {
                switch character {
                case "|": out += "%7C"
                case "%": out += "%25"
                default: out.unicodeScalars.append(character)
                }
            }
            return out
        }
        return "\(kind.rawValue)|\(escaped(subject))|\(escaped(outcome))|\(escaped(origin))"
    }

    init?(encoded: String) {
        // Octets: what a client says may begin with a combining mark, which would hide a separator from Characters.
        let parts = Octets.split(Array(encoded.utf8)[...], at: UInt8(ascii: "|"))
        guard parts.count == 4, let kind = Kind(rawValue: Octets.text(parts[0])) else { return nil }
        func plain(_ octets: ArraySlice<UInt8>) -> String {
            var out: [UInt8] = []
            var index = octets.startIndex
            while index < octets.endIndex {
                let rest = octets[index...]
                let isBar = Octets.hasPrefix(rest, "%7C")
                if isBar || Octets.hasPrefix(rest, "%25") {
                    out.append(isBar ? UInt8(ascii: "|") : UInt8(ascii: "%"))
                    index += 3
                } else {
                    out.append(octets[index])
                    index += 1
                }
            }
            return Octets.text(out[...])
        }
        self.init(kind, plain(parts[1]), plain(parts[2]), origin: plain(parts[3]))
    }

    /// A line of `smtpserver -i -d 1`.
    public var debugLine: String {
        "000- \(kind.rawValue): \(subject)\(outcome.isEmpty ? "" : ": \(outcome)")\(origin.isEmpty ? "" : " (\(origin))")"
    }
}
