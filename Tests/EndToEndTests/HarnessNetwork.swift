import Foundation
import Glibc

/// A network of its own in which every address is this host's, so that clients can come from anywhere and nothing goes out:
/// a network namespace, held open by a process. Only root can make one.
final class TestNetwork: Sendable {
    static let canBeMade =
        geteuid() == 0 && [unshare, nsenter].allSatisfy(isProgram) && ipProgram != nil && isAllowed
    /// For the list of skipped tests.
    static let requirement = "needs root, ip(8), unshare(1) and nsenter(1), and a kernel that gives network namespaces"

    private static let unshare = "/usr/bin/unshare"
    private static let nsenter = "/usr/bin/nsenter"
    private static let ipProgram = ["/usr/sbin/ip", "/sbin/ip", "/bin/ip"].first(where: isProgram)

    private static func isProgram(_ path: String) -> Bool { access(path, X_OK) == 0 }

    /// Containers may forbid it to root, too.
    private static let isAllowed: Bool = {
        let output = "\(NSTemporaryDirectory())/zm-unshare-\(UUID().uuidString)"
        defer { Glibc.unlink(output) }
        guard let process = try? TestProcess(unshare, ["--net", "/bin/true"], outputPath: output) else { return false }
        while process.isRunning { usleep(2000) }
        return process.poll() == .exited(0)
    }()

    private let pid: pid_t
    private let output: String

    init() throws {
        guard let ip = Self.ipProgram else { throw HarnessError("no ip(8)") }
        output = "\(NSTemporaryDirectory())/zm-network-\(UUID().uuidString)"
        let script = """
            set -e
            \(ip) link set lo up
            \(ip) route add local 0.0.0.0/0 dev lo
            \(ip) -6 route add local ::/0 dev lo
            echo 1 > /proc/sys/net/ipv6/ip_nonlocal_bind
            echo ready
            exec /bin/sleep 86400
            """
        let holder = try TestProcess(Self.unshare, ["--net", "/bin/sh", "-c", script], outputPath: output)
        pid = holder.pid
        let end = ContinuousClock().now + .seconds(20)
        while !holder.output.contains("ready") {
            guard holder.isRunning, ContinuousClock().now < end else {
                throw HarnessError("no network namespace: \(holder.output)")
            }
            usleep(2000)
        }
        process = .init(holder)
    }

    /// Touched by `init` and `deinit` alone.
    private struct Holder: @unchecked Sendable {
        // Sound: a TestProcess is only confined because it caches its exit status; nobody asks this one for it.
        let process: TestProcess
        init(_ process: TestProcess) { self.process = process }
    }
    private let process: Holder

    deinit { unlink(output) }

    /// The command that runs `program` there, as the same process.
    func command(_ program: String, _ arguments: [String]) -> (program: String, arguments: [String]) {
        (Self.nsenter, ["--net=/proc/\(pid)/ns/net", program] + arguments)
    }

    /// A socket from `source` to `destination`, by default the loopback address of its kind, in `network`; without one,
    /// `source` is in 127.0.0.0/8, which is all this host's.
    static func connectedSocket(
        from source: String, to destination: String? = nil, port: UInt16, in network: TestNetwork?
    ) throws -> Int32 {
        let isSix = source.contains(":")
        let open: @Sendable () -> Int32 = {
            Glibc.socket(isSix ? AF_INET6 : AF_INET, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        }
        let socket = try network?.within(open) ?? open()
        guard socket >= 0 else { throw HarnessError("socket: \(String(cString: strerror(errno)))") }
        var on: Int32 = 1
        setsockopt(socket, SOL_SOCKET, SO_REUSEADDR, &on, socklen_t(MemoryLayout<Int32>.size))
        setsockopt(socket, Int32(IPPROTO_TCP), TCP_NODELAY, &on, socklen_t(MemoryLayout<Int32>.size))
        do {
            try withAddress(source, 0) { address, length in
                guard bind(socket, address, length) == 0 else {
                    throw HarnessError("bind to \(source): \(String(cString: strerror(errno)))")
                }
            }
            try withAddress(destination ?? (isSix ? "::1" : "127.0.0.1"), port) { address, length in
                guard connect(socket, address, length) == 0 else {
                    throw HarnessError("connect from \(source) to port \(port): \(String(cString: strerror(errno)))")
                }
            }
        } catch {
            close(socket)
            throw error
        }
        return socket
    }

    /// Runs `body` on a thread of its own that is in the network: what it opens stays there.
    private func within(_ body: @escaping @Sendable () -> Int32) throws -> Int32 {
        // setns(2) is not in Swift's Glibc.
        typealias Function = @convention(c) (Int32, Int32) -> Int32
        guard let symbol = dlsym(nil, "setns") else { throw HarnessError("no setns(2)") }
        let setns = unsafeBitCast(symbol, to: Function.self)
        let path = "/proc/\(pid)/ns/net"
        let result = OneResult()
        let thread = Thread {
            let descriptor = open(path, O_RDONLY | O_CLOEXEC)
            let entered = descriptor >= 0 && setns(descriptor, 0) == 0
            if descriptor >= 0 { close(descriptor) }
            result.set(entered ? body() : -1)
        }
        thread.stackSize = 256 << 10
        thread.start()
        return result.wait()
    }

    private final class OneResult: @unchecked Sendable {
        // Sound: written once before the signal, read once behind it.
        private var value: Int32 = -1
        private let done = DispatchSemaphore(value: 0)
        func set(_ value: Int32) {
            self.value = value
            done.signal()
        }
        func wait() -> Int32 {
            done.wait()
            return value
        }
    }

    private static func withAddress<Result>(
        _ text: String, _ port: UInt16, _ body: (UnsafePointer<sockaddr>, socklen_t) throws -> Result
    ) throws -> Result {
        if text.contains(":") {
            var address = sockaddr_in6()
            address.sin6_family = sa_family_t(AF_INET6)
            address.sin6_port = port.bigEndian
            guard inet_pton(AF_INET6, text, &address.sin6_addr) == 1 else { throw HarnessError("\(text): no address") }
            return try withUnsafePointer(to: &address) {
                try $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                    try body($0, socklen_t(MemoryLayout<sockaddr_in6>.size))
                }
            }
        }
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = port.bigEndian
        guard inet_pton(AF_INET, text, &address.sin_addr) == 1 else { throw HarnessError("\(text): no address") }
        return try withUnsafePointer(to: &address) {
            try $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                try body($0, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
    }
}
