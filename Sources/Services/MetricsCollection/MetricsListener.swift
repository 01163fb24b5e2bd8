import ChildProcesses
import Configuration
import Glibc
import MailModel
import Telemetry

/// `METRICS` of zmailer.conf: HTTP for Prometheus, on threads of its own.
public enum MetricsListener {
    /// Scrapers at a time; each keeps a thread for four seconds at most.
    static let threads = 4

    /// Serves for the life of the process.
    public static func serve(
        _ address: MetricsAddress, _ collector: MetricsCollector
    ) throws(UnixSocket.Failure) {
        let listener = try listen(address)
        guard MetricServer.serve(listener, threads: threads, owner: nil, { collector.text }) else {
            throw UnixSocket.Failure(path: "\(address)", code: EAGAIN)
        }
    }

    /// A Unix socket is for everybody who may enter its folder; metrics hold no addresses and no content.
    private static func listen(_ address: MetricsAddress) throws(UnixSocket.Failure) -> Int32 {
        switch address {
        case .unix(let path):
            let descriptor = try UnixSocket.listen(path, mode: 0o666)
            UnixSocket.makeBlocking(descriptor)
            return descriptor
        case .tcp(.v4(let host), let port):
            var name = sockaddr_in()
            name.sin_family = sa_family_t(AF_INET)
            name.sin_port = port.bigEndian
            name.sin_addr.s_addr = host.bigEndian
            return try listen(AF_INET, name, address)
        case .tcp(.v6(let high, let low), let port):
            var name = sockaddr_in6()
            name.sin6_family = sa_family_t(AF_INET6)
            name.sin6_port = port.bigEndian
            withUnsafeMutableBytes(of: &name.sin6_addr) { octets in
                octets.storeBytes(of: high.bigEndian, as: UInt64.self)
                octets.storeBytes(of: low.bigEndian, toByteOffset: 8, as: UInt64.self)
            }
            return try listen(AF_INET6, name, address)
        }
    }

    private static func listen<Name>(
        _ family: Int32, _ name: Name, _ address: MetricsAddress
    ) throws(UnixSocket.Failure) -> Int32 {
        let descriptor = socket(family, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        guard descriptor >= 0 else { throw UnixSocket.Failure(path: "\(address)", code: errno) }
        var on: Int32 = 1
        setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &on, socklen_t(MemoryLayout<Int32>.size))
        let result = withUnsafePointer(to: name) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(descriptor, $0, socklen_t(MemoryLayout<Name>.size))
            }
        }
        guard result == 0, Glibc.listen(descriptor, 64) == 0 else {
            let code = errno
            close(descriptor)
            throw UnixSocket.Failure(path: "\(address)", code: code)
        }
        return descriptor
    }
}
