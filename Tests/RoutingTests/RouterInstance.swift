import Configuration
import Glibc
import PolicyEngine
import Postoffice
import SpoolFormat
import Telemetry
import Testing

@testable import Router

/// A POSTOFFICE and tables of its own, removed at the end.
final class RouterInstance {
    let root: String
    let postoffice: Postoffice
    let configuration: MailConfiguration
    let log: EventLog
    let tables: MailTables

    init(
        aliases: String = "team: alice, bob\n", localnames: String = "example.test\n", users: String? = "alice\nbob\n",
        routes: String = "fixed.test smtpx![127.0.0.1]:2526\n", relay: String = "[10.0.0.1]/32\n[10.0.0.2]/32 submit\n",
        settings: [String: String] = [:]
    ) throws {
        var template = Array("/tmp/router-XXXXXX".utf8CString)
        root = template.withUnsafeMutableBufferPointer { buffer in
            buffer.baseAddress.flatMap { mkdtemp($0) }.map { String(cString: $0) } ?? "/nonexistent"
        }
        postoffice = try Postoffice("\(root)/po", creating: true)
        mkdir("\(root)/var", 0o755)
        mkdir("\(root)/var/db", 0o755)
        log = try EventLog(program: "router", destination: .file("\(root)/log"), level: .debug)
        // No name exists: no packet leaves the machine.
        Self.write("zone . static\n", to: "\(root)/zones")
        let values = [
            "MAILVAR": "\(root)/var", "ACCOUNTS": "file:\(root)/var/db/users", "HOSTNAME": "mail.example.test",
            "SELFADDRESSES": "[192.0.2.25]", "RESOLVERZONES": "\(root)/zones",
        ]
        let environment = ZEnvironment(values: values.merging(settings) { $1 })
        configuration = try MailConfiguration(environment, postoffice: postoffice.root)
        let log = log
        tables = MailTables(configuration, report: TableReports(log: log, namesMissing: true).write)
        write(aliases, to: "aliases")
        write(localnames, to: "localnames")
        write(routes, to: "routes")
        write(relay, to: "smtp-policy.relay")
        if let users { write(users, to: "users") }
    }

    deinit {
        for directory in SpoolDirectory.allCases {
            for name in names(directory) { unlink("\(postoffice.root)/\(directory.rawValue)/\(name)") }
            rmdir("\(postoffice.root)/\(directory.rawValue)")
        }
        for name in ["aliases", "localnames", "routes", "smtp-policy.relay", "users", "list", "worker"] {
            unlink("\(root)/var/db/\(name)")
        }
        for name in [".router.notify", ".scheduler.notify", ".policy", ".greylist.gdbm", ".greylist-old.gdbm"] {
            unlink("\(postoffice.root)/\(name)")
        }
        unlink("\(root)/log")
        unlink("\(root)/zones")
        for folder in ["po", "var/db", "var", ""] { rmdir("\(root)/\(folder)") }
    }

    func write(_ text: String, to table: String, mode: mode_t = 0o644) {
        Self.write(text, to: "\(root)/var/db/\(table)", mode: mode)
    }

    private static func write(_ text: String, to path: String, mode: mode_t = 0o644) {
        let descriptor = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0o644)
        #expect(Glibc.write(descriptor, text, text.utf8.count) == text.utf8.count)
        close(descriptor)
        #expect(chmod(path, mode) == 0)
    }

    var logText: String {
        let descriptor = open("\(root)/log", O_RDONLY)
        defer { close(descriptor) }
        var buffer = [UInt8](repeating: 0, count: 1 << 20)
        let count = read(descriptor, &buffer, buffer.count)
        return String(decoding: buffer.prefix(max(0, count)), as: UTF8.self)
    }

    func names(_ directory: SpoolDirectory) -> [String] {
        var names: [String] = []
        try? postoffice.forEachEntry(directory) { name in
            names.append(name)
            return true
        }
        return names.sorted()
    }

    /// Where a message's files are: `router queue transport`.
    func places(_ id: SpoolID) -> [String] {
        SpoolDirectory.allCases.filter { directory in
            names(directory).contains { $0 == "\(id)" || $0.hasPrefix("\(id):") }
        }.map(\.rawValue).sorted()
    }

    /// An accepted message.
    @discardableResult
    func accept(
        _ recipients: [String] = ["alice@example.test"], header: String = "Message-Id: <a@b>\r\n", id: SpoolID? = nil
    ) throws -> SpoolID {
        let id = id ?? postoffice.newID()
        var envelope = MessageEnvelope()
        envelope.sender = "s@from.test"
        envelope.recipients = recipients.map { EnvelopeRecipient(address: $0) }
        try postoffice.submit(id, [envelope.encoded(), Array("\(header)\r\nbody\r\n".utf8)])
        return id
    }

    func worker(now: Int64? = nil) -> RoutingWorker {
        RoutingWorker(
            postoffice: postoffice, tables: tables, hostName: "mail.example.test", log: log,
            clock: { now ?? Int64(time(nil)) })
    }

    func control(_ id: SpoolID) throws -> ControlFile {
        try ControlFile.parse(try postoffice.read(.transport, id, limit: 1 << 20))
    }
}
