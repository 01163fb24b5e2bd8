import AgentKit
import AgentProtocol
import Configuration
import Glibc
import SpoolFormat
import Testing

@testable import MailboxAgent

/// A spool, a folder for mailboxes and a list of users, for one test.
final class MailboxFixture {
    let spool: AgentKitSpool
    let root: String

    init(users: [String] = ["alice", "bob", "john doe", "Carol"]) throws {
        spool = try AgentKitSpool()
        var template = Array("/tmp/mailbox.XXXXXX".utf8CString)
        root = String(cString: try #require(template.withUnsafeMutableBufferPointer { mkdtemp($0.baseAddress!) }))
        try write("# who has mail here\n" + users.map { "\($0)\n" }.joined(), to: "users")
    }

    deinit { removeTree(root) }

    func write(_ text: String, to name: String) throws {
        let descriptor = creat("\(root)/\(name)", 0o644)
        try #require(descriptor >= 0)
        defer { close(descriptor) }
        let octets = Array(text.utf8)
        try #require(Glibc.write(descriptor, octets, octets.count) == octets.count)
    }

    func settings(
        _ mailbox: String = "maildir:%ROOT/mail/%u", _ zenv: [String: String] = [:], isRoot: Bool = false,
        configure: (inout MailboxOptions) -> Void = { _ in }
    ) throws -> MailboxSettings {
        var values = ["ACCOUNTS": "file:\(root)/users", "MAILBOX": mailbox.replacing("%ROOT", with: root)]
        values.merge(zenv) { $1 }
        var options = MailboxOptions()
        configure(&options)
        return try MailboxSettings(ZEnvironment(values: values), options, hostName: "mx.example.test", isRoot: isRoot)
    }

    /// One message from `sender` to `quads`; what the agent reported, in the order of the recipients.
    @discardableResult
    func deliver(
        _ quads: [Quad], content: String = "Subject: x\r\n\r\nHello\r\n", sender: String = "s@a.example",
        settings: MailboxSettings? = nil, jobs: Int = 1, times: Int = 1,
        configure: (inout ControlFile) -> Void = { _ in }
    ) throws -> [AgentReport] {
        let group = ControlGroup(
            sender: Quad(channel: "smtp", host: "-", user: sender, privilege: 0), errorsTo: sender,
            recipients: quads.map { ControlRecipient(quad: $0) })
        let control = try spool.add([group], content: content) { control in
            let octets = Array(content.utf8)
            let end = octets.indices.first { octets[$0...].starts(with: Array("\r\n\r\n".utf8)) }
            control.bodyOffset = control.headerStart + (end.map { $0 + 4 } ?? octets.count)
            configure(&control)
        }
        let settings = try settings ?? self.settings()
        let messages = try spool.run(
            MailboxTransportAgent(settings), channel: "local", jobs: jobs,
            input: String(repeating: "\(control.id)\t\(quads[0].host)\n", count: times))
        return messages.compactMap { if case .report(let report) = $0 { report } else { nil } }
            .sorted { $0.offset < $1.offset }
    }

    /// The contents of a directory's files, by name.
    func files(_ directory: String) -> [String: String] {
        var result: [String: String] = [:]
        for name in names(directory) { result[name] = read("\(directory)/\(name)") }
        return result
    }

    func names(_ directory: String) -> [String] { entries("\(root)/\(directory)").sorted() }

    func read(_ name: String) -> String { String(decoding: fileOctets("\(root)/\(name)"), as: UTF8.self) }

    static func user(_ name: String) -> Quad { Quad(channel: "local", host: "-", user: name, privilege: 65534) }
    static func program(_ command: String, privilege: Int = 4242) -> Quad {
        Quad(channel: "local", host: "pipe.list", user: "|\(command)", privilege: privilege)
    }
    static func file(_ path: String, privilege: Int = 4242) -> Quad {
        Quad(channel: "local", host: "file.list", user: path, privilege: privilege)
    }
}

func entries(_ path: String) -> [String] {
    guard let directory = opendir(path) else { return [] }
    defer { closedir(directory) }
    var names: [String] = []
    while let entry = readdir(directory) {
        let name = withUnsafeBytes(of: entry.pointee.d_name) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
        if name != ".", name != ".." { names.append(name) }
    }
    return names
}

func removeTree(_ path: String) {
    for name in entries(path) where unlink("\(path)/\(name)") != 0 { removeTree("\(path)/\(name)") }
    rmdir(path)
}

func fileOctets(_ path: String) -> [UInt8] {
    let descriptor = open(path, O_RDONLY)
    guard descriptor >= 0 else { return [] }
    defer { close(descriptor) }
    var octets: [UInt8] = []
    var buffer = [UInt8](repeating: 0, count: 65536)
    while true {
        let count = Glibc.read(descriptor, &buffer, buffer.count)
        if count <= 0 { return octets }
        octets += buffer[..<count]
    }
}
