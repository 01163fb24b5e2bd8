import ChildProcesses
import Configuration
import Glibc
import MailModel

/// The listening socket of `PARAMmailqsock`.
final class MailqListener {
    struct Failure: Error, CustomStringConvertible {
        let socket: MailqSocket
        let reason: String
        var description: String { "\(socket): \(reason)" }
    }

    let socket: MailqSocket
    let descriptor: Int32

    init(_ socket: MailqSocket) throws(Failure) {
        self.socket = socket
        switch socket {
        case .unix(let path): descriptor = try Self.unix(path, socket)
        case .tcp(let port, let address): descriptor = try Self.tcp(port, address, socket)
        }
        Descriptor.setNonblocking(descriptor)
        _ = fcntl(descriptor, F_SETFD, FD_CLOEXEC)
    }

    deinit {
        close(descriptor)
        if case .unix(let path) = socket { unlink(path) }
    }

    /// Whoever can reach the path may try to log in, as over TCP.
    private static func unix(_ path: String, _ socket: MailqSocket) throws(Failure) -> Int32 {
        var information = stat()
        if lstat(path, &information) == 0, information.st_mode & S_IFMT != S_IFSOCK {
            throw Failure(socket: socket, reason: "is there already and is no socket")
        }
        do throws(UnixSocket.Failure) {
            return try UnixSocket.listen(path, mode: 0o666)
        } catch {
            throw Failure(socket: socket, reason: String(cString: strerror(error.code)))
        }
    }

    private static func tcp(_ port: UInt16, _ address: IPAddress?, _ socket: MailqSocket) throws(Failure) -> Int32 {
        guard let address else {
            // One socket for both families; a kernel without IPv6 has the other one.
            let both = bound(.v6(high: 0, low: 0), port, isOnlyOne: false)
            if both.descriptor >= 0 { return both.descriptor }
            let old = bound(.v4(0), port, isOnlyOne: true)
            if old.descriptor >= 0 { return old.descriptor }
            throw Failure(
                socket: socket, reason: String(cString: strerror(both.code == EAFNOSUPPORT ? old.code : both.code)))
        }
        let result = bound(address, port, isOnlyOne: true)
        guard result.descriptor >= 0 else {
            throw Failure(socket: socket, reason: String(cString: strerror(result.code)))
        }
        return result.descriptor
    }

    private static func bound(
        _ address: IPAddress, _ port: UInt16, isOnlyOne: Bool
    ) -> (descriptor: Int32, code: Int32) {
        var name = SocketName(address, port: port)
        let descriptor = Glibc.socket(name.family, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        guard descriptor >= 0 else { return (-1, errno) }
        var on: Int32 = 1
        setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &on, socklen_t(MemoryLayout<Int32>.size))
        if name.family == AF_INET6 {
            var only: Int32 = isOnlyOne ? 1 : 0
            setsockopt(
                descriptor, Int32(IPPROTO_IPV6), IPV6_V6ONLY, &only, socklen_t(MemoryLayout<Int32>.size))
        }
        guard name.withAddress({ bind(descriptor, $0, $1) }) == 0, listen(descriptor, 32) == 0 else {
            let code = errno
            close(descriptor)
            return (-1, code)
        }
        return (descriptor, 0)
    }
}

/// An Internet address as the kernel has it.
struct SocketName {
    private var storage = sockaddr_storage()
    private let size: socklen_t

    var family: Int32 { Int32(storage.ss_family) }

    init(_ address: IPAddress, port: UInt16) {
        switch address {
        case .v4:
            var name = sockaddr_in()
            name.sin_family = sa_family_t(AF_INET)
            name.sin_port = port.bigEndian
            withUnsafeMutableBytes(of: &name.sin_addr) { $0.copyBytes(from: address.octets) }
            size = socklen_t(MemoryLayout<sockaddr_in>.size)
            withUnsafeMutableBytes(of: &storage) { target in withUnsafeBytes(of: &name) { target.copyMemory(from: $0) }
            }
        case .v6:
            var name = sockaddr_in6()
            name.sin6_family = sa_family_t(AF_INET6)
            name.sin6_port = port.bigEndian
            withUnsafeMutableBytes(of: &name.sin6_addr) { $0.copyBytes(from: address.octets) }
            size = socklen_t(MemoryLayout<sockaddr_in6>.size)
            withUnsafeMutableBytes(of: &storage) { target in withUnsafeBytes(of: &name) { target.copyMemory(from: $0) }
            }
        }
    }

    mutating func withAddress<Result>(_ body: (UnsafePointer<sockaddr>, socklen_t) -> Result) -> Result {
        let size = size
        return withUnsafePointer(to: &storage) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { body($0, size) }
        }
    }

    /// Who is at the other end; `nil` for a Unix socket, and when the connection has ended.
    static func peer(of descriptor: Int32) -> IPAddress? {
        var storage = sockaddr_storage()
        var size = socklen_t(MemoryLayout<sockaddr_storage>.size)
        let result = withUnsafeMutablePointer(to: &storage) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { getpeername(descriptor, $0, &size) }
        }
        guard result == 0 else { return nil }
        let family = Int32(storage.ss_family)
        return withUnsafeBytes(of: &storage) { octets in
            switch family {
            case AF_INET: IPAddress(octets: Array(octets[4..<8]))
            case AF_INET6: IPAddress(octets: Array(octets[8..<24]))?.unmapped
            default: nil
            }
        }
    }
}
