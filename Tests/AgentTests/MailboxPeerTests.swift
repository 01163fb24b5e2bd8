import AgentKit
import AgentProtocol
import Glibc
import SpoolFormat
import Testing

@testable import MailboxAgent

/// Other programs read what the agent writes, lock what it locks, and count what it counts.
@Suite("Other programs at the same mailboxes")
struct MailboxPeerTests {
    let fixture: ForwardFixture

    init() throws { fixture = try ForwardFixture() }

    /// Standard output and error of a shell command, and its exit code.
    private func run(_ command: String) throws -> (code: Int32, output: String) {
        let stream = try #require(popen("exec 2>&1; \(command)", "r"))
        var octets: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 65536)
        while true {
            let count = fread(&buffer, 1, buffer.count, stream)
            if count == 0 { break }
            octets += buffer[..<count]
        }
        return (pclose(stream) >> 8 & 255, String(decoding: octets, as: UTF8.self))
    }

    // MARK: Python

    private static let bodies = [
        "From me\r\n>From you\r\n\r\n", "no end", "", "\u{1}\u{1}\u{1}\u{1}\r\nx\r\n", "x\r\n\r\n\r\n",
    ]

    @Test(
        "Python's mailbox module finds each message, whole and in order",
        .enabled(if: access("/usr/bin/python3", X_OK) == 0), arguments: ["mbox", "MMDF", "Maildir"])
    func python(format: String) throws {
        let place = format == "Maildir" ? "maildir:%h/Maildir" : "mbox:%h/box"
        let settings = try fixture.settings(mailbox: place) { $0.format = format == "MMDF" ? .mmdf : .mbox }
        for (index, body) in Self.bodies.enumerated() {
            let content = "Subject: \(index)\r\n\r\n\(body)"
            #expect(try fixture.deliver(content: content, settings: settings)[0].result == .ok)
        }
        let path = format == "Maildir" ? "\(fixture.home())/Maildir" : "\(fixture.home())/box"
        let program = """
            import mailbox, sys
            box = mailbox.\(format)(sys.argv[1])
            for m in sorted(box, key=lambda m: m["Subject"]):
                print(m["Subject"], m["Return-Path"], repr(m.get_payload()))
            """
        let result = try run("/usr/bin/python3 -c '\(program)' \(path)")
        // An mbox ends each message in an empty line, which may be its own; in MMDF Python takes the last line end for the frame's.
        let expected: [String] =
            switch format {
            case "Maildir": ["From me\\n>From you\\n\\n", "no end", "", "\\x01\\x01\\x01\\x01\\nx\\n", "x\\n\\n\\n"]
            case "mbox": [">From me\\n>From you\\n", "no end\\n", "", "\\x01\\x01\\x01\\x01\\nx\\n", "x\\n\\n"]
            default: [">From me\\n>From you\\n", "no end", "", ">\\x01\\x01\\x01\\x01\\nx", "x\\n\\n"]
            }
        let lines = result.output.split(separator: "\n")
        #expect(result.code == 0 && lines.count == 5, "\(result.output)")
        for (index, line) in lines.enumerated() {
            #expect(line == "\(index) <s@a.example> '\(expected[index])'", "\(format)")
        }
    }

    // MARK: Dovecot

    /// doveadm as the user, on his mail alone.
    private func doveadm(_ location: String, _ arguments: String) throws -> (code: Int32, output: String) {
        try fixture.base.write(
            """
            base_dir = \(fixture.root)/run
            state_dir = \(fixture.root)/run
            log_path = /dev/stderr
            mail_location = \(location)
            mail_home = \(fixture.home())
            first_valid_uid = 1
            stats_writer_socket_path =
            ssl = no
            mail_plugins = quota
            plugin {
              quota = maildir:User quota
              quota_rule = *:storage=100K
            }

            """, to: "dovecot.conf")
        return try run(
            "setpriv --reuid \(fixture.uid) --regid \(fixture.gid) --clear-groups env USER=alice HOME=\(fixture.home()) "
                + "/usr/bin/doveadm -c \(fixture.root)/dovecot.conf \(arguments)")
    }

    static let hasDovecot = geteuid() == 0 && access("/usr/bin/doveadm", X_OK) == 0

    @Test("Dovecot reads the Maildir and agrees about sizes and quota, in both directions", .enabled(if: hasDovecot))
    func dovecotMaildir() throws {
        let location = "maildir:\(fixture.home())/Maildir"
        for number in 0..<3 {
            let content = "Subject: m\(number)\r\n\r\n" + String(repeating: "0123456789\r\n", count: 100)
            #expect(try fixture.deliver(content: content)[0].result == .ok)
        }
        let fetched = try doveadm(location, "fetch 'hdr.subject size.physical text' all")
        #expect(!fetched.output.contains("Error"), "\(fetched.output)")
        for number in 0..<3 { #expect(fetched.output.contains("hdr.subject: m\(number)\n"), "\(fetched.output)") }
        // Dovecot has no maildirsize yet, counts, and writes one, to which the next delivery is added.
        let counted = try doveadm(location, "-f flow quota get").output
        let path = "\(fixture.home())/Maildir"
        let before = fixture.base.read("home/alice/Maildir/maildirsize").split(separator: "\n")
        let total =
            fixture.base.names("home/alice/Maildir/cur").compactMap { MaildirSize.size(of: $0, in: path) }
            .reduce(0, +)
            + fixture.base.names("home/alice/Maildir/new").compactMap { MaildirSize.size(of: $0, in: path) }
            .reduce(0, +)
        #expect(before == ["102400S", "\(total) 3"], "\(counted)")
        #expect(try fixture.deliver()[0].result == .ok)
        let after = try doveadm(location, "-f flow quota get").output
        #expect(
            after.contains("Value=4") && fixture.base.read("home/alice/Maildir/maildirsize").hasSuffix(" 1\n"),
            "\(after)")
        // What Dovecot would not take is not delivered either.
        let large = "Subject: large\r\n\r\n" + String(repeating: "0123456789\r\n", count: 10_000)
        let report = try fixture.deliver(content: large)[0]
        #expect(report.result == .deferred && report.notary?.status == "4.2.2")
        // And ours is theirs: counted by the agent, read by Dovecot.
        unlink("\(path)/maildirsize")
        let settings = try fixture.settings(["MAILDIRQUOTA": "102400S"])
        #expect(try fixture.deliver(settings: settings)[0].result == .ok)
        #expect(try doveadm(location, "-f flow quota get").output.contains("Value=5"))
    }

    @Test("Dovecot reads the mbox and, after it has changed it, the agent goes on", .enabled(if: hasDovecot))
    func dovecotMbox() throws {
        let settings = try fixture.settings(mailbox: "mbox:%h/inbox")
        let location = "mbox:\(fixture.home())/mail:INBOX=\(fixture.home())/inbox"
        for number in 0..<3 {
            let content = "Subject: m\(number)\r\n\r\nFrom me\r\n"
            #expect(try fixture.deliver(content: content, settings: settings)[0].result == .ok)
        }
        #expect(try doveadm(location, "-f flow fetch hdr.subject all").output.split(separator: "\n").count == 3)
        let removed = try doveadm(location, "expunge mailbox INBOX header Subject m1")
        #expect(removed.code == 0, "\(removed.output)")
        #expect(try fixture.deliver(content: "Subject: m3\r\n\r\nlast\r\n", settings: settings)[0].result == .ok)
        let fetched = try doveadm(location, "-f flow fetch hdr.subject all")
        #expect(
            fetched.output.split(separator: "\n") == ["hdr.subject=m0", "hdr.subject=m2", "hdr.subject=m3"],
            "\(fetched.output)")
    }

    // MARK: Locks

    @Test(
        "what lockfile(1) and dotlockfile(1) have locked waits, and what the agent has locked they wait for",
        .enabled(if: access("/usr/bin/lockfile", X_OK) == 0 && access("/usr/bin/dotlockfile", X_OK) == 0),
        arguments: ["lockfile -r 0", "dotlockfile -l -r 0"])
    func lockPrograms(program: String) throws {
        let box = "\(fixture.home())/box"
        let file = MailboxFile(path: box, locks: [.dotlock], patience: .milliseconds(100))
        let copy = try LocalCopySamples.copy("Subject: x\r\n\r\nx\r\n")
        #expect(try run("/usr/bin/\(program) \(box).lock").code == 0)
        let problem = try #require(throws: DeliveryProblem.self) {
            try file.append(copy, separator: "From x\n", identity: "1.1")
        }
        #expect(problem.result.status == "4.2.0")
        unlink("\(box).lock")
        copy.rewind()
        #expect(try file.append(copy, separator: "From x\n", identity: "1.1") == .delivered(at: 0))
        let open = try OpenFile(box, O_RDWR)
        let lock = MailboxLock(box, open, [.dotlock])
        try lock.take()
        #expect(try run("/usr/bin/\(program) \(box).lock").code != 0)
        lock.release()
        #expect(try run("/usr/bin/\(program) \(box).lock").code == 0)
    }

    @Test(
        "the lock of an agent of this machine that was killed goes at once; that of a living one, or of another machine, stays"
    )
    func deadHolder() throws {
        let box = "\(fixture.home())/box"
        let open = try OpenFile(box, O_RDWR | O_CREAT)
        var host = [CChar](repeating: 0, count: 256)
        try #require(gethostname(&host, 255) == 0)
        let name = String(decoding: host.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
        let dead = try run("sh -c 'echo $$'").output.split(separator: "\n")[0]
        for (text, isTaken) in [
            ("\(dead)\n\(name)\n", true), ("\(getpid())\n\(name)\n", false), ("\(dead)\nelsewhere.example\n", false),
            ("\(dead)\n", false), ("", false),
        ] {
            try fixture.base.write(text, to: "home/alice/box.lock")
            let lock = MailboxLock(box, open, [.dotlock], patience: .milliseconds(50))
            #expect(((try? lock.take()) != nil) == isTaken, "\(text)")
            lock.release()
            unlink("\(box).lock")
        }
        #expect(Set(fixture.base.names("home/alice")) == ["box"])
    }
}
