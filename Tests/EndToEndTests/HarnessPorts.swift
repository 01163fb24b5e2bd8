import Glibc
import Synchronization

/// Ports of 127.0.0.1 that nobody listens on, each given once in the life of the test process. They lie below the range
/// that the kernel takes for outgoing connections.
enum FreePorts {
    private static let next = Mutex<UInt16>(UInt16(12000 + Int(getpid()) % 180 * 100))

    static func take() throws -> UInt16 {
        for _ in 0..<2000 {
            let port = next.withLock { next in
                next = next >= 32000 ? 12000 : next + 1
                return next
            }
            if isFree(port) { return port }
        }
        throw HarnessError("no free port")
    }

    private static func isFree(_ port: UInt16) -> Bool {
        let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        defer { close(descriptor) }
        var on: Int32 = 1
        setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &on, socklen_t(MemoryLayout<Int32>.size))
        return withLoopback(port) { bind(descriptor, $0, $1) } == 0
    }
}

func withLoopback<Result>(_ port: UInt16, _ body: (UnsafePointer<sockaddr>, socklen_t) throws -> Result) rethrows
    -> Result
{
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_port = port.bigEndian
    address.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
    return try withUnsafePointer(to: &address) {
        try $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
            try body($0, socklen_t(MemoryLayout<sockaddr_in>.size))
        }
    }
}

/// Whether something accepts connections on 127.0.0.1.
func isListening(_ port: UInt16) -> Bool {
    let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
    defer { close(descriptor) }
    return withLoopback(port) { connect(descriptor, $0, $1) } == 0
}
