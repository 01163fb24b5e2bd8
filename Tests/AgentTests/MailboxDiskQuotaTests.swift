import AgentKit
import AgentProtocol
import Glibc
import ProgramKit
import SpoolFormat
import Testing

@testable import MailboxAgent

/// A file system with a quota of its own, in an image: the kernel itself says EDQUOT. Btrfs, whose quotas need no more than its own
/// tools.
private final class QuotaFileSystem {
    private let image: String
    private let mount: String
    let home: String

    /// Whether there can be one here.
    static let isPossible: Bool = {
        guard geteuid() == 0, access("/usr/sbin/mkfs.btrfs", X_OK) == 0 || access("/sbin/mkfs.btrfs", X_OK) == 0,
            let fixture = try? MailboxFixture()
        else { return false }
        return (try? QuotaFileSystem(fixture.root)) != nil
    }()

    /// `home` is a directory of uid 4242 in it, below `root`.
    init(_ root: String) throws {
        image = "\(root)/image"
        mount = "\(root)/disk"
        home = "\(mount)/alice"
        let script = """
            PATH=$PATH:/usr/sbin:/sbin
            set -e
            truncate -s 120M '\(image)'
            mkfs.btrfs -q '\(image)'
            mkdir '\(mount)'
            mount -o loop '\(image)' '\(mount)'
            btrfs quota enable '\(mount)'
            btrfs -q subvolume create '\(home)'
            chown 4242:4242 '\(home)'
            """
        try #require(system("{ \(script)\n} >/dev/null 2>&1") == 0)
        try limit("400K")
    }

    /// Octets that the home may take, as btrfs-qgroup(8) has them.
    func limit(_ size: String) throws {
        try #require(system("PATH=$PATH:/usr/sbin:/sbin btrfs qgroup limit \(size) '\(home)' >/dev/null 2>&1") == 0)
    }

    deinit {
        system("umount '\(mount)' >/dev/null 2>&1 || umount -l '\(mount)' >/dev/null 2>&1")
        unlink(image)
    }
}

@Suite(
    "Quotas of the file system", .serialized,
    .enabled(if: QuotaFileSystem.isPossible, "needs root, btrfs-progs, btrfs in the kernel, and mount(8)"))
struct MailboxDiskQuotaTests {
    private static let body = String(repeating: "0123456789abcdef\r\n", count: 3000)

    @Test(
        "mail that is too much waits whole, or goes back with -F; what was there stays", arguments: ["maildir", "mbox"])
    func exceeded(store: String) throws {
        let fixture = try ForwardFixture()
        let disk = try QuotaFileSystem(fixture.root)
        func settings(isPermanent: Bool) throws -> MailboxSettings {
            let place = store == "mbox" ? "mbox:%h/mbox" : "maildir:%h/Maildir"
            var settings = try fixture.settings(mailbox: place) { $0.quotaIsPermanent = isPermanent }
            let account = SystemAccount(name: "alice", uid: 4242, gid: 4242, home: disk.home)
            settings.accounts = .list(["alice": account])
            return settings
        }
        func deliver(isPermanent: Bool = false) throws -> AgentReport {
            let content = "Subject: x\r\n\r\n\(Self.body)"
            return try #require(
                try fixture.deliver(content: content, settings: settings(isPermanent: isPermanent)).first)
        }
        func messages() -> [String] {
            guard store == "mbox" else { return contents(of: "\(disk.home)/Maildir/new") }
            return String(decoding: fileOctets("\(disk.home)/mbox"), as: UTF8.self)
                .split(separator: "From s@a.example ").map(String.init)
        }
        var count = 0
        var report = try deliver()
        while report.result == .ok, count < 20 {
            count += 1
            report = try deliver()
        }
        #expect((1..<10).contains(count), "\(count) fit")
        #expect(report.result == .deferred && report.notary?.status == "4.2.2", "\(report.message)")
        #expect(report.message.contains("quota"), "\(report.message)")
        let failed = try deliver(isPermanent: true)
        #expect(failed.result == .failed && failed.notary?.status == "5.2.2", "\(failed.message)")
        func areWhole(_ number: Int) -> Bool {
            let found = messages()
            let text = Self.body.replacing("\r\n", with: "\n")
            return found.count == number && found.allSatisfy { $0.hasSuffix(text + (store == "mbox" ? "\n" : "")) }
        }
        #expect(areWhole(count))
        #expect(entries("\(disk.home)/Maildir/tmp") == [])
        try disk.limit("none")
        #expect(try deliver().result == .ok)
        #expect(areWhole(count + 1))
    }

    private func contents(of directory: String) -> [String] {
        entries(directory).map { String(decoding: fileOctets("\(directory)/\($0)"), as: UTF8.self) }
    }
}
