import MailModel

/// A question to a client's host, whose connection it is (RFC 1413).
///
/// The host asks at ``port`` of the client's address, from the address that the client connected to, sends ``request``, and
/// reads one line of at most ``maximumReplyLength`` octets. It waits ``timeLimit`` in all, connecting included, and at most
/// that long for a session's greeting; no answer in time is "unknown", never an obstacle: most hosts answer nobody. The text
/// is what the other side says about itself: for logs and trace lines, not for decisions.
public struct IdentQuery: Hashable, Sendable {
    public static let port: UInt16 = 113
    /// ZMailer's.
    public static let timeLimit: Duration = .seconds(5)
    /// Octets, line end included; RFC 1413 §6 allows 1000 characters.
    public static let maximumReplyLength = 1002

    /// The client's port, on the host that is asked.
    public let peerPort: UInt16
    /// The port that it connected to.
    public let ownPort: UInt16

    public init(peerPort: UInt16, ownPort: UInt16) {
        self.peerPort = peerPort
        self.ownPort = ownPort
    }

    public var request: [UInt8] { Array("\(peerPort) , \(ownPort)\r\n".utf8) }

    /// Reads the answer, without its line end: `port , port : USERID : system : user` or `port , port : ERROR : token`.
    public func reply(_ line: some Sequence<UInt8>) throws(IdentError) -> IdentReply {
        let octets = Array(line)
        guard octets.count <= Self.maximumReplyLength else { throw .malformed }
        let fields = Octets.split(octets[...], at: UInt8(ascii: ":"), limit: 4)
        guard fields.count >= 3 else { throw .malformed }
        let ports = Octets.split(fields[0], at: UInt8(ascii: ",")).map { PeerText.port(PeerText.trimmed($0)) }
        guard ports.count == 2, let first = ports[0], let second = ports[1] else { throw .malformed }
        guard first == peerPort, second == ownPort else { throw .otherPorts(first, second) }
        let kind = PeerText.trimmed(fields[1])
        if kind.count == 6, Octets.hasPrefix(kind, "USERID", anyCase: true) {
            guard fields.count == 4, let system = Self.system(fields[2]) else { throw .malformed }
            let name = PeerText.cleaned(fields[3])
            guard !name.isEmpty else { throw .malformed }
            return .user(IdentUser(name: name, system: system))
        }
        guard kind.count == 5, Octets.hasPrefix(kind, "ERROR", anyCase: true), fields.count == 3 else {
            throw .malformed
        }
        let token = PeerText.trimmed(fields[2])
        guard (1...Self.maximumTokenLength).contains(token.count), token.allSatisfy(Self.isTokenOctet) else {
            throw .malformed
        }
        return .error(IdentReply.Failure(token))
    }

    /// Octets of the name of a system, of a character set, and of an error (RFC 1413 §6).
    private static let maximumTokenLength = 64

    /// `opsys-field ::= opsys [ "," charset ]`; the system alone.
    private static func system(_ field: ArraySlice<UInt8>) -> String? {
        let parts = Octets.split(field, at: UInt8(ascii: ",")).map(PeerText.trimmed)
        guard parts.count <= 2,
            parts.allSatisfy({ (1...maximumTokenLength).contains($0.count) && $0.allSatisfy(isTokenOctet) })
        else { return nil }
        return Octets.text(parts[0])
    }

    private static func isTokenOctet(_ octet: UInt8) -> Bool { (0x21...0x7e).contains(octet) }
}

/// Whom a host takes for the owner of a connection.
public struct IdentUser: Hashable, Sendable {
    /// Printable US-ASCII, at most 255 octets, not empty.
    public let name: String
    /// `UNIX`, or another system of the list of Assigned Numbers; `OTHER`: the name means something to that host alone.
    public let system: String

    public init(name: String, system: String) {
        self.name = name
        self.system = system
    }
}

public enum IdentReply: Hashable, Sendable {
    public enum Failure: Hashable, Sendable {
        case invalidPort
        case noUser
        case hiddenUser
        /// `UNKNOWN-ERROR`, or a token of the host's own.
        case other

        init(_ token: ArraySlice<UInt8>) {
            func isToken(_ name: StaticString) -> Bool {
                token.count == name.utf8CodeUnitCount && Octets.hasPrefix(token, name, anyCase: true)
            }
            if isToken("INVALID-PORT") {
                self = .invalidPort
            } else if isToken("NO-USER") {
                self = .noUser
            } else if isToken("HIDDEN-USER") {
                self = .hiddenUser
            } else {
                self = .other
            }
        }
    }

    case user(IdentUser)
    case error(Failure)
}

/// Why what came is no answer to the question.
public enum IdentError: Error, Hashable, Sendable {
    case malformed
    /// An answer about another connection.
    case otherPorts(UInt16, UInt16)
}
