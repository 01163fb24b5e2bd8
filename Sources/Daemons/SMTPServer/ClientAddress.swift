import MailModel
import NIOCore

/// Who is at the other end of a session.
struct ClientAddress: Sendable {
    /// IPv4-mapped addresses as IPv4; `nil`: no network client.
    let address: IPAddress?
    /// For replies and trace: `[192.0.2.1]`, `[IPv6:2001:db8::1]`, or `stdin`.
    let literal: String
    let port: Int
    let localPort: Int

    init(_ channel: any Channel) {
        address = Self.address(channel.remoteAddress)
        literal = address?.literal ?? "[unknown]"
        port = channel.remoteAddress?.port ?? 0
        localPort = channel.localAddress?.port ?? 0
    }

    /// Standard input.
    init(interactive name: String) {
        address = nil
        literal = name
        port = 0
        localPort = 0
    }

    private static func address(_ socket: SocketAddress?) -> IPAddress? {
        switch socket {
        case .v4(let address)?:
            // sockaddr_in: family 2, port 2, address 4 octets.
            return IPAddress(octets: withUnsafeBytes(of: address.address) { Array($0[4..<8]) })
        case .v6(let address)?:
            // sockaddr_in6: family 2, port 2, flow 4, address 16 octets.
            return IPAddress(octets: withUnsafeBytes(of: address.address) { Array($0[8..<24]) })?.unmapped
        case .unixDomainSocket?, nil:
            return nil
        }
    }
}
