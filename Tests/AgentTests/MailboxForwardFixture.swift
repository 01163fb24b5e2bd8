import AgentProtocol
import Glibc
import MailModel
import Postoffice
import ProgramKit
import SpoolFormat
import Testing

@testable import MailboxAgent

/// Users with home directories, and a spool for what they forward. As root they have uids of their own, and so has the spool.
final class ForwardFixture {
    let base: MailboxFixture
    let postoffice: Postoffice
    let uid: uid_t
    private static let isRoot = geteuid() == 0

    init() throws {
        base = try MailboxFixture()
        uid = Self.isRoot ? 4242 : geteuid()
        try #require(chmod(base.root, 0o755) == 0)
        try #require(mkdir("\(base.root)/home", 0o755) == 0)
        postoffice = try Postoffice("\(base.root)/postoffice", creating: true)
        if Self.isRoot {
            for name in [""] + SpoolDirectory.allCases.map(\.rawValue) {
                try #require(chown("\(base.root)/postoffice/\(name)", 4343, 4343) == 0)
            }
        }
        for name in ["alice", "bob"] {
            try #require(mkdir(home(name), 0o755) == 0)
            if Self.isRoot { try #require(chown(home(name), uid, gid) == 0) }
        }
    }

    var root: String { base.root }
    var gid: gid_t { Self.isRoot ? 4242 : getegid() }
    func home(_ name: String = "alice") -> String { "\(base.root)/home/\(name)" }

    func account(_ name: String) -> SystemAccount {
        SystemAccount(name: name, uid: uid, gid: gid, home: home(name))
    }

    /// A file of a user, with its owner and mode.
    func write(_ text: String, _ name: String = "alice/.forward", mode: mode_t = 0o644) throws {
        try base.write(text, to: "home/\(name)")
        try #require(chmod("\(root)/home/\(name)", mode) == 0)
        if Self.isRoot { try #require(lchown("\(root)/home/\(name)", uid, gid) == 0) }
    }

    func settings(
        _ zenv: [String: String] = [:], mailbox: String = "maildir:%h/Maildir",
        configure: (inout MailboxOptions) -> Void = { _ in }
    ) throws -> MailboxSettings {
        var values = ["ACCOUNTS": "passwd"]
        values.merge(zenv) { $1 }
        var settings = try base.settings(mailbox, values, isRoot: Self.isRoot, configure: configure)
        settings.accounts = .list(["alice": account("alice"), "bob": account("bob")])
        return settings
    }

    func agent(_ settings: MailboxSettings? = nil) throws -> MailboxTransportAgent {
        let notice = NoticeSender(socketPath: "\(root)/no.socket", directory: "router")
        return MailboxTransportAgent(
            try settings ?? self.settings(),
            resubmitter: Resubmitter(postoffice: postoffice, notice: notice, hostName: "mx.example.test"))
    }

    /// One message to `user`, whose address in the envelope is `recipient`; every attempt's report.
    func deliver(
        _ user: String = "alice", recipient: String? = nil, content: String = "Subject: x\r\n\r\nHello\r\n",
        settings: MailboxSettings? = nil, attempts: Int = 1, configure: (inout ControlFile) -> Void = { _ in },
        between: () throws -> Void = {}
    ) throws -> [AgentReport] {
        let group = ControlGroup(
            sender: Quad(channel: "smtp", host: "-", user: "s@a.example", privilege: 0), errorsTo: "s@a.example",
            recipients: [
                ControlRecipient(
                    quad: MailboxFixture.user(user), envelopeRecipient: recipient ?? "\(user)@example.test")
            ])
        let control = try base.spool.add([group], content: content) { control in
            let octets = Array(content.utf8)
            let end = octets.indices.first { octets[$0...].starts(with: Array("\r\n\r\n".utf8)) }
            control.bodyOffset = control.headerStart + (end.map { $0 + 4 } ?? octets.count)
            configure(&control)
        }
        let agent = try agent(settings)
        var reports: [AgentReport] = []
        for attempt in 0..<attempts {
            if attempt > 0 { try between() }
            let messages = try base.spool.run(agent, channel: "local", input: "\(control.id)\t-\n")
            reports += messages.compactMap { if case .report(let report) = $0 { report } else { nil } }
        }
        return reports
    }

    /// What was put back to be routed: envelope and content.
    func resubmitted() throws -> [(envelope: MessageEnvelope, content: String)] {
        try postoffice.entries(.router).map { id in
            let octets = fileOctets(postoffice.path(.router, id))
            let (envelope, start) = try MessageEnvelope.parse(octets)
            #expect(envelope.isWhole(headerStart: start, fileSize: octets.count))
            #expect(envelope.traits?.size == octets.count - start)
            return (envelope, String(decoding: octets[start...], as: UTF8.self))
        }
    }

    func mail(_ user: String = "alice", _ directory: String = "Maildir/new") -> [String] {
        base.files("home/\(user)/\(directory)").values.sorted()
    }
}
