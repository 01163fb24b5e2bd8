import AgentKit
import AgentProtocol
import Glibc
import MailModel
import SpoolFormat
import Testing

@testable import MailboxAgent

@Suite("Delivery into Maildirs")
struct MailboxMaildirTests {
    let fixture: MailboxFixture

    init() throws { fixture = try MailboxFixture() }

    @Test(
        "our own Received field tells for whom a copy is, if the operator has nothing against it",
        arguments: ["", "1"], [false, true])
    func receivedClause(off: String, isReplaced: Bool) throws {
        // The first message of a spool here.
        let id = SpoolID(rawValue: (1_795_000_000_000 << 22) + 1)
        let field = "Received: from a by mx.example.test with ESMTP id \(id)\r\n\tPRIORITY 3"
        let header = "\(field); a date\r\nReceived: from b; c\r\nSubject: x\r\n"
        try fixture.deliver(
            ["alice", "bob"].map(MailboxFixture.user), content: (isReplaced ? "X: y\r\n" : header) + "\r\nbody\r\n",
            settings: fixture.settings("maildir:%ROOT/mail/%u", ["NORECEIVEDFORCLAUSE": off])
        ) { control in
            if isReplaced { control.groups[0].header = Array(header.utf8) }
            for index in 0..<2 { control.groups[0].recipients[index].envelopeRecipient = "\(index)@example.test" }
        }
        for (index, user) in ["alice", "bob"].enumerated() {
            let clause = off.isEmpty ? "\r\n\tfor <\(index)@example.test>" : ""
            let expected = "\(field)\(clause); a date\r\nReceived: from b; c\r\nSubject: x\r\n\r\nbody\r\n"
            let text = try #require(fixture.files("mail/\(user)/new").values.first)
            #expect(text.hasSuffix("(uid \(getuid()))\n" + expected.replacing("\r\n", with: "\n")), "\(text)")
        }
    }

    @Test("the message is in new/, with our trace fields, and its lines end in LF")
    func content() throws {
        let reports = try fixture.deliver(
            [MailboxFixture.user("alice")],
            content: "Received: x\r\nSubject: a\r\n b\r\n\r\nHello\r\n.dot\r\nFrom me\r\nbare \r cr\r\n\r\n"
        ) { control in
            control.envelopeID = "QQ+2B1"
            control.groups[0].recipients[0].originalRecipient = "rfc822;Alice+2Bx@example.test"
            control.groups[0].recipients[0].envelopeRecipient = "alice+x@example.test"
        }
        #expect(reports.map(\.result) == [.ok])
        #expect(reports[0].notary?.action == .delivered && reports[0].notary?.status == "2.2.0")
        let files = fixture.files("mail/alice/new")
        #expect(
            files.values.first == """
                Return-Path: <s@a.example>
                Delivered-To: alice+x@example.test
                X-Envelope-To: <alice> (uid \(getuid()))
                X-Orcpt: rfc822;Alice+2Bx@example.test
                Original-Recipient: rfc822; Alice+x@example.test
                X-Envid: QQ+2B1
                Envelope-Id: QQ+1
                Received: x
                Subject: a
                 b

                Hello
                .dot
                From me
                bare \r cr


                """)
        let name = try #require(files.keys.first)
        let size = files.values.first?.utf8.count ?? 0
        #expect(
            name == Maildir.name(of: reports[0].file, offset: reports[0].offset, host: "mx.example.test") + ",S=\(size)"
        )
        #expect(fixture.names("mail/alice") == ["cur", "new", "tmp"])
        #expect(fixture.names("mail/alice/tmp") == [])
        var information = stat()
        #expect(stat("\(fixture.root)/mail/alice", &information) == 0 && information.st_mode & 0o777 == 0o700)
        #expect(
            stat("\(fixture.root)/mail/alice/new/\(name)", &information) == 0 && information.st_mode & 0o777 == 0o600)
    }

    @Test("a job that comes again after a crash delivers nothing again")
    func again() throws {
        let reports = try fixture.deliver([MailboxFixture.user("alice"), MailboxFixture.user("bob")], times: 3)
        #expect(reports.count == 6)
        #expect(reports.allSatisfy { $0.result == .ok })
        #expect(reports.count { $0.message.contains("delivered before") } == 4)
        #expect(fixture.names("mail/alice/new").count == 1)
        #expect(fixture.names("mail/bob/new").count == 1)
        #expect(fixture.names("mail/alice/tmp") == [])
    }

    @Test("a copy that a reader has moved and flagged counts as delivered", arguments: ["", ":2,", ":2,RS"])
    func movedByReader(flags: String) throws {
        let control = try fixture.deliver([MailboxFixture.user("alice")])
        let name = try #require(fixture.names("mail/alice/new").first)
        let path = "\(fixture.root)/mail/alice"
        try #require(rename("\(path)/new/\(name)", "\(path)/cur/\(name)\(flags)") == 0)
        let maildir = Maildir(path: path, base: nil)
        let copy = try LocalCopySamples.copy("x\r\n")
        #expect(control.count == 1)
        let base = String(name.prefix { $0 != "," })
        #expect(try maildir.deliver(copy, name: base, looksInCurrent: true) == .wasThere)
        #expect(fixture.names("mail/alice/new") == [])
        // A name that only begins alike is another message.
        #expect(try maildir.deliver(copy, name: String(base.dropLast()), looksInCurrent: true) == .delivered)
    }

    @Test(
        "users are found with detail, quotes, domain and in other letters",
        arguments: [
            ("alice", "alice"), ("alice+shop", "alice"), ("ALICE", "alice"), ("\\alice", "alice"),
            ("alice@example.test", "alice"), ("alice+a+b@example.test", "alice"), ("\"alice\"@example.test", "alice"),
            ("Carol", "Carol"),
        ])
    func users(address: String, mailbox: String) throws {
        let reports = try fixture.deliver([MailboxFixture.user(address)])
        #expect(reports.map(\.result) == [.ok])
        #expect(fixture.names("mail") == [mailbox])
    }

    @Test(
        "whoever is not in the list does not exist",
        arguments: [
            "dave", "", "+x", "..", ".", "../alice", "alice/../bob", "|/bin/true", "/etc/passwd", "carol", "# who",
            "\"",
            String(repeating: "x", count: 300),
        ])
    func unknown(address: String) throws {
        let reports = try fixture.deliver([MailboxFixture.user(address)])
        #expect(reports.map(\.result) == [.failed])
        #expect(reports.first?.notary?.status == "5.1.1")
        #expect(fixture.names("") == ["users"])
    }

    @Test("a changed list of users is noticed; one that cannot be read refuses nobody")
    func accountFile() throws {
        let settings = try fixture.settings()
        #expect(try fixture.deliver([MailboxFixture.user("dave")], settings: settings)[0].result == .failed)
        try fixture.write("alice\ndave # new\n", to: "users")
        #expect(try fixture.deliver([MailboxFixture.user("dave")], settings: settings)[0].result == .ok)
        unlink("\(fixture.root)/users")
        let report = try fixture.deliver([MailboxFixture.user("dave")], settings: settings)[0]
        #expect(report.result == .deferred)
        #expect(report.notary?.status == "4.3.0" && report.message.contains("No such file"))
    }

    @Test("what a stranger put into the fields that we write is taken out")
    func forgedTrace() throws {
        try fixture.deliver(
            [MailboxFixture.user("alice")],
            content:
                "RETURN-Path: <x@y>\r\n folded\r\nSubject: a\r\nX-Envelope-To : z\r\nEnvelope-Id: q\r\n\r\nReturn-Path: b\r\n"
        )
        let text = fixture.files("mail/alice/new").values.first ?? ""
        #expect(text.hasSuffix("(uid \(getuid()))\nSubject: a\n\nReturn-Path: b\n"))
        #expect(text.hasPrefix("Return-Path: <s@a.example>\nX-Envelope-To: <alice>"))
    }

    @Test("a header of its own replaces the message's for its group")
    func replacedHeader() throws {
        try fixture.deliver([MailboxFixture.user("alice")], content: "Subject: old\r\nBcc: x\r\n\r\nbody\r\n") {
            $0.groups[0].header = Array("Subject: new\r\nReturn-Path: <old@x>\r\n".utf8)
        }
        let text = fixture.files("mail/alice/new").values.first ?? ""
        #expect(text.hasSuffix(")\nSubject: new\n\nbody\n"))
    }

    @Test("a Maildir that was made only in part is completed", arguments: ["new", "tmp"])
    func incomplete(missing: String) throws {
        try fixture.deliver([MailboxFixture.user("alice")])
        removeTree("\(fixture.root)/mail/alice/\(missing)")
        let report = try fixture.deliver([MailboxFixture.user("alice")])[0]
        #expect(report.result == .ok)
        #expect(fixture.names("mail/alice/new").count == (missing == "new" ? 1 : 2))
    }

    @Test("the empty return path is written as such")
    func bounce() throws {
        try fixture.deliver([MailboxFixture.user("alice")], sender: "")
        #expect(fixture.files("mail/alice/new").values.first?.hasPrefix("Return-Path: <>\n") == true)
    }

    @Test("a path that is no directory, and a home that is missing, are temporary")
    func obstacles() throws {
        try fixture.write("", to: "mail")
        let report = try fixture.deliver([MailboxFixture.user("alice")])[0]
        #expect(report.result == .deferred && report.notary?.status == "4.2.1")
        #expect(report.message.contains("\(fixture.root)/mail/alice"))
        let copy = try LocalCopySamples.copy("x\r\n")
        let maildir = Maildir(path: "\(fixture.root)/home/Maildir", base: "\(fixture.root)/home")
        let problem = try #require(throws: DeliveryProblem.self) {
            try maildir.deliver(copy, name: "1.a", looksInCurrent: false)
        }
        #expect(problem.result.status == "4.2.1" && problem.result.text.contains("home"))
        #expect(access("\(fixture.root)/home", F_OK) != 0)
    }

    @Test(
        "as root, an account gets its mail under its own uid, and accounts below the minimum get none",
        .enabled(if: geteuid() == 0))
    func identity() throws {
        // bin is in every passwd(5).
        try #require(mkdir("\(fixture.root)/bin", 0o700) == 0)
        let account = try #require(getpwnam("bin")).pointee
        try #require(chown("\(fixture.root)/bin", account.pw_uid, account.pw_gid) == 0)
        try #require(chmod(fixture.root, 0o755) == 0)
        let zenv = ["ACCOUNTS": "passwd", "MINUID": "1"]
        let settings = try fixture.settings("maildir:%ROOT/%u/Maildir", zenv, isRoot: true)
        #expect(try fixture.deliver([MailboxFixture.user("bin")], settings: settings)[0].result == .ok)
        let name = try #require(fixture.names("bin/Maildir/new").first)
        for path in ["bin/Maildir", "bin/Maildir/new", "bin/Maildir/new/\(name)"] {
            var information = stat()
            try #require(stat("\(fixture.root)/\(path)", &information) == 0)
            #expect(information.st_uid == account.pw_uid && information.st_gid == account.pw_gid)
        }
        #expect(geteuid() == 0)
        #expect(fixture.read("bin/Maildir/new/\(name)").contains("X-Envelope-To: <bin> (uid \(account.pw_uid))"))
        // A place that only root may write stays closed to it.
        let closed = try fixture.settings("maildir:%ROOT/closed/%u", zenv, isRoot: true)
        try #require(mkdir("\(fixture.root)/closed", 0o700) == 0)
        #expect(try fixture.deliver([MailboxFixture.user("bin")], settings: closed)[0].result == .deferred)
        let standard = try fixture.settings("maildir:%ROOT/%u/Maildir", ["ACCOUNTS": "passwd"], isRoot: true)
        let refused = try fixture.deliver([MailboxFixture.user("root")], settings: standard)[0]
        #expect(refused.result == .failed && refused.notary?.status == "5.2.1")
        #expect(refused.message.contains("below 100"))
    }
}
