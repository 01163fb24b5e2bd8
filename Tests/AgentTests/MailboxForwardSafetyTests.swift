import AgentProtocol
import Glibc
import Postoffice
import SpoolFormat
import Testing

@testable import MailboxAgent

@Suite("A .forward that cannot be trusted")
struct MailboxForwardSafetyTests {
    let fixture: ForwardFixture

    init() throws { fixture = try ForwardFixture() }

    /// What is wrong, how it is made, what the report says.
    struct Row: Sendable, CustomTestStringConvertible {
        let name: String
        let needsRoot: Bool
        let make: @Sendable (ForwardFixture) throws -> Void
        let status: String
        let text: String
        var testDescription: String { name }

        init(
            _ name: String, needsRoot: Bool = false, status: String = "4.2.1", text: String,
            make: @escaping @Sendable (ForwardFixture) throws -> Void
        ) {
            self.name = name
            self.needsRoot = needsRoot
            self.make = make
            self.status = status
            self.text = text
        }
    }

    static let rows: [Row] = [
        Row("writable by its group", text: "written by others (mode 664") { try $0.write("b@c.example", mode: 0o664) },
        Row("writable by all", text: "written by others (mode 646") { try $0.write("b@c.example", mode: 0o646) },
        Row("of another user", needsRoot: true, text: "belongs to uid 4711") {
            try $0.write("b@c.example")
            try #require(chown("\($0.home())/.forward", 4711, 4711) == 0)
        },
        Row("a link to a file of another user", needsRoot: true, text: "belongs to uid 4711") {
            try $0.write("b@c.example", "shared")
            try #require(chown("\($0.root)/home/shared", 4711, 4711) == 0)
            try #require(symlink("../shared", "\($0.home())/.forward") == 0)
        },
        Row("another name of a file of another user", needsRoot: true, text: "belongs to uid 4711") {
            try $0.write("b@c.example", "shared")
            try #require(chown("\($0.root)/home/shared", 4711, 4711) == 0)
            try #require(link("\($0.root)/home/shared", "\($0.home())/.forward") == 0)
        },
        Row("a link to nothing", text: "No such file") {
            try #require(symlink("nowhere", "\($0.home())/.forward") == 0)
        },
        Row("a link to itself", text: "symbolic links") {
            try #require(symlink(".forward", "\($0.home())/.forward") == 0)
        },
        Row("a directory", text: "not a regular file") { try #require(mkdir("\($0.home())/.forward", 0o755) == 0) },
        Row("a FIFO", text: "not a regular file") { try #require(mkfifo("\($0.home())/.forward", 0o644) == 0) },
        Row("a device", needsRoot: true, text: "not a regular file") {
            try #require(symlink("/dev/zero", "\($0.home())/.forward") == 0)
        },
        Row("in a home that others may write", text: "its directory") {
            try $0.write("b@c.example")
            try #require(chmod($0.home(), 0o777) == 0)
        },
        Row("below a directory that others may write", text: "/home may be written by others") {
            try $0.write("b@c.example")
            try #require(chmod("\($0.root)/home", 0o777) == 0)
        },
        Row("behind a link in a directory that others may write", text: "its directory") {
            try #require(mkdir("\($0.home())/open", 0o755) == 0)
            try $0.write("b@c.example", "alice/open/f")
            try #require(chmod("\($0.home())/open", 0o757) == 0)
            try #require(symlink("open/f", "\($0.home())/.forward") == 0)
        },
        Row("that its user may not read", text: "Permission denied") {
            try $0.write("b@c.example", mode: 0)
            if geteuid() == 0 { try #require(chown("\($0.home())/.forward", 4711, 4711) == 0) }
        },
        Row("that is too large", status: "4.3.5", text: "larger than 65536") {
            try $0.write(String(repeating: "# x\n", count: 16385))
        },
        Row("that names too many", status: "4.3.5", text: "more than 100") {
            try $0.write((0...100).map { "u\($0)@c.example\n" }.joined())
        },
        Row("that runs too many programs", status: "4.3.5", text: "more than 10 programs") {
            try $0.write((0...10).map { "|true \($0)\n" }.joined())
        },
        Row("with a mistake", status: "4.3.5", text: "line 2: 'a b'") { try $0.write("b@c.example\na b\n") },
        Row("that includes itself", status: "4.3.5", text: "a loop?") {
            try $0.write(":include:\($0.home())/.forward")
        },
        Row("that includes a missing file", status: "4.3.5", text: "no such file") {
            try $0.write(":include:\($0.home())/list")
        },
        Row("that includes what others may write", text: "written by others") {
            try $0.write(":include:\($0.home())/list")
            try $0.write("c@d.example", "alice/list", mode: 0o666)
        },
        Row("in a home that is missing", text: "home directory") { try #require(rmdir($0.home()) == 0) },
        Row("in a home that is a file", text: "is not a directory") {
            try #require(rmdir($0.home()) == 0)
            try $0.write("x", "alice")
        },
    ]

    @Test(
        "a mailbox file that another user may have made gets no mail, one that its user or root has made does",
        .enabled(if: geteuid() == 0, "needs uids of its own"),
        arguments: [0o1777, 0o2775, 0o757, 0o755] as [mode_t])
    func mailboxOfAnother(mode: mode_t) throws {
        let fixture = try ForwardFixture()
        try #require(mkdir("\(fixture.root)/spool", 0o755) == 0 && chmod("\(fixture.root)/spool", mode) == 0)
        try fixture.base.write("", to: "spool/alice")
        let path = "\(fixture.root)/spool/alice"
        // Nobody else can have made it in a directory that he may not write.
        let another = mode == 0o755 ? DeliveryResult.ok : .deferred
        let settings = try fixture.settings(
            ["MBOXLOCKS": "F:F"], mailbox: "mbox:\(fixture.root)/spool/%u")
        for (owner, result) in [(4243 as uid_t, another), (0, .ok), (fixture.uid, .ok)] {
            try #require(truncate(path, 0) == 0 && chown(path, owner, 4243) == 0 && chmod(path, 0o666) == 0)
            let report = try #require(try fixture.deliver(settings: settings).first)
            #expect(report.result == result, "\(report.message)")
            if result == .deferred { #expect(report.message.contains("belongs to uid 4243, not to its user (4242)")) }
            #expect(fixture.base.read("spool/alice").isEmpty == (result == .deferred))
        }
    }

    @Test(
        "a Maildir that another user may have made gets no mail, a missing one is made",
        .enabled(if: geteuid() == 0, "needs uids of its own"), arguments: [0o1777, 0o755] as [mode_t])
    func maildirOfAnother(mode: mode_t) throws {
        let fixture = try ForwardFixture()
        let spool = "\(fixture.root)/spool"
        let settings = try fixture.settings(mailbox: "maildir:\(spool)/%u")
        try #require(mkdir(spool, 0o755) == 0 && chmod(spool, 0o1777) == 0)
        #expect(try fixture.deliver(settings: settings).map(\.result) == [.ok])
        try #require(chmod(spool, mode) == 0)
        for name in ["", "/cur", "/new", "/tmp"] { try #require(chmod("\(spool)/alice\(name)", 0o777) == 0) }
        for (owner, isForeign) in [(4243 as uid_t, mode != 0o755), (0, false), (fixture.uid, false)] {
            let before = fixture.base.names("spool/alice/new").count
            try #require(chown("\(spool)/alice", owner, 4243) == 0)
            let report = try #require(try fixture.deliver(settings: settings).first)
            #expect(report.result == (isForeign ? .deferred : .ok), "\(report.message)")
            if isForeign { #expect(report.message.contains("belongs to uid 4243, not to its user (4242)")) }
            #expect(fixture.base.names("spool/alice/new").count == before + (isForeign ? 0 : 1))
        }
    }

    @Test("defers the mail and says why; nobody gets it", arguments: rows)
    func refused(row: Row) throws {
        guard !row.needsRoot || geteuid() == 0 else { return }
        try row.make(fixture)
        let report = try fixture.deliver()[0]
        #expect(report.result == .deferred)
        #expect(report.notary?.status == row.status)
        #expect(report.message.contains(row.text), "\(report.message)")
        #expect(try fixture.resubmitted().isEmpty)
        #expect(fixture.mail() == [])
    }

    @Test("one that belongs to root, one behind a link that is its user's, and one with an include are used")
    func trusted() throws {
        try fixture.write("b@c.example")
        if geteuid() == 0 { try #require(chown("\(fixture.home())/.forward", 0, 0) == 0) }
        try #require(mkdir("\(fixture.home("bob"))/dot", 0o755) == 0)
        if geteuid() == 0 { try #require(chown("\(fixture.home("bob"))/dot", fixture.uid, fixture.gid) == 0) }
        try fixture.write(":include:\(fixture.home("bob"))/list", "bob/dot/forward")
        try fixture.write("x@c.example\ny@c.example", "bob/list")
        try #require(symlink("dot/forward", "\(fixture.home("bob"))/.forward") == 0)
        #expect(try fixture.deliver("alice")[0].result == .ok)
        #expect(try fixture.deliver("bob")[0].result == .ok)
        #expect(
            try fixture.resubmitted().map { $0.envelope.recipients.map(\.address) } == [
                ["b@c.example"], ["x@c.example", "y@c.example"],
            ])
    }

    @Test("what a stranger has put into an address never reaches a shell")
    func hostileDetail() throws {
        try fixture.write("\"|echo \\\"$USER $INRCPT\\\" > out\"")
        let report = try fixture.deliver(
            "\"alice+$(touch ran);`touch ran`\"", recipient: "\"alice+$(touch ran);`touch ran`\"@example.test")[0]
        #expect(report.result == .ok)
        #expect(fixture.base.read("home/alice/out") == "alice \"alice+$(touch ran);`touch ran`\"@example.test\n")
        #expect(!fixture.base.names("home/alice").contains("ran"))
    }

    @Test("where forwarded mail cannot be stored it waits")
    func fullSpool() throws {
        try fixture.write("b@c.example")
        let router = "\(fixture.postoffice.root)/router"
        try #require(rmdir(router) == 0)
        let report = try fixture.deliver()[0]
        #expect(report.result == .deferred && report.notary?.status == "4.3.0")
        #expect(report.message.contains("cannot be stored"))
    }
}
