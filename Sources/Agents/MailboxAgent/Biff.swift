import Glibc

/// Tells comsat(8) of this host of new mail in a mailbox file (`-b`): one datagram, which is lost where nobody listens.
enum Biff {
    /// `biff`, as IANA has it.
    static let standardPort: UInt16 = 512

    /// `user@offset` to the loopback address.
    static func tell(user: String, offset: Int, port: UInt16) {
        let socket = socket(AF_INET, Int32(SOCK_DGRAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        guard socket >= 0 else { return }
        defer { close(socket) }
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = port.bigEndian
        address.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
        let text = Array("\(user)@\(offset)".utf8)
        withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                _ = sendto(
                    socket, text, text.count, Int32(MSG_DONTWAIT), $0, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
    }
}
