import MailModel
import Resolver

/// Where the connections of one next hop may go, in the order in which they are tried.
enum Endpoints: Sendable {
    case endpoints([Endpoint])
    case temporaryFailure(String)
    case permanentFailure(EnhancedStatusCode, String)
}

/// Turns a next hop into places to connect to.
struct HostFinder<Names: NameService>: Sendable {
    let names: Names
    /// Of SMTP itself: the port that our own server is assumed to listen on.
    static var smtpPort: UInt16 { 25 }

    let ownIdentity: OwnIdentity
    /// `-p`
    let defaultPort: UInt16
    /// Not `-x`
    let usesMX: Bool
    /// `-6`
    let prefersIPv6: Bool
    /// `-X`
    let mayConnectToSelf: Bool

    func endpoints(of hop: NextHop) -> Endpoints {
        let port = hop.port ?? defaultPort
        switch hop.destination {
        case .unixSocket(let path):
            return .endpoints([Endpoint(name: "UNIX:\(path)", place: .unixSocket(path))])
        case .address(let address):
            return .endpoints([Endpoint(name: address.literal, place: .address(address, port: port))])
        case .domain(let name, let hopUsesMX):
            // Another port is another server: a mail loop through ourselves needs our own.
            let own = port == Self.smtpPort && !mayConnectToSelf ? ownIdentity : nil
            let routing = MailRouting(names, ownIdentity: own, prefersIPv6: prefersIPv6)
            var generator = SystemRandomNumberGenerator()
            let found =
                usesMX && hopUsesMX
                ? routing.mailHosts(for: name, using: &generator)
                : routing.addresses(ofHost: name, using: &generator)
            switch found {
            case .hosts(let hosts):
                return .endpoints(
                    hosts.map {
                        Endpoint(
                            name: $0.name, place: .address($0.address, port: port),
                            isNameVouchedFor: $0.isNameVouchedFor)
                    })
            case .temporaryFailure(let reason):
                return .temporaryFailure(reason)
            case .permanentFailure(let status, let reason):
                return .permanentFailure(status, reason)
            }
        }
    }
}
