import ChildProcesses
import Glibc

/// A client's connection to a Unix stream socket.
final class UnixStream {
    struct Failure: Error, CustomStringConvertible {
        let path: String
        let code: Int32
        var description: String { "\(path): \(String(cString: strerror(code)))" }
    }

    private let descriptor: Int32

    /// Waits at most `seconds` for a server whose backlog is full; 0: not at all.
    init(connectingTo path: String, seconds: Int) throws(Failure) {
        descriptor = try Self.connected(to: path, seconds: seconds)
    }

    /// Takes over a stream socket that is connected; it need not be a Unix socket.
    init(descriptor: Int32) { self.descriptor = descriptor }

    private static func connected(to path: String, seconds: Int) throws(Failure) -> Int32 {
        let descriptor = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        guard descriptor >= 0 else { throw Failure(path: path, code: errno) }
        if seconds == 0 {
            _ = fcntl(descriptor, F_SETFL, O_NONBLOCK)
        } else {
            var patience = timeval(tv_sec: seconds, tv_usec: 0)
            setsockopt(descriptor, SOL_SOCKET, SO_SNDTIMEO, &patience, socklen_t(MemoryLayout<timeval>.size))
        }
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        let octets = Array(SocketPath.reachable(path).utf8)
        let capacity = MemoryLayout.size(ofValue: address.sun_path)
        guard octets.count < capacity else {
            close(descriptor)
            throw Failure(path: path, code: ENAMETOOLONG)
        }
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: octets) }
        let result = withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
            }
        }
        guard result == 0 else {
            let code = errno
            close(descriptor)
            throw Failure(path: path, code: code)
        }
        return descriptor
    }

    deinit { close(descriptor) }

    func send(_ text: String) throws(Failure) { try send(Array(text.utf8)) }

    func send(_ octets: [UInt8]) throws(Failure) {
        var sent = 0
        while sent < octets.count {
            let count = octets.withUnsafeBytes {
                Glibc.send(
                    descriptor, $0.baseAddress?.advanced(by: sent), $0.count - sent, Int32(MSG_NOSIGNAL))
            }
            if count < 0, errno == EINTR { continue }
            guard count > 0 else { throw Failure(path: "send", code: errno) }
            sent += count
        }
    }

    /// What has arrived, empty at the end of the connection; ETIMEDOUT after `seconds` without anything.
    func receive(seconds: Int32) throws(Failure) -> [UInt8] {
        var entry = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
        var chunk = [UInt8](repeating: 0, count: 65536)
        while true {
            let ready = poll(&entry, 1, seconds * 1000)
            if ready == 0 { throw Failure(path: "receive", code: ETIMEDOUT) }
            let count = ready < 0 ? -1 : recv(descriptor, &chunk, chunk.count, 0)
            if count < 0, errno == EINTR { continue }
            guard count >= 0 else { throw Failure(path: "receive", code: errno) }
            return Array(chunk[..<count])
        }
    }
}
