import ChildProcesses
import Glibc
import Synchronization

/// An SMTP server on a Unix socket that answers each line as a test says. Records what it was told.
final class ScriptedServer: Sendable {
    /// The reply to a line, without its end; `nil`: nothing. `data` answers the end of a message.
    typealias Script = @Sendable (String) -> String?

    let folder: String
    var path: String { "\(folder)/socket" }
    private let listener: Int32
    private let script: Script
    private let said = Mutex<[String]>([])
    private let contents = Mutex<[String]>([])

    /// What a server says that likes everything.
    static func friendly(_ line: String) -> String? {
        switch line.prefix(4) {
        case "EHLO": "250-here\r\n250-8BITMIME\r\n250-PIPELINING\r\n250-DSN\r\n250-SMTPUTF8\r\n250 SIZE 1000000"
        case "DATA": "354 go on"
        case "data": "250 2.0.0 stored"
        case "QUIT": "221 bye"
        default: "250 2.1.0 ok"
        }
    }

    init(greeting: String = "220 here ESMTP", _ script: @escaping Script = ScriptedServer.friendly) throws {
        var template = Array("/tmp/zms-XXXXXX".utf8CString)
        guard mkdtemp(&template) != nil else { throw UnixSocket.Failure(path: "mkdtemp", code: errno) }
        folder = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
        self.script = script
        listener = try UnixSocket.listen("\(folder)/socket")
        UnixSocket.makeBlocking(listener)
        run { [self] in
            while true {
                let connection = accept(listener, nil, nil)
                if connection < 0 { return }
                run { [self] in serve(connection, greeting) }
            }
        }
    }

    deinit {
        close(listener)
        unlink(path)
        rmdir(folder)
    }

    func stop() { shutdown(listener, Int32(SHUT_RDWR)) }

    var lines: [String] { said.withLock { $0 } }
    var messages: [String] { contents.withLock { $0 } }

    private func serve(_ connection: Int32, _ greeting: String) {
        defer { close(connection) }
        say(greeting, connection)
        var buffer: [UInt8] = []
        var message: [String]?
        while true {
            var octets = [UInt8](repeating: 0, count: 65536)
            let count = read(connection, &octets, octets.count)
            if count <= 0 { return }
            buffer += octets[..<count]
            var start = 0
            while let newline = buffer[start...].firstIndex(of: 0x0a) {
                let line = String(decoding: buffer[start..<newline].filter { $0 != 0x0d }, as: UTF8.self)
                start = newline + 1
                if message != nil {
                    guard line == "." else {
                        message?.append(line)
                        continue
                    }
                    let text = (message ?? []).joined(separator: "\n")
                    contents.withLock { $0.append(text) }
                    message = nil
                    guard let reply = script("data") else { return }
                    say(reply, connection)
                    continue
                }
                said.withLock { $0.append(line) }
                guard let reply = script(line) else { return }
                if line == "DATA", reply.hasPrefix("3") { message = [] }
                say(reply, connection)
            }
            buffer.removeFirst(start)
        }
    }

    private func say(_ text: String, _ connection: Int32) {
        let octets = Array((text + "\r\n").utf8)
        _ = send(connection, octets, octets.count, Int32(MSG_NOSIGNAL))
    }

    private func run(_ body: @escaping @Sendable () -> Void) {
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
}
