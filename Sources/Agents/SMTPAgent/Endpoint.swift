import Glibc
import MailModel

/// One place to connect to.
struct Endpoint: Hashable, Sendable, CustomStringConvertible {
    enum Place: Hashable, Sendable {
        case address(IPAddress, port: UInt16)
        case unixSocket(String)
    }
    /// As logs and reports name it: the MX host, the literal, or the path.
    let name: String
    let place: Place
    /// Whether nobody can have forged the way from the next hop to the name: it is the next hop's own, or DNSSEC vouches for it.
    var isNameVouchedFor = false

    /// The name, if it is a domain name.
    var hostName: String? {
        switch place {
        case .address: name.first == "[" ? nil : name
        case .unixSocket: nil
        }
    }

    var address: IPAddress? {
        switch place {
        case .address(let address, _): address
        case .unixSocket: nil
        }
    }

    /// `mail.example.com (192.0.2.1)`: the remote host of a report (scheduler.md §3).
    var description: String {
        switch place {
        case .address(let address, _): name.first == "[" ? name : "\(name) (\(address))"
        case .unixSocket(let path): "UNIX:\(path)"
        }
    }

    /// `mail.example.com[192.0.2.1]:25`: the relay of a log line.
    var relay: String {
        switch place {
        case .address(let address, let port): (name.first == "[" ? "" : name) + "[\(address)]:\(port)"
        case .unixSocket(let path): path
        }
    }

    var family: Int32 {
        switch place {
        case .address(.v4, _): AF_INET
        case .address(.v6, _): AF_INET6
        case .unixSocket: AF_UNIX
        }
    }

    /// Calls `body` with the socket address of the place.
    func withSocketAddress<Result>(_ body: (UnsafePointer<sockaddr>, socklen_t) -> Result) -> Result {
        switch place {
        case .address(let address, let port):
            return SocketAddress.with(address, port: port, body)
        case .unixSocket(let path):
            var storage = sockaddr_un()
            storage.sun_family = sa_family_t(AF_UNIX)
            withUnsafeMutableBytes(of: &storage.sun_path) { field in
                field.copyBytes(from: path.utf8.prefix(field.count - 1))
            }
            return withUnsafePointer(to: &storage) { pointer in
                pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                    body($0, socklen_t(MemoryLayout<sockaddr_un>.size))
                }
            }
        }
    }
}

/// IP addresses as the kernel takes them.
enum SocketAddress {
    static func with<Result>(
        _ address: IPAddress, port: UInt16, _ body: (UnsafePointer<sockaddr>, socklen_t) -> Result
    ) -> Result {
        switch address {
        case .v4(let value):
            var storage = sockaddr_in()
            storage.sin_family = sa_family_t(AF_INET)
            storage.sin_port = port.bigEndian
            storage.sin_addr.s_addr = value.bigEndian
            return withUnsafePointer(to: &storage) { pointer in
                pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                    body($0, socklen_t(MemoryLayout<sockaddr_in>.size))
                }
            }
        case .v6:
            var storage = sockaddr_in6()
            storage.sin6_family = sa_family_t(AF_INET6)
            storage.sin6_port = port.bigEndian
            withUnsafeMutableBytes(of: &storage.sin6_addr) { $0.copyBytes(from: address.octets) }
            return withUnsafePointer(to: &storage) { pointer in
                pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                    body($0, socklen_t(MemoryLayout<sockaddr_in6>.size))
                }
            }
        }
    }

    /// `nil` for families that are not IP.
    static func address(_ pointer: UnsafePointer<sockaddr>) -> IPAddress? {
        switch Int32(pointer.pointee.sa_family) {
        case AF_INET:
            return pointer.withMemoryRebound(to: sockaddr_in.self, capacity: 1) {
                .v4(UInt32(bigEndian: $0.pointee.sin_addr.s_addr))
            }
        case AF_INET6:
            return pointer.withMemoryRebound(to: sockaddr_in6.self, capacity: 1) { address in
                withUnsafeBytes(of: address.pointee.sin6_addr) { IPAddress(octets: Array($0)) }
            }
        default:
            return nil
        }
    }
}
