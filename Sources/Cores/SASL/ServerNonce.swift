import MailModel

/// The server's part of a SCRAM nonce (RFC 5802 §5.1): printable, without comma, never used twice.
public struct ServerNonce: Hashable, Sendable {
    let text: String

    /// - Parameter random: octets from the system's generator, 18 or more.
    public init(random: [UInt8]) { text = Base64.encode(random) }

    /// That of an example.
    init(text: String) { self.text = text }
}
