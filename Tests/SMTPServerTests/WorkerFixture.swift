import Configuration
import Glibc
import MailModel
import Policy
import Postoffice
import ProgramKit
import Synchronization
import Telemetry
import TransportSecurity

@testable import SMTPServer

/// A worker in this process: own spool, own port, a policy service that follows a script.
final class WorkerFixture {
    let directory: String
    let port: Int
    let policy: ScriptedPolicy
    let worker: Worker
    private let socket: ListeningSocket

    init(
        parameters: [String] = [], patterns: [String] = ["* 999 ve"], arguments: [String] = [],
        timeouts: Timeouts = Timeouts(), maximumWaiting: Int = PolicyClient.defaultMaximumWaiting,
        environment variables: [String: String] = [:], role: ListenerRole = ListenerRole(),
        load: HostLoad = HostLoad(0),
        policy script: @escaping ScriptedPolicy.Script = ScriptedPolicy.acceptAll,
        accountLookUp: LocalAccounts.LookUp? = nil
    ) throws {
        var template = Array("/tmp/zmw-XXXXXX".utf8CString)
        guard mkdtemp(&template) != nil else { throw FixtureError("mkdtemp") }
        directory = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
        _ = try Postoffice("\(directory)/po", creating: true)
        policy = try ScriptedPolicy("\(directory)/po/.policy", script)
        let text = (parameters.map { "PARAM \($0)" } + patterns).joined(separator: "\n") + "\n"
        let environment = ZEnvironment(
            values: ["POSTOFFICE": "\(directory)/po", "HOSTNAME": "mx.example.test"].merging(variables) { $1 })
        let settings = try Settings.make(
            try ServerOptions.parse(["smtpserver"] + arguments), environment, text: text, file: "test.conf")
        let log = try EventLog(program: "smtpserver", destination: .file("\(directory)/log"), level: .debug)
        let plan = TLSPlan(settings)
        worker = try Worker(
            settings, log: log, sessionLog: nil, timeouts: timeouts, threads: 1, poolThreads: 2,
            maximumWaiting: maximumWaiting, tls: plan.isEmpty ? nil : TLSContexts(plan, plan.read(), threads: 1),
            loadAverage: load.average, accountLookUp: accountLookUp)
        let address = ListenAddress(address: .v4(0x7f00_0001), port: 0, isDualStack: false)
        socket = try ListeningSocket(address, settings.configuration)
        port = try Self.port(of: socket.descriptor)
        // The channel owns the descriptor it serves.
        _ = try worker.serve(dup(socket.descriptor), role)
    }

    deinit {
        worker.stopSessions()
        policy.stop()
        worker.shutDown()
        // Only what this fixture has made.
        let names = ["public", "router", "queue", "transport", "deferred", "freezer", "postman"]
        for name in names {
            for file in Directory.names("\(directory)/po/\(name)") { unlink("\(directory)/po/\(name)/\(file)") }
            rmdir("\(directory)/po/\(name)")
        }
        for file in Directory.names("\(directory)/po") { unlink("\(directory)/po/\(file)") }
        rmdir("\(directory)/po")
        unlink("\(directory)/log")
        rmdir(directory)
    }

    func connect() throws -> Dialogue { try Dialogue(port: port) }

    /// A dialogue behind greeting and EHLO.
    func greeted() throws -> Dialogue {
        let dialogue = try connect()
        try dialogue.expect("220 ")
        try dialogue.send("EHLO client.example\r\n")
        try dialogue.expectReply("250")
        return dialogue
    }

    var messages: [String] { Directory.names("\(directory)/po/router").sorted() }
    func message(_ id: String) throws -> String {
        String(decoding: try FileOctets.read("\(directory)/po/router/\(id)", limit: 1 << 26), as: UTF8.self)
    }
    func frozen(_ id: String) throws -> String {
        String(decoding: try FileOctets.read("\(directory)/po/freezer/\(id)", limit: 1 << 26), as: UTF8.self)
    }
    /// With the lines that were on their way to it.
    func log() throws -> String {
        worker.flushLog()
        return try written()
    }
    private func written() throws -> String {
        String(decoding: try FileOctets.read("\(directory)/log", limit: 1 << 26), as: UTF8.self)
    }

    /// Clients that the system lets wait for us; tcp_info(7) of a listening socket tells it as `tcpi_sacked`.
    var listenQueue: Int {
        var octets = [UInt8](repeating: 0, count: 64)
        var length = socklen_t(octets.count)
        guard getsockopt(socket.descriptor, Int32(IPPROTO_TCP), TCP_INFO, &octets, &length) == 0 else { return -1 }
        return octets.withUnsafeBytes { Int($0.loadUnaligned(fromByteOffset: 28, as: UInt32.self)) }
    }

    private static func port(of descriptor: Int32) throws -> Int {
        var octets = [UInt8](repeating: 0, count: 28)
        var length = socklen_t(octets.count)
        let code = octets.withUnsafeMutableBytes { raw in
            raw.withMemoryRebound(to: sockaddr.self) { getsockname(descriptor, $0.baseAddress, &length) }
        }
        guard code == 0 else { throw FixtureError("getsockname") }
        return Int(octets[2]) << 8 | Int(octets[3])
    }
}

/// The load average that a test says, in hundredths.
final class HostLoad: Sendable {
    private let hundredths: Atomic<Int>

    init(_ hundredths: Int) { self.hundredths = Atomic(hundredths) }

    func set(_ value: Int) { hundredths.store(value, ordering: .relaxed) }

    var average: HostConditions.LoadAverage { { self.hundredths.load(ordering: .relaxed) } }
}

struct FixtureError: Error, CustomStringConvertible {
    let description: String
    init(_ description: String) { self.description = description }
}

enum Directory {
    /// Removes it and the files in it; folders in it are left, and it with them.
    static func remove(_ path: String) {
        for name in names(path) { unlink("\(path)/\(name)") }
        rmdir(path)
    }

    static func names(_ path: String) -> [String] {
        guard let stream = opendir(path) else { return [] }
        defer { closedir(stream) }
        var names: [String] = []
        while let entry = readdir(stream) {
            let name = withUnsafePointer(to: &entry.pointee.d_name) {
                $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
            }
            if name != ".", name != ".." { names.append(name) }
        }
        return names
    }
}

/// Until `condition` holds, at most ten seconds.
func eventually(_ what: String, _ condition: () throws -> Bool) throws {
    for _ in 0..<2000 {
        if try condition() { return }
        usleep(5000)
    }
    throw FixtureError("did not come: \(what)")
}

/// A client: blocking, every wait with a deadline of ten seconds.
final class Dialogue {
    private let descriptor: Int32
    private var buffer: [UInt8] = []
    /// Once TLS has begun.
    var tls: TLSConnection?

    init(port: Int) throws {
        descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        guard descriptor >= 0 else { throw FixtureError("socket") }
        var octets: [UInt8] =
            [0, 0, UInt8(port >> 8), UInt8(port & 255), 127, 0, 0, 1] + [UInt8](repeating: 0, count: 8)
        let code = octets.withUnsafeMutableBytes { raw in
            raw.storeBytes(of: sa_family_t(AF_INET), as: sa_family_t.self)
            return raw.withMemoryRebound(to: sockaddr.self) {
                Glibc.connect(descriptor, $0.baseAddress, socklen_t(raw.count))
            }
        }
        guard code == 0 else { throw FixtureError("connect: \(String(cString: strerror(errno)))") }
    }

    /// At a Unix socket.
    init(path: String) throws {
        descriptor = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0)
        guard descriptor >= 0 else { throw FixtureError("socket") }
        var octets = [UInt8](repeating: 0, count: 110)
        for (index, octet) in path.utf8.enumerated() { octets[index + 2] = octet }
        let code = octets.withUnsafeMutableBytes { raw in
            raw.storeBytes(of: sa_family_t(AF_UNIX), as: sa_family_t.self)
            return raw.withMemoryRebound(to: sockaddr.self) {
                Glibc.connect(descriptor, $0.baseAddress, socklen_t(raw.count))
            }
        }
        guard code == 0 else { throw FixtureError("connect: \(String(cString: strerror(errno)))") }
    }

    deinit { close(descriptor) }

    /// Our side is done; the other may still talk.
    func shutdownSending() { shutdown(descriptor, Int32(SHUT_WR)) }

    /// Ends the connection with RST: nothing more is taken or sent.
    func reset() throws {
        var linger = linger(l_onoff: 1, l_linger: 0)
        let code = setsockopt(descriptor, SOL_SOCKET, SO_LINGER, &linger, socklen_t(MemoryLayout<linger>.size))
        guard code == 0 else { throw FixtureError("SO_LINGER") }
        // What closes is the last copy of the descriptor: the number stays taken by something harmless.
        let null = open("/dev/null", O_RDWR)
        dup2(null, descriptor)
        close(null)
    }

    func send(_ text: String) throws { try send(Array(text.utf8)) }

    func send(_ octets: [UInt8]) throws {
        guard let tls else { return try sendRaw(octets) }
        try octets.withUnsafeBytes { try tls.write($0) }
        try sendRaw(tls.takeOutput())
    }

    func sendRaw(_ octets: [UInt8]) throws {
        var done = 0
        while done < octets.count {
            let count = octets.withUnsafeBytes {
                Glibc.send(descriptor, $0.baseAddress?.advanced(by: done), $0.count - done, Int32(MSG_NOSIGNAL))
            }
            guard count > 0 else { throw FixtureError("send: \(String(cString: strerror(errno)))") }
            done += count
        }
    }

    /// `nil` at the end of the connection.
    func receiveRaw() throws -> [UInt8]? {
        var entry = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
        guard poll(&entry, 1, 10_000) > 0 else {
            throw FixtureError("nothing within 10 s; there is: \(buffer.count)")
        }
        var octets = [UInt8](repeating: 0, count: 65536)
        let count = recv(descriptor, &octets, octets.count, 0)
        return count <= 0 ? nil : Array(octets[..<count])
    }

    /// The next line without CRLF; `nil` at the end of the connection.
    func line() throws -> String? {
        while true {
            if let newline = buffer.firstIndex(of: 0x0a) {
                let line = String(decoding: buffer[..<newline].filter { $0 != 0x0d }, as: UTF8.self)
                buffer.removeSubrange(...newline)
                return line
            }
            guard let octets = try receiveRaw() else { return nil }
            guard let tls else {
                buffer += octets
                continue
            }
            try octets.withUnsafeBytes { try tls.receive($0) }
            var plain = [UInt8](repeating: 0, count: 65536)
            while true {
                let count = try plain.withUnsafeMutableBytes { try tls.read(into: $0) }
                if count == 0 { break }
                buffer += plain[..<count]
            }
            if tls.isClosedByPeer, !buffer.contains(0x0a) { return nil }
        }
    }

    /// The last line of a reply, which must begin with `code`.
    @discardableResult
    func expectReply(_ code: String) throws -> String {
        while true {
            guard let line = try line() else { throw FixtureError("connection ended, expected \(code)") }
            guard line.hasPrefix(code) else { throw FixtureError("'\(line)', expected \(code)") }
            if line.dropFirst(3).first != "-" { return line }
        }
    }

    func expect(_ prefix: String) throws {
        guard let line = try line() else { throw FixtureError("connection ended, expected '\(prefix)'") }
        guard line.hasPrefix(prefix) else { throw FixtureError("'\(line)', expected '\(prefix)'") }
    }

    func expectEnd() throws {
        if let line = try line() { throw FixtureError("'\(line)', expected the end of the connection") }
    }
}

/// A policy service whose answers a test writes. One thread; records what was asked.
final class ScriptedPolicy: Sendable {
    /// `nil`: no answer.
    typealias Script = @Sendable (PolicyQuestion) -> PolicyAnswer?

    static let acceptAll: Script = { PolicyAnswer(number: $0.number, verdict: .accept, reason: "script") }

    private struct State {
        var lines: [String] = []
        var isStopped = false
    }

    private let listener: Int32
    private let script: Script
    private let state = Mutex(State())

    init(_ path: String, _ script: @escaping Script) throws {
        self.script = script
        listener = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0)
        var octets = [UInt8](repeating: 0, count: 110)
        for (index, octet) in path.utf8.enumerated() { octets[index + 2] = octet }
        unlink(path)
        let code = octets.withUnsafeMutableBytes { raw in
            raw.storeBytes(of: sa_family_t(AF_UNIX), as: sa_family_t.self)
            return raw.withMemoryRebound(to: sockaddr.self) { bind(listener, $0.baseAddress, socklen_t(raw.count)) }
        }
        guard code == 0, listen(listener, 16) == 0 else { throw FixtureError("policy socket \(path)") }
        startThread { [self] in serve() }
    }

    deinit { close(listener) }

    /// All that was written to the service.
    var lines: [String] { state.withLock { $0.lines } }
    var questions: [PolicyQuestion] { lines.compactMap { PolicyQuestion(line: $0) } }

    func stop() {
        state.withLock { $0.isStopped = true }
        shutdown(listener, Int32(SHUT_RDWR))
    }

    private func serve() {
        while true {
            let connection = accept(listener, nil, nil)
            if connection < 0 || state.withLock({ $0.isStopped }) { return }
            startThread { [self] in answer(connection) }
        }
    }

    private func answer(_ connection: Int32) {
        defer { close(connection) }
        var buffer: [UInt8] = []
        while true {
            var octets = [UInt8](repeating: 0, count: 65536)
            let count = read(connection, &octets, octets.count)
            if count <= 0 || state.withLock({ $0.isStopped }) { return }
            buffer += octets[..<count]
            while let newline = buffer.firstIndex(of: 0x0a) {
                let line = String(decoding: buffer[..<newline], as: UTF8.self)
                buffer.removeSubrange(...newline)
                state.withLock { $0.lines.append(line) }
                guard let question = PolicyQuestion(line: line), let answer = script(question) else { continue }
                let text = Array((answer.line + "\n").utf8)
                _ = send(connection, text, text.count, Int32(MSG_NOSIGNAL))
            }
        }
    }
}
