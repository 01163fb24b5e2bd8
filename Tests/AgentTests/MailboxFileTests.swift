import AgentKit
import AgentProtocol
import Glibc
import MailModel
import SpoolFormat
import Testing

@testable import MailboxAgent

@Suite("Delivery into mbox files")
struct MailboxFileTests {
    let fixture: MailboxFixture

    init() throws { fixture = try MailboxFixture() }

    private func settings(
        _ zenv: [String: String] = [:], configure: (inout MailboxOptions) -> Void = { _ in }
    ) throws -> MailboxSettings {
        try fixture.settings("mbox:%ROOT/%u.mbox", zenv, configure: configure)
    }

    /// Without the time of the separators.
    private func messages(_ name: String) -> [String] {
        var text = fixture.read(name)
        if text.hasSuffix("\n") { text.removeLast() }
        var messages: [String] = []
        for line in text.split(separator: "\n", omittingEmptySubsequences: false) {
            if line.hasPrefix("From ") { messages.append("") }
            if messages.isEmpty { messages.append("") }
            messages[messages.count - 1] += line.hasPrefix("From ") ? "\(line.prefix { $0 != "@" })\n" : "\(line)\n"
        }
        return messages
    }

    @Test("messages stand one behind the other, separated and quoted")
    func format() throws {
        let settings = try settings()
        for body in ["Hello\r\nFrom me\r\n", "no line end"] {
            let reports = try fixture.deliver(
                [MailboxFixture.user("alice")], content: "Subject: x\r\n\r\n\(body)", settings: settings)
            #expect(reports.map(\.result) == [.ok])
        }
        let front = "From s\nReturn-Path: <s@a.example>\nX-Envelope-To: <alice> (uid \(getuid()))\nSubject: x\n\n"
        #expect(messages("alice.mbox") == ["\(front)Hello\n>From me\n\n", "\(front)no line end\n\n"])
        #expect(fixture.names("") == ["alice.mbox", "users"])
        var information = stat()
        #expect(stat("\(fixture.root)/alice.mbox", &information) == 0 && information.st_mode & 0o777 == 0o600)
    }

    @Test("what another program left without an empty line gets one", arguments: ["x", "x\n", "x\n\n", "\n"])
    func gap(rest: String) throws {
        try fixture.write(rest, to: "alice.mbox")
        try fixture.deliver([MailboxFixture.user("alice")], settings: settings())
        let expected = rest == "\n" ? "\n\n" : "x\n\n"
        #expect(fixture.read("alice.mbox").hasPrefix("\(expected)From s@a.example "))
    }

    @Test("only a regular file with one name is written to")
    func strangeFiles() throws {
        try fixture.write("untouched", to: "target")
        let root = fixture.root
        for make in [
            { (path: String) in symlink("\(root)/target", path) }, { link("\(root)/target", $0) },
            { mkfifo($0, 0o600) },
            { mkdir($0, 0o700) }, { symlink("/dev/null", $0) }, { symlink("\(root)/nowhere", $0) },
        ] {
            try #require(make("\(root)/alice.mbox") == 0)
            let report = try fixture.deliver([MailboxFixture.user("alice")], settings: settings())[0]
            #expect(report.result == .failed && report.notary?.status == "5.2.0")
            #expect(report.message.contains("alice.mbox"))
            if unlink("\(root)/alice.mbox") != 0 { rmdir("\(root)/alice.mbox") }
        }
        #expect(fixture.read("target") == "untouched")
        #expect(fixture.names("") == ["target", "users"])
    }

    @Test("with -g a missing mailbox is not made")
    func noCreation() throws {
        let report = try fixture.deliver(
            [MailboxFixture.user("alice")], settings: settings { $0.createsMailboxes = false })[0]
        #expect(report.result == .failed && report.notary?.status == "5.2.1")
        #expect(fixture.names("") == ["users"])
    }

    @Test("the access time of a mailbox stays what its reader made it")
    func accessTime() throws {
        try fixture.write("x\n\n", to: "alice.mbox")
        let path = "\(fixture.root)/alice.mbox"
        let old = timespec(tv_sec: 1_000_000, tv_nsec: 0)
        try #require(utimensat(AT_FDCWD, path, [old, old], 0) == 0)
        try fixture.deliver([MailboxFixture.user("alice")], settings: settings())
        var information = stat()
        try #require(stat(path, &information) == 0)
        #expect(information.st_atim.tv_sec == 1_000_000)
        #expect(information.st_mtim.tv_sec > 1_000_000)
    }

    @Test("a full disk leaves the mailbox as it was and the mail in the queue")
    func fullDisk() throws {
        let file = try OpenFile("/dev/full", O_WRONLY)
        let problem = try #require(throws: DeliveryProblem.self) { try file.write("x") }
        #expect(problem.result.result == .deferred && problem.result.status == "4.3.1")
        #expect(DeliveryProblem.system("write", "x", EDQUOT).isQuota)
        #expect(!problem.isQuota)
    }

    // MARK: Locks

    @Test("a mailbox that another program has locked waits for it, and not for ever")
    func dotlock() throws {
        try fixture.write("", to: "alice.mbox.lock")
        let copy = try LocalCopySamples.copy("x\r\n")
        var file = MailboxFile(path: "\(fixture.root)/alice.mbox", locks: [.dotlock])
        file.patience = .milliseconds(100)
        let problem = try #require(throws: DeliveryProblem.self) {
            try file.append(copy, separator: "From x\n", identity: "1.0")
        }
        #expect(problem.result.result == .deferred && problem.result.status == "4.2.0")
        #expect(fixture.read("alice.mbox") == "")
        #expect(fixture.names("") == ["alice.mbox", "alice.mbox.lock", "users"])
        // What he finds at the name that is linked he does not open: it may be a FIFO that nobody reads.
        let trap = "\(fixture.root)/alice.mbox.lock.\(getpid()).\(pthread_self())"
        try #require(mkfifo(trap, 0o600) == 0)
        copy.rewind()
        #expect(throws: DeliveryProblem.self) { try file.append(copy, separator: "From x\n", identity: "1.0") }
        #expect(access(trap, F_OK) != 0)
        // Left behind by a program that died.
        let old = timespec(tv_sec: time(nil) - 301, tv_nsec: 0)
        try #require(utimensat(AT_FDCWD, "\(fixture.root)/alice.mbox.lock", [old, old], 0) == 0)
        copy.rewind()
        #expect(try file.append(copy, separator: "From x\n", identity: "1.0") != .wasThere)
        #expect(fixture.read("alice.mbox") == "From x\nx\n\n")
        #expect(fixture.names("") == ["alice.mbox", "users"])
    }

    @Test("programs that append at the same time do not mix their messages", arguments: [".", "F", ".F"])
    func concurrent(keys: String) throws {
        let path = "\(fixture.root)/alice.mbox"
        let locks = try LockKeys(keys).mailboxes
        // Without the gate of one process, threads with their own descriptors are to these locks what processes are.
        let threads = 4
        let each = 15
        let body = (0..<400).map { "line \($0) of a message\r\n" }.joined()
        let copies = try (0..<threads).map { _ in try LocalCopySamples.copy(body) }
        Threads.run(threads) { thread in
            var file = MailboxFile(path: path, locks: locks)
            file.patience = .seconds(30)
            for number in 0..<each {
                copies[thread].rewind()
                do {
                    _ = try file.append(
                        copies[thread], separator: "From \(thread)-\(number)\n", identity: "\(number).\(thread)")
                } catch {
                    Issue.record(error)
                }
            }
        }
        let expected = body.replacing("\r\n", with: "\n") + "\n"
        let parts = fixture.read("alice.mbox").split(separator: "From ")
        #expect(parts.count == threads * each)
        #expect(parts.allSatisfy { $0.drop { $0 != "\n" }.dropFirst() == expected })
        #expect(Set(parts.map { $0.prefix { $0 != "\n" } }).count == threads * each)
        #expect(fixture.names("") == ["alice.mbox", "users"])
    }

    @Test("threads of one agent take their turn at one mailbox")
    func oneAgent() throws {
        let content = "Subject: x\r\n\r\n\(String(repeating: "y", count: 100_000))\r\n"
        let ids = try (0..<8).map { _ in
            try fixture.spool.add([.from("s@a.example", [("local", "-", "alice")])], content: content).id
        }
        // Each job comes twice, as after a crash of the scheduler.
        let reports = try fixture.spool.run(
            MailboxTransportAgent(settings()), channel: "local", jobs: 4,
            input: (ids + ids).map { "\($0)\t-\n" }.joined()
        ).compactMap { if case .report(let report) = $0 { report } else { nil } }
        #expect(reports.count == 16 && reports.allSatisfy { $0.result == .ok })
        #expect(reports.count { $0.message.contains("delivered before") } == 8)
        #expect(Set(messages("alice.mbox")).count == 1)
        #expect(messages("alice.mbox").count == 8)
    }

    @Test(
        "MBOXLOCKS names the locks of mailboxes and of files",
        arguments: [
            (".L:L", [LockKeys.Key.dotlock, .lockf], [LockKeys.Key.lockf]), ("F", [.flock], [.flock]), (":", [], []),
            ("L.F:.", [.lockf, .dotlock, .flock], [.dotlock]),
        ])
    func keys(text: String, mailboxes: [LockKeys.Key], files: [LockKeys.Key]) throws {
        let keys = try LockKeys(text)
        #expect(keys.mailboxes == mailboxes && keys.files == files)
        #expect(throws: SettingsError.self) { try LockKeys(text + "N") }
    }

    // MARK: /file

    @Test("a file of an alias is appended to; /dev/null takes everything")
    func aliasFile() throws {
        let path = "\(fixture.root)/archive"
        for _ in 0..<2 { #expect(try fixture.deliver([MailboxFixture.file(path)])[0].result == .ok) }
        #expect(messages("archive").count == 2)
        let null = try fixture.deliver([MailboxFixture.file("/dev/null", privilege: 65534)])[0]
        #expect(null.result == .ok && null.message.contains("thrown away"))
        for privilege in [65534, 29999] {
            let report = try fixture.deliver([MailboxFixture.file(path, privilege: privilege)])[0]
            #expect(report.result == .failed && report.notary?.status == "5.2.1")
        }
        #expect(messages("archive").count == 2)
    }

    @Test("as root a file is written under its owner's uid", .enabled(if: geteuid() == 0))
    func ownedFile() throws {
        let account = try #require(getpwnam("bin")).pointee
        let settings = try fixture.settings("mbox:/nowhere/%u", ["ACCOUNTS": "passwd"], isRoot: true)
        try #require(chmod(fixture.root, 0o777) == 0)
        let path = "\(fixture.root)/archive"
        let report = try fixture.deliver(
            [MailboxFixture.file(path, privilege: Int(account.pw_uid))], settings: settings)[0]
        #expect(report.result == .ok)
        var information = stat()
        #expect(stat(path, &information) == 0 && information.st_uid == account.pw_uid)
        let root = try fixture.deliver([MailboxFixture.file(path, privilege: 0)], settings: settings)[0]
        #expect(root.result == .failed && root.notary?.status == "5.2.1")
        let nobody = try fixture.deliver([MailboxFixture.file(path, privilege: 54321)], settings: settings)[0]
        #expect(nobody.result == .failed && nobody.message.contains("54321"))
    }
}

/// Threads of the operating system, as blocking work needs them.
enum Threads {
    private final class Body: Sendable {
        let run: @Sendable () -> Void
        init(_ run: @escaping @Sendable () -> Void) { self.run = run }
    }

    /// Sound: each thread uses its own element of what the caller has, and the caller waits.
    private struct Unchecked<Value>: @unchecked Sendable { let value: Value }

    static func run(_ count: Int, _ body: (Int) -> Void) {
        withoutActuallyEscaping(body) { body in
            let body = Unchecked(value: body)
            let threads = (0..<count).map { index in
                let work = Unmanaged.passRetained(Body { body.value(index) })
                var thread = pthread_t()
                pthread_create(
                    &thread, nil,
                    { argument in
                        Unmanaged<Body>.fromOpaque(argument!).takeRetainedValue().run()
                        return nil
                    }, work.toOpaque())
                return thread
            }
            for thread in threads { pthread_join(thread, nil) }
        }
    }
}
