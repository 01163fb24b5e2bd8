import AgentKit
import AgentProtocol
import Glibc
import ProgramKit
import SpoolFormat
import Testing

@testable import MailboxAgent

/// Every way in which a place cannot take mail. What an operator or the user can put right defers (4.x), what nobody should write to
/// is refused (5.x).
@Suite("Places that cannot take mail")
struct MailboxRefusalTests {
    let fixture: ForwardFixture

    init() throws { fixture = try ForwardFixture() }

    enum Store: String, Sendable { case mbox, maildir, file }

    struct Row: Sendable, CustomTestStringConvertible {
        let store: Store
        let name: String
        let needsRoot: Bool
        let make: @Sendable (ForwardFixture, _ place: String) throws -> Void
        let result: DeliveryResult
        let status: String
        var testDescription: String { "\(store.rawValue): \(name)" }

        init(
            _ store: Store, _ name: String, _ result: DeliveryResult, _ status: String, needsRoot: Bool = false,
            make: @escaping @Sendable (ForwardFixture, _ place: String) throws -> Void
        ) {
            self.store = store
            self.name = name
            self.needsRoot = needsRoot
            self.make = make
            self.result = result
            self.status = status
        }
    }

    /// The places: `box/alice` for mbox and files, `home/alice/Maildir`.
    static let rows: [Row] =
        [Store.mbox, .file].flatMap { store in
            [
                Row(store, "a link to another file", .failed, "5.2.0") {
                    try $0.base.write("x", to: "target")
                    try #require(symlink("\($0.root)/target", $1) == 0)
                },
                Row(store, "a link to nothing", .failed, "5.2.0") { try #require(symlink("nowhere", $1) == 0) },
                Row(store, "a second name of another file", .failed, "5.2.0") {
                    try $0.own("target")
                    try #require(link("\($0.root)/target", $1) == 0)
                },
                Row(store, "a directory", .failed, "5.2.0") { try #require(mkdir($1, 0o700) == 0) },
                Row(store, "a FIFO", .failed, "5.2.0") {
                    try #require(mkfifo($1, 0o600) == 0)
                    try $0.give($1)
                },
                Row(store, "a device", .failed, "5.2.0", needsRoot: true) {
                    // /dev/null under another name.
                    try #require(mknod($1, S_IFCHR | 0o666, 0x103) == 0)
                    try #require(chmod($1, 0o666) == 0)
                },
                Row(store, "a socket", .failed, "5.2.0") {
                    try #require(mknod($1, S_IFSOCK | 0o666, 0) == 0)
                    try $0.give($1)
                },
                Row(store, "a file of another user", .deferred, "4.2.1", needsRoot: true) {
                    try $0.base.write("x", to: "box/alice")
                    try #require(chown($1, 4711, 4711) == 0 && chmod($1, 0o600) == 0)
                },
                Row(store, "a file that its user may not write", .deferred, "4.2.1", needsRoot: true) {
                    try $0.own("box/alice")
                    try #require(chmod($1, 0o400) == 0)
                },
                Row(store, "in a directory where the user may make no file", .deferred, "4.2.1", needsRoot: true) {
                    fixture, _ in
                    try #require(chown("\(fixture.root)/box", 0, 0) == 0 && chmod("\(fixture.root)/box", 0o755) == 0)
                },
                Row(store, "in a directory that is missing", .deferred, "4.2.1") { fixture, _ in
                    try #require(rmdir("\(fixture.root)/box") == 0)
                },
                Row(store, "in a file", .deferred, "4.2.1") { fixture, _ in
                    try #require(rmdir("\(fixture.root)/box") == 0)
                    try fixture.base.write("x", to: "box")
                },
                Row(store, "over a limit of file size", .deferred, "4.2.2") { fixture, place in
                    try fixture.own("box/alice")
                    // Sparse; larger than any file system takes would be another error.
                    try #require(truncate(place, MailboxRefusalTests.hugeSize) == 0)
                },
            ]
        } + [
            Row(.mbox, "locked by another program", .deferred, "4.2.0") {
                try $0.own("box/alice")
                try $0.base.write("1\n", to: "box/alice.lock")
                _ = $1
            },
            Row(.mbox, "where a lock is a directory", .deferred, "4.2.0") {
                try #require(mkdir("\($1).lock", 0o700) == 0)
                try $0.own("box/alice")
            },
            Row(.maildir, "in a home that is missing", .deferred, "4.2.1") { fixture, _ in
                try #require(rmdir(fixture.home()) == 0)
            },
            Row(.maildir, "in a home of another user", .deferred, "4.2.1", needsRoot: true) { fixture, _ in
                try #require(chown(fixture.home(), 4711, 4711) == 0)
            },
            Row(.maildir, "that is a file", .deferred, "4.2.1") { fixture, _ in try fixture.write("x", "alice/Maildir")
            },
            Row(.maildir, "whose new/ is a file", .deferred, "4.2.1") { fixture, place in
                for path in [place, "\(place)/cur", "\(place)/tmp"] {
                    try #require(mkdir(path, 0o700) == 0)
                    try fixture.give(path)
                }
                try fixture.write("x", "alice/Maildir/new")
            },
            Row(.maildir, "of another user", .deferred, "4.2.1", needsRoot: true) { _, place in
                for path in [place, "\(place)/cur", "\(place)/new", "\(place)/tmp"] {
                    try #require(mkdir(path, 0o700) == 0)
                    try #require(chown(path, 4711, 4711) == 0)
                }
            },
            Row(.maildir, "over its quota", .deferred, "4.2.2") { fixture, place in
                for path in [place, "\(place)/cur", "\(place)/new", "\(place)/tmp"] {
                    try #require(mkdir(path, 0o700) == 0)
                    try fixture.give(path)
                }
                try fixture.write("10S\n9 1\n", "alice/Maildir/maildirsize")
            },
        ]

    /// Where ext4 with 4 KiB blocks ends.
    static let hugeSize = 17_592_186_040_320

    @Test("each is told with its status, and nothing else is touched", arguments: rows)
    func refused(row: Row) throws {
        guard !row.needsRoot || geteuid() == 0 else { return }
        try fixture.makeBox()
        let place = row.store == .maildir ? "\(fixture.home())/Maildir" : "\(fixture.root)/box/alice"
        try row.make(fixture, place)
        let mailbox = row.store == .maildir ? "maildir:%h/Maildir" : "mbox:\(fixture.root)/box/%u"
        let settings = try fixture.settings(["FORWARD": row.store == .file ? "on" : "off"], mailbox: mailbox)
        if row.store == .file { try fixture.write(place) }
        let report = try fixture.deliver(settings: settings)[0]
        #expect(report.result == row.result, "\(report.message)")
        #expect(report.notary?.status == row.status, "\(report.message)")
        #expect(!report.message.isEmpty)
        if row.result == .failed { #expect(fixture.base.read("target").utf8.count <= 1) }
    }

    @Test(
        "users that get no mail here",
        arguments: [("nobody.such", "5.1.1"), ("low", "5.2.1"), ("", "5.1.1"), ("../alice", "5.1.1")])
    func users(name: String, status: String) throws {
        guard status != "5.2.1" || geteuid() == 0 else { return }
        var settings = try fixture.settings()
        var low = fixture.account("alice")
        low = .init(name: "low", uid: 50, gid: 50, home: low.home)
        settings.accounts = .list(["alice": fixture.account("alice"), "low": low])
        let report = try fixture.deliver(name, settings: settings)[0]
        #expect(report.result == .failed && report.notary?.status == status)
    }

    @Test("errors of the file system have their statuses")
    func codes() {
        let table: [(Int32, DeliveryResult, String)] = [
            (EDQUOT, .deferred, "4.2.2"), (EFBIG, .deferred, "4.2.2"), (ENOSPC, .deferred, "4.3.1"),
            (EACCES, .deferred, "4.2.1"), (EPERM, .deferred, "4.2.1"), (ENOENT, .deferred, "4.2.1"),
            (ENOTDIR, .deferred, "4.2.1"), (ELOOP, .deferred, "4.2.1"), (EROFS, .deferred, "4.2.1"),
            (ESTALE, .deferred, "4.2.1"), (EIO, .deferred, "4.3.0"), (EMFILE, .deferred, "4.3.0"),
            (ETIMEDOUT, .deferred, "4.3.0"),
        ]
        for (code, result, status) in table {
            let problem = DeliveryProblem.system("write", "/x", code)
            #expect(problem.result.result == result && problem.result.status == status, "errno \(code)")
            #expect(problem.isQuota == (code == EDQUOT || code == EFBIG))
        }
    }

    @Test("a disk that is full leaves mailboxes as they were", .enabled(if: FullDisk.isPossible))
    func fullDisk() throws {
        let disk = try FullDisk(octets: 64 * 1024)
        let settings = try fixture.settings(["FORWARD": "off"], mailbox: "mbox:\(disk.path)/%u")
        let large = "Subject: x\r\n\r\n" + String(repeating: "0123456789\r\n", count: 20_000)
        #expect(try fixture.deliver(settings: settings)[0].result == .ok)
        let before = fileOctets("\(disk.path)/alice")
        let report = try fixture.deliver(content: large, settings: settings)[0]
        #expect(report.result == .deferred && report.notary?.status == "4.3.1", "\(report.message)")
        #expect(fileOctets("\(disk.path)/alice") == before)
        let maildir = try fixture.settings(["FORWARD": "off"], mailbox: "maildir:\(disk.path)/dir/%u")
        let second = try fixture.deliver(content: large, settings: maildir)[0]
        #expect(second.result == .deferred && second.notary?.status == "4.3.1", "\(second.message)")
        #expect(entries("\(disk.path)/dir/alice/new") == [] && entries("\(disk.path)/dir/alice/tmp") == [])
    }
}

extension ForwardFixture {
    /// A directory in which all may make files, as /var/mail is on some systems.
    func makeBox() throws {
        try #require(mkdir("\(root)/box", 0o777) == 0)
        try #require(chmod("\(root)/box", 0o777) == 0)
    }

    /// A file of the user.
    func own(_ name: String) throws {
        try base.write("x", to: name)
        try give("\(root)/\(name)")
    }

    func give(_ path: String) throws {
        if geteuid() == 0 { try #require(lchown(path, uid, gid) == 0) }
    }
}

/// A file system of a few blocks.
final class FullDisk {
    static let isPossible = geteuid() == 0 && canMount
    let path: String

    init(octets: Int) throws {
        var template = Array("/tmp/mailbox-disk.XXXXXX".utf8CString)
        path = String(cString: try #require(template.withUnsafeMutableBufferPointer { mkdtemp($0.baseAddress!) }))
        try #require(mount("none", path, "tmpfs", 0, "size=\(octets),mode=1777") == 0)
    }

    deinit {
        umount(path)
        rmdir(path)
    }

    private static var canMount: Bool {
        var template = Array("/tmp/mailbox-disk.XXXXXX".utf8CString)
        guard let path = template.withUnsafeMutableBufferPointer({ mkdtemp($0.baseAddress!) }) else { return false }
        defer { rmdir(path) }
        guard mount("none", path, "tmpfs", 0, "size=65536") == 0 else { return false }
        umount(path)
        return true
    }
}
