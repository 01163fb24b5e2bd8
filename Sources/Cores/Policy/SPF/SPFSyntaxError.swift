/// Why a text is no SPF record (RFC 7208 §12): the whole record is void.
public struct SPFSyntaxError: Error, Hashable, Sendable, CustomStringConvertible {
    public enum Reason: String, Hashable, Sendable {
        case notARecord = "does not begin with v=spf1"
        case unknownMechanism = "is no mechanism"
        case modifierName = "begins with no modifier name"
        case repeatedModifier = "is given twice"
        case missingArgument = "needs an argument"
        case unexpectedArgument = "takes no such argument"
        case prefixLength = "has no valid prefix length"
        case address = "has no valid network address"
        case domain = "has no valid domain-spec"
        case macro = "has no valid macro"
        case character = "has a character that is not printable US-ASCII"
    }
    public let reason: Reason
    /// The term, cut to something that fits a log line.
    public let term: String

    init(_ reason: Reason, _ term: ArraySlice<UInt8>) {
        self.reason = reason
        self.term = SPFText.plain(term, limit: 60)
    }

    public var description: String { "\"\(term)\" \(reason.rawValue)" }
}
