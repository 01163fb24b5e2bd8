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

/// The addresses that command line and configuration ask for.
enum ListenPlan {
    static func addresses(_ settings: Settings) throws(ListenError) -> [ListenAddress] {
        let configuration = settings.configuration
        let listeners =
            configuration.listeners.isEmpty ? [SMTPServerConfiguration.Listener(.any)] : configuration.listeners
        let family = settings.options.family
        let hasIPv6 = family != .ipv4 && Self.hasIPv6
        var addresses: [ListenAddress] = []
        for listener in listeners {
            // -p is over BindPort; a port of its own is the listener's.
            let port = listener.port ?? settings.options.port ?? configuration.port
            switch listener.place {
            case .any where hasIPv6:
                addresses.append(ListenAddress(address: .v6(high: 0, low: 0), port: port, isDualStack: true))
            case .any:
                addresses.append(ListenAddress(address: .v4(0), port: port, isDualStack: false))
            case .anyIPv6:
                guard hasIPv6 else { throw ListenError("\(listener.origin): any6: no IPv6 here", .configuration) }
                addresses.append(ListenAddress(address: .v6(high: 0, low: 0), port: port, isDualStack: false))
            case .address(let address):
                if case .v6 = address, family == .ipv4 {
                    throw ListenError(
                        "\(listener.origin): \(address.literal) is IPv6, but -4 was given", .configuration)
                }
                addresses.append(ListenAddress(address: address, port: port, isDualStack: false))
            case .interface(let name, let wanted):
                let found = try Self.interface(name, wanted, hasIPv6: hasIPv6, origin: listener.origin)
                addresses += found.map { ListenAddress(address: $0, port: port, isDualStack: false) }
            }
        }
        var unique: [ListenAddress] = []
        for address in addresses where !unique.contains(address) { unique.append(address) }
        guard unique.count <= 13 else {
            throw ListenError("\(unique.count) addresses; at most 13 are possible", .configuration)
        }
        return unique
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

    init(_ address: ListenAddress, _ configuration: SMTPServerConfiguration) throws(ListenError) {
        var isIPv6 = false
        if case .v6 = address.address { isIPv6 = true }
        let type = Int32(SOCK_STREAM.rawValue) | Int32(SOCK_NONBLOCK.rawValue) | Int32(SOCK_CLOEXEC.rawValue)
        let descriptor = socket(isIPv6 ? AF_INET6 : AF_INET, type, 0)
        guard descriptor >= 0 else { throw ListenError("socket for \(address)", errno) }
        self.descriptor = descriptor
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

    deinit { close(descriptor) }

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
