import MailModel

/// One end of a TCP connection.
public struct PeerEndpoint: Hashable, Sendable, CustomStringConvertible {
    public let address: IPAddress
    public let port: UInt16

    public init(_ address: IPAddress, port: UInt16) {
        self.address = address
        self.port = port
    }

    /// `[192.0.2.1]:25`.
    public var description: String { "\(address.literal):\(port)" }
}
