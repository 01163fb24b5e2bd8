/// What was seen of a message's content while it came in: what a sender must know later.
public struct MessageSummary: Hashable, Sendable {
    /// Octets of content as handed out: dots unstuffed, line ends included.
    public var octets = 0
    /// Lines that begin with a dot and must be stuffed when the message is sent by DATA.
    public var dotLines = 0
    /// Octets, without the line end.
    public var longestLine = 0
    public var has8Bit = false
    /// Whether the content is empty or ends with CRLF. Always so after DATA; BDAT may end anywhere (RFC 3030 §2).
    public var endsWithLineEnd = true

    public init() {}
}

/// What to do with CR and LF in content that are not a CRLF (RFC 5321 §2.3.8 forbids them).
public enum BareLineEnds: Hashable, Sendable {
    /// The message is read to its end and refused.
    case refuse
    /// Each becomes a CRLF of the content. It never ends the message, nor does a dot behind it.
    case convert
}

/// Why content is refused.
public enum ContentViolation: Error, Hashable, Sendable {
    case bareCarriageReturn
    case bareLineFeed
    case nulCharacter
    /// More octets than the limit.
    case tooLarge
}
