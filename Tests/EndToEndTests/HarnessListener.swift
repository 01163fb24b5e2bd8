import Foundation
import Glibc

/// A listening TCP socket of 127.0.0.1 that the test hands to a program, as inetd and systemd do.
final class TestListener {
    let port: UInt16
    let descriptor: Int32

    init() throws {
        port = try FreePorts.take()
        descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        var on: Int32 = 1
        setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &on, socklen_t(MemoryLayout<Int32>.size))
        guard withLoopback(port, { bind(descriptor, $0, $1) }) == 0, listen(descriptor, 64) == 0 else {
            throw HarnessError("listen on \(port): \(String(cString: strerror(errno)))")
        }
    }

    deinit { close(descriptor) }

    /// As inetd does for a `nowait` service: a connection of ours, and a program that has its other end as standard input.
    func serve(_ instance: Instance, _ program: String, _ arguments: [String]) throws -> (
        client: Connection, process: TestProcess
    ) {
        let client = try Connection(port: port)
        let accepted = Descriptors.accept(descriptor)
        guard accepted >= 0 else { throw HarnessError("accept: \(String(cString: strerror(errno)))") }
        defer { close(accepted) }
        return (client, try instance.spawn(program, arguments, descriptors: [0: accepted]))
    }
}
