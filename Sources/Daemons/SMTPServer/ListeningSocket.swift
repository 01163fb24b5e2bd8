import Configuration
import Glibc
import MailModel
import ProgramKit

/// An address and port to listen on.
struct ListenAddress: Hashable, Sendable, CustomStringConvertible {
    let address: IPAddress
    let port: Int
    /// IPv6: takes IPv4 clients too, as `::ffff:a.b.c.d`.
    let isDualStack: Bool

    var description: String { "\(address.literal):\(port)" }
}

/// Why nobody can be served at an address.
struct ListenError: Error, CustomStringConvertible {
    let description: String
    let code: ExitCode

    init(_ what: String, _ error: Int32) {
        switch error {
        case EADDRINUSE: code = .unavailable
        case EACCES, EPERM: code = .noPermission
        default: code = .osError
        }
        description = "\(what): \(String(cString: strerror(error)))"
    }

    init(_ text: String, _ code: ExitCode) {
        description = text
        self.code = code
    }
}

/// Where clients come to.
enum ListenPlace: Hashable, Sendable, CustomStringConvertible {
    case network(ListenAddress)
    /// A Unix socket, by its path: for the users of this host.
    case local(String)

    var description: String {
        switch self {
        case .network(let address): address.description
        case .local(let path): path
        }
    }
}

/// A place, and what the sessions there are.
struct ListenPoint: Hashable, Sendable {
    let place: ListenPlace
    let role: ListenerRole
}

/// The addresses that command line and configuration ask for.
enum ListenPlan {
    /// Sockets that a worker can be given.
    static let maximumSockets = 48

    static func points(_ settings: Settings) throws(ListenError) -> [ListenPoint] {
        let family = settings.options.family
        let hasIPv6 = family != .ipv4 && Self.hasIPv6
        var points: [ListenPoint] = []
        for (group, configuration) in ([settings.configuration] + settings.configuration.groups).enumerated() {
            // -p is over BindPort; a port of its own is the listener's.
            let port = settings.options.port ?? configuration.port
            for listener in try listeners(of: configuration, settings.environment, isWhole: group == 0) {
                let addresses = try addresses(
                    listener, port: listener.port ?? port, family: family, hasIPv6: hasIPv6)
                for address in addresses {
                    let role = ListenerRole(group: group, service: listener.service, port: address.port)
                    if let other = points.first(where: { $0.place == .network(address) }) {
                        guard other.role != role else { continue }
                        throw ListenError(
                            "\(listener.origin): \(address) is listened on already, for other sessions", .configuration)
                    }
                    points.append(ListenPoint(place: .network(address), role: role))
                }
            }
        }
        if let point = submission(settings) { points.append(point) }
        guard points.count <= maximumSockets else {
            throw ListenError("\(points.count) addresses; at most \(maximumSockets) are possible", .configuration)
        }
        return points
    }

    /// `submission-socket`, where it is configured.
    static func submission(_ settings: Settings) -> ListenPoint? {
        let path = settings.configuration.submissionSocket
        return path.isEmpty ? nil : ListenPoint(place: .local(path), role: ListenerRole(service: .local, port: 0))
    }

    /// With `BINDADDR` of zmailer.conf, or everywhere, where the file names nothing; and port 465 with listen-ssmtp.
    private static func listeners(
        of configuration: SMTPServerConfiguration, _ environment: ZEnvironment, isWhole: Bool
    ) throws(ListenError) -> [SMTPServerConfiguration.Listener] {
        var listeners = configuration.listeners
        if listeners.isEmpty, isWhole {
            var place = SMTPServerConfiguration.Listener.Place.any
            if let text = environment["BINDADDR"], !text.isEmpty {
                guard let named = SMTPServerConfiguration.place(text) else {
                    let file = environment["ZCONFIG"] ?? ""
                    throw ListenError(
                        "\(file): BINDADDR: '\(text)' is no address; valid are [a.b.c.d], [IPv6:x::y], iface:name",
                        .configuration)
                }
                place = named
            }
            listeners = [SMTPServerConfiguration.Listener(place)]
        }
        if configuration.listensSMTPS {
            listeners += listeners.filter { $0.service == .smtp && $0.port == nil }.map {
                SMTPServerConfiguration.Listener($0.place, service: .smtps, port: 465, origin: $0.origin)
            }
        }
        return listeners
    }

    private static func addresses(
        _ listener: SMTPServerConfiguration.Listener, port: Int, family: ServerOptions.AddressFamily, hasIPv6: Bool
    ) throws(ListenError) -> [ListenAddress] {
        switch listener.place {
        case .any where hasIPv6:
            return [ListenAddress(address: .v6(high: 0, low: 0), port: port, isDualStack: true)]
        case .any:
            return [ListenAddress(address: .v4(0), port: port, isDualStack: false)]
        case .anyIPv6:
            guard hasIPv6 else { throw ListenError("\(listener.origin): any6: no IPv6 here", .configuration) }
            return [ListenAddress(address: .v6(high: 0, low: 0), port: port, isDualStack: false)]
        case .address(let address):
            if case .v6 = address, family == .ipv4 {
                throw ListenError("\(listener.origin): \(address.literal) is IPv6, but -4 was given", .configuration)
            }
            return [ListenAddress(address: address, port: port, isDualStack: false)]
        case .interface(let name, let wanted):
            let found = try Self.interface(name, wanted, hasIPv6: hasIPv6, origin: listener.origin)
            return found.map { ListenAddress(address: $0, port: port, isDualStack: false) }
        }
    }

    private static var hasIPv6: Bool {
        let descriptor = socket(AF_INET6, Int32(SOCK_STREAM.rawValue), 0)
        guard descriptor >= 0 else { return false }
        close(descriptor)
        return access("/proc/net/if_inet6", F_OK) == 0
    }

    private static func interface(
        _ name: String, _ family: SMTPServerConfiguration.Listener.Family, hasIPv6: Bool, origin: String
    ) throws(ListenError) -> [IPAddress] {
        var list: UnsafeMutablePointer<ifaddrs>?
        guard getifaddrs(&list) == 0 else { throw ListenError("\(origin): interfaces", errno) }
        defer { freeifaddrs(list) }
        var found: [IPAddress] = []
        var entry = list
        while let current = entry?.pointee {
            entry = current.ifa_next
            guard String(cString: current.ifa_name) == name, let socketAddress = current.ifa_addr else { continue }
            let raw = UnsafeRawPointer(socketAddress)
            switch Int32(socketAddress.pointee.sa_family) {
            case AF_INET where family != .ipv6:
                found += [IPAddress(octets: (4..<8).map { raw.load(fromByteOffset: $0, as: UInt8.self) })].compactMap {
                    $0
                }
            case AF_INET6 where family != .ipv4 && hasIPv6:
                // A link-local address needs a scope, which nobody outside the link has.
                let octets = (8..<24).map { raw.load(fromByteOffset: $0, as: UInt8.self) }
                if octets[0] == 0xfe, octets[1] & 0xc0 == 0x80 { continue }
                found += [IPAddress(octets: octets)].compactMap { $0 }
            default:
                continue
            }
        }
        guard !found.isEmpty else {
            throw ListenError("\(origin): interface '\(name)' has no address here", .configuration)
        }
        return found
    }
}

/// A socket that is bound and listens; the master keeps it over the lives of its workers.
final class ListeningSocket {
    let descriptor: Int32
    /// The name of a Unix socket, which goes with it.
    private let name: SubmissionSocket.Name?

    convenience init(_ place: ListenPlace, _ configuration: SMTPServerConfiguration) throws(ListenError) {
        switch place {
        case .network(let address): try self.init(address, configuration)
        case .local(let path): try self.init(path: path, backlog: configuration.listenQueueSize)
        }
    }

    private init(path: String, backlog: Int) throws(ListenError) {
        descriptor = try SubmissionSocket.listen(path, backlog: backlog)
        name = SubmissionSocket.Name(path)
    }

    init(_ address: ListenAddress, _ configuration: SMTPServerConfiguration) throws(ListenError) {
        var isIPv6 = false
        if case .v6 = address.address { isIPv6 = true }
        let type = Int32(SOCK_STREAM.rawValue) | Int32(SOCK_NONBLOCK.rawValue) | Int32(SOCK_CLOEXEC.rawValue)
        let descriptor = socket(isIPv6 ? AF_INET6 : AF_INET, type, 0)
        guard descriptor >= 0 else { throw ListenError("socket for \(address)", errno) }
        self.descriptor = descriptor
        name = nil
        Self.set(descriptor, SOL_SOCKET, SO_REUSEADDR, 1)
        Self.set(descriptor, Int32(IPPROTO_TCP), TCP_NODELAY, 1)
        if isIPv6 { Self.set(descriptor, Int32(IPPROTO_IPV6), IPV6_V6ONLY, address.isDualStack ? 0 : 1) }
        // Accepted sockets inherit both.
        if configuration.receiveBufferSize > 0 {
            Self.set(descriptor, SOL_SOCKET, SO_RCVBUF, Int32(configuration.receiveBufferSize))
        }
        if configuration.transmitBufferSize > 0 {
            Self.set(descriptor, SOL_SOCKET, SO_SNDBUF, Int32(configuration.transmitBufferSize))
        }
        guard Self.bind(descriptor, address) == 0 else {
            let code = errno
            let holder = code == EADDRINUSE ? PortHolder.name(port: address.port).map { " (held by \($0))" } ?? "" : ""
            throw ListenError("cannot listen on \(address)\(holder)", code)
        }
        guard listen(descriptor, Int32(configuration.listenQueueSize)) == 0 else {
            throw ListenError("cannot listen on \(address)", errno)
        }
    }

    /// One that somebody else has made.
    init(inherited descriptor: Int32) {
        self.descriptor = descriptor
        name = nil
        _ = fcntl(descriptor, F_SETFD, FD_CLOEXEC)
        _ = fcntl(descriptor, F_SETFL, fcntl(descriptor, F_GETFL) | O_NONBLOCK)
    }

    deinit {
        name?.remove()
        close(descriptor)
    }

    /// Where a TCP socket listens; `nil`: it is none, or does not.
    static func address(of descriptor: Int32) -> ListenAddress? {
        var isListening: Int32 = 0
        var length = socklen_t(MemoryLayout<Int32>.size)
        guard getsockopt(descriptor, SOL_SOCKET, SO_ACCEPTCONN, &isListening, &length) == 0, isListening != 0 else {
            return nil
        }
        var octets = [UInt8](repeating: 0, count: 128)
        length = socklen_t(octets.count)
        let code = octets.withUnsafeMutableBytes { raw in
            raw.withMemoryRebound(to: sockaddr.self) { getsockname(descriptor, $0.baseAddress, &length) }
        }
        guard code == 0 else { return nil }
        let port = Int(octets[2]) << 8 | Int(octets[3])
        switch Int32(octets.withUnsafeBytes { $0.load(as: sa_family_t.self) }) {
        case AF_INET:
            return IPAddress(octets: Array(octets[4..<8])).map {
                ListenAddress(address: $0, port: port, isDualStack: false)
            }
        case AF_INET6:
            var isOnlyIPv6: Int32 = 0
            length = socklen_t(MemoryLayout<Int32>.size)
            getsockopt(descriptor, Int32(IPPROTO_IPV6), IPV6_V6ONLY, &isOnlyIPv6, &length)
            // Not IPAddress(octets:).unmapped: `::` is a place to listen, whatever it maps.
            return IPAddress(octets: Array(octets[8..<24])).map {
                ListenAddress(address: $0, port: port, isDualStack: isOnlyIPv6 == 0)
            }
        default:
            return nil
        }
    }

    /// The port of our end of a connected or listening TCP socket; `nil`: it is none.
    static func localPort(of descriptor: Int32) -> Int? {
        var octets = [UInt8](repeating: 0, count: 128)
        var length = socklen_t(octets.count)
        let code = octets.withUnsafeMutableBytes { raw in
            raw.withMemoryRebound(to: sockaddr.self) { getsockname(descriptor, $0.baseAddress, &length) }
        }
        let family = octets.withUnsafeBytes { Int32($0.load(as: sa_family_t.self)) }
        guard code == 0, family == AF_INET || family == AF_INET6 else { return nil }
        return Int(octets[2]) << 8 | Int(octets[3])
    }

    private static func set(_ descriptor: Int32, _ level: Int32, _ option: Int32, _ value: Int32) {
        var value = value
        _ = setsockopt(descriptor, level, option, &value, socklen_t(MemoryLayout<Int32>.size))
    }

    private static func bind(_ descriptor: Int32, _ address: ListenAddress) -> Int32 {
        // sockaddr_in: family, port, address, 8 octets of padding; sockaddr_in6: family, port, flow, address, scope.
        var octets: [UInt8] = [0, 0, UInt8(address.port >> 8), UInt8(address.port & 255)]
        let family: Int32
        switch address.address {
        case .v4:
            family = AF_INET
            octets += address.address.octets + [UInt8](repeating: 0, count: 8)
        case .v6:
            family = AF_INET6
            octets += [UInt8](repeating: 0, count: 4) + address.address.octets + [UInt8](repeating: 0, count: 4)
        }
        return octets.withUnsafeMutableBytes { raw in
            raw.storeBytes(of: sa_family_t(family), as: sa_family_t.self)
            return raw.withMemoryRebound(to: sockaddr.self) {
                Glibc.bind(descriptor, $0.baseAddress, socklen_t(raw.count))
            }
        }
    }
}
