import MailModel

/// What a reply means for a recipient (transport-agents.md §2), in the words of sysexits(3).
public enum Disposition: Hashable, Sendable {
    case success
    /// Try again later (TEMPFAIL).
    case temporary
    /// Permanent: the server takes our syntax for wrong (USAGE).
    case usage
    /// Permanent: the server knows no such command (PROTOCOL).
    case protocolError
    /// Permanent: no such user, or refused by policy (NOUSER).
    case noUser
    /// Permanent (UNAVAILABLE).
    case unavailable

    public var isPermanent: Bool { self != .success && self != .temporary }

    /// Deviates: 455 is temporary like all 4xx (RFC 5321 §4.2.1); ZMailer's agent has it permanent.
    public init(code: Int) {
        switch code {
        case 200..<400: self = .success
        case 400..<500, 503: self = .temporary
        case 501, 555: self = .usage
        case 500, 502, 504: self = .protocolError
        case 550, 551, 553, 554, 571: self = .noUser
        case _: self = .unavailable
        }
    }

    /// The reply to RCPT: 552 may mean "too many recipients" there, and is temporary then (RFC 5321 §4.5.3.1.10).
    init(recipientReply reply: Reply) {
        if reply.code == 552, reply.status == nil || reply.status == EnhancedStatusCode(5, 5, 3) {
            self = .temporary
        } else {
            self.init(code: reply.code)
        }
    }
}
