import MailModel
import NIOCore
import PeerIdentity

/// Who is at the other end of a session.
struct ClientAddress: Sendable {
    /// IPv4-mapped addresses as IPv4; `nil`: no network client.
    let address: IPAddress?
    /// For replies and trace: `[192.0.2.1]`, `[IPv6:2001:db8::1]`, or `stdin`.
    let literal: String
    let port: Int
    /// Where the client connected to.
    let localAddress: IPAddress?
    let localPort: Int
    /// The account of a program on this host.
    var account: LocalAccount?

    init(_ channel: any Channel) {
        self.init(
            Self.address(channel.remoteAddress), port: channel.remoteAddress?.port ?? 0,
            localAddress: Self.address(channel.localAddress), localPort: channel.localAddress?.port ?? 0)
    }

    /// As a proxy says.
    init(_ connection: ProxiedConnection) {
        self.init(
            connection.source.address.unmapped, port: Int(connection.source.port),
            localAddress: connection.destination.address.unmapped, localPort: Int(connection.destination.port))
    }

    private init(_ address: IPAddress?, port: Int, localAddress: IPAddress?, localPort: Int) {
        self.address = address
        literal = address?.literal ?? "[unknown]"
        self.port = port
        self.localAddress = localAddress
        self.localPort = localPort
    }

    /// With what XCLIENT says. Where it says that there is no address the client has none: nothing is known of it, and nobody
    /// trusts it.
    func changed(by attributes: ClientAttributes) -> ClientAddress {
        var address = address
        switch attributes.address {
        case .given(let given)?: address = given.unmapped
        case .unavailable?, .temporarilyUnavailable?: address = nil
        case nil: break
        }
        var port = port
        if case .given(let given)? = attributes.port { port = Int(given) }
        var localAddress = localAddress
        if case .given(let given)? = attributes.destinationAddress { localAddress = given.unmapped }
        var localPort = localPort
        if case .given(let given)? = attributes.destinationPort { localPort = Int(given) }
        return ClientAddress(address, port: port, localAddress: localAddress, localPort: localPort)
    }

    /// Both ends, where it is a network client.
    var ends: (client: PeerEndpoint, own: PeerEndpoint)? {
        guard let address, let localAddress, let port = UInt16(exactly: port),
            let localPort = UInt16(exactly: localPort)
        else { return nil }
        return (PeerEndpoint(address, port: port), PeerEndpoint(localAddress, port: localPort))
    }

    /// A program of an account of this host.
    init(_ account: LocalAccount) {
        self.init(interactive: "local:\(account.name)")
        self.account = account
    }

    /// Standard input.
    init(interactive name: String) {
        address = nil
        literal = name
        port = 0
        localAddress = nil
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
