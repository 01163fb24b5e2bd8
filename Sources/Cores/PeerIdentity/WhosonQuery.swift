import MailModel

/// A question to a whoson server: is somebody logged in from this address, and who.
///
/// The protocol is lines of text, over UDP or TCP: `QUERY <address>`, answered by `+` and what is known about the login, `-` and
/// a text if there is none, `*` and a text if the server could not tell. A line is followed by an empty one on both sides; an
/// answer without it is taken too. (As public implementations speak it: whoson.txt itself could not be had.)
///
/// The host sends ``request`` and reads the first line, at most ``maximumReplyLength`` octets (one datagram, or until LF). It
/// waits ``timeLimit`` in all; no answer in time is ``WhosonReply/unavailable``, which gives no rights and takes none.
public struct WhosonQuery: Hashable, Sendable {
    /// By habit; none is registered.
    public static let usualPort: UInt16 = 9876
    public static let timeLimit: Duration = .seconds(2)
    /// Octets, line end included.
    public static let maximumReplyLength = 1024

    /// IPv4-mapped addresses are asked about as IPv4.
    public let address: IPAddress

    public init(_ address: IPAddress) { self.address = address.unmapped }

    public var request: [UInt8] { Array("QUERY \(address)\r\n\r\n".utf8) }
}

public enum WhosonReply: Hashable, Sendable {
    /// What the server knows about the login, a user's name as a rule: printable US-ASCII, at most 255 octets, may be empty.
    case loggedIn(String)
    case notLoggedIn
    /// The server could not tell; or there was no answer, or none that could be read.
    case unavailable

    /// Reads the answer: its first line, without the line end.
    public init(line: some Sequence<UInt8>) {
        let octets = Array(line)
        switch octets.first {
        case UInt8(ascii: "+")?: self = .loggedIn(PeerText.cleaned(octets.dropFirst()))
        case UInt8(ascii: "-")?: self = .notLoggedIn
        default: self = .unavailable
        }
    }

    /// Of a `Received` field (smtpserver.md §9); to be quoted there.
    public var traceText: String {
        switch self {
        case .loggedIn(let text): text
        case .notLoggedIn: "-unregistered-"
        case .unavailable: "-unavailable-"
        }
    }
}
