import Glibc
import Testing

/// A DNS server that takes questions and never answers: a UDP socket on a port of its own.
final class SilentNameServer {
    private let descriptor: Int32
    /// As RESOLVER has it.
    let address: String

    init() throws {
        descriptor = socket(AF_INET, Int32(SOCK_DGRAM.rawValue), 0)
        var name = sockaddr_in()
        name.sin_family = sa_family_t(AF_INET)
        name.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
        var size = socklen_t(MemoryLayout<sockaddr_in>.size)
        let descriptor = descriptor
        let isBound = withUnsafeMutablePointer(to: &name) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { address in
                bind(descriptor, address, size) == 0 && getsockname(descriptor, address, &size) == 0
            }
        }
        try #require(isBound)
        address = "127.0.0.1@\(UInt16(bigEndian: name.sin_port))"
    }

    deinit { close(descriptor) }

    /// Waits for a question, ten seconds at most.
    func receive() throws {
        var entry = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
        try #require(poll(&entry, 1, 10_000) == 1)
    }
}
