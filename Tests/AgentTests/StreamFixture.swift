import AgentKit
import AgentProtocol
import ChildProcesses
import Configuration
import Glibc
import SpoolFormat
import Testing

@testable import StreamAgent

/// A spool and a folder for what programs write, for one test.
final class StreamFixture {
    let spool: AgentKitSpool
    let root: String

    init() throws {
        spool = try AgentKitSpool()
        var template = Array("/tmp/stream.XXXXXX".utf8CString)
        root = String(cString: try #require(template.withUnsafeMutableBufferPointer { mkdtemp($0.baseAddress!) }))
    }

    deinit { removeTree(root) }

    func write(_ text: String, to name: String, mode: mode_t = 0o644) throws {
        let descriptor = creat("\(root)/\(name)", mode)
        try #require(descriptor >= 0)
        defer { close(descriptor) }
        let octets = Array(text.utf8)
        try #require(Glibc.write(descriptor, octets, octets.count) == octets.count)
        try #require(fchmod(descriptor, mode) == 0)
    }

    func read(_ name: String) -> String { String(decoding: fileOctets("\(root)/\(name)"), as: UTF8.self) }

    /// The mailer of one line of sm.conf, without its name; `%/` is ``root``.
    func mailer(_ line: String) throws -> StreamMailer {
        let configuration = try StreamConfiguration.parse(
            "test \(line.replacing("%/", with: "\(root)/"))", file: "sm.conf", environment: ZEnvironment())
        return try #require(configuration.mailer("test"))
    }

    func settings(_ line: String, _ zenv: [String: String] = [:]) throws -> StreamSettings {
        StreamSettings(
            mailer: try mailer(line), zenv: ZEnvironment(values: zenv), hostName: "mx.example.test")
    }

    /// A shell script that is told apart by what it writes.
    func script(_ text: String, _ name: String = "program") throws {
        try write("#!/bin/sh\n\(text.replacing("%/", with: "\(root)/"))\n", to: name, mode: 0o755)
    }

    static let content = "Received: by x; y\r\nSubject: x\r\n\r\nHello\r\n.dot\r\nFrom me\r\nlast\r\n"

    /// One message from `sender` to `users`; what the agent reported, in the order of the recipients.
    @discardableResult
    func deliver(
        _ settings: StreamSettings, to users: [String] = ["u@b.example"], sender: String = "s@a.example",
        host: String = "h.example", content: String = content, configure: (inout ControlFile) -> Void = { _ in }
    ) throws -> [AgentReport] {
        let group = ControlGroup(
            sender: Quad(channel: sender.isEmpty ? "error" : "smtp", host: "-", user: sender, privilege: 0),
            errorsTo: sender,
            recipients: users.map {
                ControlRecipient(quad: Quad(channel: "test", host: host, user: $0, privilege: 65534))
            })
        let control = try spool.add([group], content: content) { control in
            let octets = Array(content.utf8)
            let end = octets.indices.first { octets[$0...].starts(with: Array("\r\n\r\n".utf8)) }
            control.bodyOffset = control.headerStart + (end.map { $0 + 4 } ?? octets.count)
            configure(&control)
        }
        let messages = try spool.run(
            StreamTransportAgent(settings), channel: "test", input: "\(control.id)\t\(host)\n")
        return messages.compactMap { if case .report(let report) = $0 { report } else { nil } }
            .sorted { $0.offset < $1.offset }
    }
}

/// An agent as the scheduler starts it: a process. It is found where the build has put it beside the tests.
final class StreamProcess {
    private let child: ChildProcess
    private let input: Int32
    private let output: Int32
    private(set) var status: Int32?

    static func path(_ program: String) -> String? {
        CommandLine.arguments.lazy.compactMap { argument -> String? in
            guard let range = argument.split(separator: "/").firstIndex(where: { $0.hasSuffix(".xctest") }) else {
                return nil
            }
            return argument.split(separator: "/")[..<range].map { "/\($0)" }.joined() + "/\(program)"
        }.first { access($0, X_OK) == 0 }
    }

    init(_ program: String, in directory: String, _ arguments: [String]) throws {
        let path = try #require(Self.path(program))
        var toAgent: [Int32] = [0, 0]
        var fromAgent: [Int32] = [0, 0]
        try #require(pipe(&toAgent) == 0 && pipe(&fromAgent) == 0)
        for descriptor in toAgent + fromAgent { _ = fcntl(descriptor, F_SETFD, FD_CLOEXEC) }
        var request = ChildRequest(
            path: path, arguments: arguments, environment: ["PATH=/usr/bin:/bin"],
            descriptors: [toAgent[0], fromAgent[1], fromAgent[1]])
        request.directory = directory
        child = try ChildProcess.spawn(request)
        close(toAgent[0])
        close(fromAgent[1])
        input = toAgent[1]
        output = fromAgent[0]
    }

    func send(_ text: String) {
        let octets = Array(text.utf8)
        _ = Glibc.write(input, octets, octets.count)
    }

    /// Ends its input, waits for its end, and returns what it said.
    func finish() -> [String] {
        close(input)
        var octets: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 65536)
        while true {
            let count = Glibc.read(output, &buffer, buffer.count)
            if count <= 0 { break }
            octets += buffer[..<count]
        }
        close(output)
        if case .code(let code)? = child.wait(milliseconds: 30_000) { status = code }
        return String(decoding: octets, as: UTF8.self).split(separator: "\n").map(String.init)
    }

    func kill() -> [String] {
        child.signal(SIGKILL)
        return finish()
    }
}
