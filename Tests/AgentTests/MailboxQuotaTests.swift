import AgentProtocol
import Glibc
import SpoolFormat
import Testing

@testable import MailboxAgent

@Suite("Maildir++ quotas")
struct MailboxQuotaTests {
    let fixture: MailboxFixture
    private var maildir: String { "\(fixture.root)/mail/alice" }

    init() throws {
        fixture = try MailboxFixture()
        for name in ["mail", "mail/alice", "mail/alice/new", "mail/alice/cur", "mail/alice/tmp"] {
            try #require(mkdir("\(fixture.root)/\(name)", 0o700) == 0)
        }
    }

    private func deliver(
        _ zenv: [String: String] = [:], configure: (inout MailboxOptions) -> Void = { _ in }
    ) throws -> AgentReport {
        try fixture.deliver(
            [MailboxFixture.user("alice")],
            settings: fixture.settings("maildir:%ROOT/mail/%u", zenv, configure: configure)
        )[0]
    }

    private var lines: [String] { fixture.read("mail/alice/maildirsize").split(separator: "\n").map(String.init) }

    @Test(
        "what a quota is",
        arguments: [
            ("1000S,10C", "1000S,10C"), ("10C,1000S", "1000S,10C"), ("5S", "5S"), ("0S,3C", "3C"), ("0S", ""),
            ("", nil),
            ("1000", nil), ("S", nil), ("-1S", nil), ("1X", nil), ("1S,", nil), ("99999999999999999999S", nil),
        ])
    func text(text: String, expected: String?) { #expect(MaildirQuota(text)?.text == expected) }

    @Test("without MAILDIRQUOTA and maildirsize there is no quota and no file")
    func none() throws {
        #expect(try deliver().result == .ok)
        #expect(fixture.names("mail/alice") == ["cur", "new", "tmp"])
    }

    @Test("MAILDIRQUOTA makes the file; every message is added, its size is in its name")
    func counting() throws {
        try fixture.write("12345", to: "mail/alice/cur/old:2,S")
        for name in [".Work", ".Work/new"] { try #require(mkdir("\(maildir)/\(name)", 0o700) == 0) }
        try fixture.write("1", to: "mail/alice/.Work/new/other,S=100")
        for _ in 0..<2 { #expect(try deliver(["MAILDIRQUOTA": "100000S,10C"]).result == .ok) }
        let size = fixture.files("mail/alice/new").values.first?.utf8.count ?? 0
        #expect(lines == ["100000S,10C", "105 2", "\(size) 1", "\(size) 1"])
        #expect(fixture.names("mail/alice/new").allSatisfy { $0.hasSuffix(",S=\(size)") })
        #expect(fixture.names("mail/alice/tmp") == [])
    }

    @Test("a message that has no room waits; with -F edquot it is returned")
    func full() throws {
        #expect(try deliver(["MAILDIRQUOTA": "100000S,1C"]).result == .ok)
        let report = try deliver(["MAILDIRQUOTA": "100000S,1C"])
        #expect(report.result == .deferred && report.notary?.status == "4.2.2")
        #expect(report.message.contains("100000S,1C"))
        let final = try deliver(["MAILDIRQUOTA": "10S"]) { $0.quotaIsPermanent = true }
        #expect(final.result == .failed && final.notary?.status == "5.2.2")
        #expect(fixture.names("mail/alice/new").count == 1 && fixture.names("mail/alice/tmp") == [])
    }

    @Test("the quota that an IMAP server has written holds, and the message is added to its sum")
    func others() throws {
        try fixture.write("5000S\n4000 3\n-3900 -2\n", to: "mail/alice/maildirsize")
        #expect(try deliver().result == .ok)
        #expect(lines.count == 4 && lines[3].hasSuffix(" 1"))
        try fixture.write("5000S\n4990 3\n", to: "mail/alice/maildirsize")
        #expect(try deliver().result == .deferred)
    }

    @Test(
        "a sum that may be wrong is counted before it refuses anything",
        arguments: ["5000S\n4000 3\n990 1\n", "5000S\nx y\n", "5000S\n-10 3\n", "5000S\n1 1 1\n"])
    func wrong(text: String) throws {
        try fixture.write(text, to: "mail/alice/maildirsize")
        #expect(try deliver().result == .ok)
        #expect(lines.prefix(2) == ["5000S", "0 0"] && lines.count == 3)
    }

    @Test(
        "whatever its owner writes there, or names his files, nothing but his own mail waits",
        arguments: [
            "5000S\n9223372036854775807 0\n", "5000S\n1 9223372036854775807\n",
            "5000S\n9223372036854775807 1\n9223372036854775807 1\n", "5000S\n-9223372036854775808 -1\n-1 -1\n",
        ])
    func hostile(text: String) throws {
        try fixture.write(text, to: "mail/alice/maildirsize")
        // A sum of one line is believed: then his mail waits.
        #expect([.ok, .deferred].contains(try deliver().result))
        for name in ["a,S=9223372036854775807", "b,S=9223372036854775807"] {
            try fixture.write("x", to: "mail/alice/cur/\(name)")
        }
        // A quota that differs from the file's is counted.
        #expect(try deliver(["MAILDIRQUOTA": "6000S"]).result == .deferred)
    }

    @Test("an old sum and a long file are counted anew; a changed quota too")
    func recounted() throws {
        try fixture.write("5000S\n4990 3\n", to: "mail/alice/maildirsize")
        let old = timespec(tv_sec: time(nil) - 1000, tv_nsec: 0)
        try #require(utimensat(AT_FDCWD, "\(maildir)/maildirsize", [old, old], 0) == 0)
        #expect(try deliver().result == .ok)
        #expect(lines[1] == "0 0")
        try fixture.write("5000S\n" + String(repeating: "0 0\n", count: 2000), to: "mail/alice/maildirsize")
        #expect(try deliver().result == .ok)
        #expect(lines.count == 3)
        #expect(try deliver(["MAILDIRQUOTA": "6000S"]).result == .ok)
        #expect(lines[0] == "6000S" && lines.count == 3 && lines[1].hasSuffix(" 2"))
    }

    @Test("what is no maildirsize is neither followed nor obeyed")
    func strange() throws {
        try fixture.write("1S\n999 1\n", to: "elsewhere")
        try #require(symlink("\(fixture.root)/elsewhere", "\(maildir)/maildirsize") == 0)
        let report = try deliver()
        #expect(report.result == .deferred && report.notary?.status == "4.2.1")
        unlink("\(maildir)/maildirsize")
        try fixture.write("garbage\n", to: "mail/alice/maildirsize")
        #expect(try deliver().result == .ok)
        #expect(fixture.read("elsewhere") == "1S\n999 1\n")
    }
}
