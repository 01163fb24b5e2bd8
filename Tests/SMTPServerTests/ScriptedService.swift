import Glibc
import Synchronization

/// A service on a Unix or TCP socket that answers each line with what a test says, and may close then. Records what it was asked.
final class ScriptedService: Sendable {
    /// What to say; `nil`: nothing, and the connection stays.
    typealias Script = @Sendable (String) -> String?

    private let listener: Int32
    private let script: Script
    private let closes: Bool
    private let greeting: String
    private let asked = Mutex<[String]>([])
    /// Of a TCP socket.
    let port: Int

    /// - Parameters:
    ///   - path: of a Unix socket; `nil`: a port of 127.0.0.1.
    ///   - closes: behind the first answer.
    init(_ path: String?, greeting: String = "", closes: Bool = true, _ script: @escaping Script) throws {
        self.script = script
        self.closes = closes
        self.greeting = greeting
        var octets = [UInt8](repeating: 0, count: path == nil ? 16 : 110)
        if let path {
            listener = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0)
            for (index, octet) in path.utf8.enumerated() { octets[index + 2] = octet }
            unlink(path)
        } else {
            listener = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
            octets.replaceSubrange(4..<8, with: [127, 0, 0, 1])
        }
        let family = sa_family_t(path == nil ? AF_INET : AF_UNIX)
        let descriptor = listener
        let code = octets.withUnsafeMutableBytes { raw in
            raw.storeBytes(of: family, as: sa_family_t.self)
            return raw.withMemoryRebound(to: sockaddr.self) { bind(descriptor, $0.baseAddress, socklen_t(raw.count)) }
        }
        guard code == 0, listen(listener, 16) == 0 else { throw FixtureError("scripted service") }
        var length = socklen_t(octets.count)
        _ = octets.withUnsafeMutableBytes { raw in
            raw.withMemoryRebound(to: sockaddr.self) { getsockname(descriptor, $0.baseAddress, &length) }
        }
        port = Int(octets[2]) << 8 | Int(octets[3])
        startThread { [self] in serve() }
    }

    deinit { close(listener) }

    var lines: [String] { asked.withLock { $0 } }

    func stop() { shutdown(listener, Int32(SHUT_RDWR)) }

    private func serve() {
        while true {
            let connection = accept(listener, nil, nil)
            if connection < 0 { return }
            startThread { [self] in answer(connection) }
        }
    }

    private func answer(_ connection: Int32) {
        defer { close(connection) }
        say(greeting, connection)
        var buffer: [UInt8] = []
        while true {
            var octets = [UInt8](repeating: 0, count: 65536)
            let count = read(connection, &octets, octets.count)
            if count <= 0 { return }
            buffer += octets[..<count]
            while let newline = buffer.firstIndex(of: 0x0a) {
                let line = String(decoding: buffer[..<newline], as: UTF8.self)
                buffer.removeSubrange(...newline)
                asked.withLock { $0.append(line) }
                guard let answer = script(line) else { continue }
                say(answer, connection)
                if closes { return }
            }
        }
    }

    private func say(_ text: String, _ connection: Int32) {
        let octets = Array(text.utf8)
        _ = send(connection, octets, octets.count, Int32(MSG_NOSIGNAL))
    }
}

/// A thread of a test's own; it ends with its body.
func startThread(_ body: @escaping @Sendable () -> Void) {
    final class Box: Sendable {
        let body: @Sendable () -> Void
        init(_ body: @escaping @Sendable () -> Void) { self.body = body }
    }
    var thread = pthread_t()
    let code = pthread_create(
        &thread, nil,
        { raw in
            guard let raw else { return nil }
            Unmanaged<Box>.fromOpaque(raw).takeRetainedValue().body()
            return nil
        }, Unmanaged.passRetained(Box(body)).toOpaque())
    precondition(code == 0, "pthread_create")
    pthread_detach(thread)
}
