import Foundation
import Glibc
import Testing

/// Mail of real accounts: what they send on, run and sort themselves.
@Suite("Mail of accounts", .serialized, .enabled(if: TestAccounts.canBeMade))
struct MailboxAgentTests {
    private static func home(_ account: TestAccounts.Account) -> String {
        String(cString: getpwnam(account.name).pointee.pw_dir)
    }

    private func maildir(_ account: TestAccounts.Account, _ name: String = "Maildir") -> Maildir {
        Maildir(path: "\(Self.home(account))/\(name)")
    }

    /// A file of an account.
    private func write(
        _ text: String, _ name: String, of account: TestAccounts.Account, mode: mode_t = 0o644
    ) throws {
        let path = "\(Self.home(account))/\(name)"
        try text.write(toFile: path, atomically: true, encoding: .utf8)
        try #require(chmod(path, mode) == 0 && chown(path, account.uid, account.gid) == 0)
    }

    private func waitForMail(_ instance: Instance, _ maildir: Maildir, _ count: Int) async throws {
        try await waitUntil("\(count) messages in \(maildir.path)", details: { instance.report }) {
            maildir.count >= count
        }
        #expect(maildir.count == count, "\(instance.report)")
    }

    @Test("a .forward keeps a copy and sends one on, for the same sender and as its user's")
    func forward() async throws {
        try await RootTests.run { instance, accounts in
            let (alice, bob) = (accounts.alice, accounts.bob)
            try write("\\\(alice.name), \(bob.name)@example.test\n", ".forward", of: alice)
            let sent = try await instance.swaks(from: "s@client.test", to: "\(alice.name)@example.test")
            #expect(sent.status == .exited(0), "\(sent.output)")
            try await waitForMail(instance, maildir(alice), 1)
            try await waitForMail(instance, maildir(bob), 1)
            try await instance.waitForEmptySpool()
            let text = try #require(maildir(bob).texts.first)
            #expect(text.hasPrefix("Return-Path: <s@client.test>\n"), "\(text)")
            #expect(text.contains("\nDelivered-To: \(alice.name)@example.test\n"), "\(text)")
            #expect(text.contains("(.forward of \(alice.name))"), "\(text)")
            #expect(instance.read("zmailer.out").contains("forwarded by the user's .forward, as "))
        }
    }

    @Test("two users who forward to each other: the message is returned and not turned round for ever")
    func loop() async throws {
        try await RootTests.run { instance, accounts in
            let (alice, bob) = (accounts.alice, accounts.bob)
            try write("\(bob.name)@example.test\n", ".forward", of: alice)
            try write("\(alice.name)@example.test\n", ".forward", of: bob)
            let sent = try await instance.swaks(from: "", to: "\(alice.name)@example.test")
            #expect(sent.status == .exited(0), "\(sent.output)")
            try await waitUntil("the loop is found", details: { instance.report }) {
                instance.read("zmailer.out").contains("dsn=5.4.6 status=failed")
            }
            try await instance.waitForEmptySpool()
        }
    }

    @Test("a .forward that others may write holds its user's mail until he has mended it")
    func mended() async throws {
        try await RootTests.run { instance, accounts in
            let alice = accounts.alice
            try write("\"|id -u > ~/ran; cat >> ~/ran\"\n", ".forward", of: alice, mode: 0o666)
            let sent = try await instance.swaks(to: "\(alice.name)@example.test")
            #expect(sent.status == .exited(0), "\(sent.output)")
            try await waitUntil("the delivery was tried", details: { instance.report }) {
                instance.read("zmailer.out").contains("may be written by others")
            }
            #expect(access("\(Self.home(alice))/ran", F_OK) != 0)
            try #require(chmod("\(Self.home(alice))/.forward", 0o644) == 0)
            try await instance.waitForEmptySpool()
            let text = try String(contentsOfFile: "\(Self.home(alice))/ran", encoding: .utf8)
            #expect(text.hasPrefix("\(alice.uid)\nFrom "), "\(text)")
            #expect(maildir(alice).count == 0)
        }
    }

    @Test("user+folder goes to a folder that is there, user+list to .forward+list, and the rest to the mailbox")
    func details() async throws {
        let change: (inout Instance.Settings, TestAccounts) -> Void = { settings, _ in
            settings.zenv["MAILDIRFOLDERS"] = "yes"
        }
        try await RootTests.run(change) { instance, accounts in
            let (alice, bob) = (accounts.alice, accounts.bob)
            for name in ["Maildir", "Maildir/.Work", "Maildir/.Work/new"] {
                let path = "\(Self.home(alice))/\(name)"
                try #require(mkdir(path, 0o700) == 0 && chown(path, alice.uid, alice.gid) == 0)
            }
            try write("\(bob.name)\n", ".forward+list", of: alice)
            for detail in ["+Work", "+list", "+other", ""] {
                let sent = try await instance.swaks(to: "\(alice.name)\(detail)@example.test")
                #expect(sent.status == .exited(0), "\(sent.output)")
            }
            try await waitForMail(instance, maildir(alice, "Maildir/.Work"), 1)
            try await waitForMail(instance, maildir(bob), 1)
            try await waitForMail(instance, maildir(alice), 2)
            try await instance.waitForEmptySpool()
        }
    }

    @Test("a Maildir over its quota holds the mail; there is room again, and it comes")
    func quota() async throws {
        let change: (inout Instance.Settings, TestAccounts) -> Void = { settings, _ in
            settings.zenv["MAILDIRQUOTA"] = "1C"
        }
        try await RootTests.run(change) { instance, accounts in
            let alice = accounts.alice
            for _ in 0..<2 {
                let sent = try await instance.swaks(to: "\(alice.name)@example.test")
                #expect(sent.status == .exited(0), "\(sent.output)")
            }
            try await waitForMail(instance, maildir(alice), 1)
            try await waitUntil("the second one waits", details: { instance.report }) {
                instance.read("zmailer.out").contains("dsn=4.2.2 status=deferred")
            }
            let first = try #require(maildir(alice).files.first)
            try #require(unlink(first) == 0 && unlink("\(maildir(alice).path)/maildirsize") == 0)
            try await waitForMail(instance, maildir(alice), 1)
            try await instance.waitForEmptySpool()
        }
    }
}
