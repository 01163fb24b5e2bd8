import AgentProtocol
import Glibc
import SpoolFormat
import Testing

@testable import MailboxAgent

@Suite("Delivery to programs")
struct MailboxCommandTests {
    let fixture: MailboxFixture

    init() throws { fixture = try MailboxFixture() }

    private func run(
        _ command: String, content: String = "Subject: x\r\n\r\nHello\r\nFrom me\r\n", sender: String = "s@a.example",
        settings: MailboxSettings? = nil, configure: (inout ControlFile) -> Void = { _ in }
    ) throws -> AgentReport {
        try #require(
            try fixture.deliver(
                [MailboxFixture.program(command)], content: content, sender: sender, settings: settings,
                configure: configure
            ).first)
    }

    @Test("it reads the message with its separator and trace fields, unquoted, lines ending in LF")
    func input() throws {
        #expect(try run("cat > \(fixture.root)/out").result == .ok)
        let lines = fixture.read("out").split(separator: "\n", omittingEmptySubsequences: false)
        #expect(lines.first?.hasPrefix("From s@a.example ") == true)
        #expect(
            lines.dropFirst() == [
                "Return-Path: <s@a.example>", "X-Envelope-To: <|cat > \(fixture.root)/out> (uid \(getuid()))",
                "Subject: x", "",
                "Hello", "From me", "",
            ])
    }

    @Test("it learns of the message by its environment and of nothing else")
    func environment() throws {
        setenv("SECRET_OF_THE_AGENT", "x", 1)
        let zenv = ["MAILBIN": "/opt/bin", "MAILSHARE": "/opt/share", "ZCONFIG": "/opt/zmailer.conf"]
        let settings = try fixture.settings("maildir:%ROOT/mail/%u", zenv)
        let report = try run("/usr/bin/env", settings: settings)
        #expect(report.result == .ok)
        #expect(
            try run("env > \(fixture.root)/out", settings: settings) {
                $0.envelopeID = "E1"
                $0.groups[0].recipients[0].originalRecipient = "rfc822;l@x"
                $0.groups[0].recipients[0].envelopeRecipient = "l@example.test\nEVIL=1"
            }.result == .ok)
        let lines = Set(fixture.read("out").split(separator: "\n").map(String.init))
        for line in [
            "SENDER=s@a.example", "INFROM=s@a.example", "ORCPT=rfc822;l@x", "INRCPT=l@example.test EVIL=1", "ENVID=E1",
            "NOTIFY=FAILURE,DELAY", "MESSAGEID=<a@b>", "SHELL=/bin/sh", "MAILBIN=/opt/bin", "MAILSHARE=/opt/share",
            "PATH=/usr/local/bin:/usr/bin:/bin", "ZCONFIG=/opt/zmailer.conf",
        ] { #expect(lines.contains(line), "\(line) is not among \(lines)") }
        #expect(lines.contains { $0.hasPrefix("HOME=/") })
        #expect(lines.contains { $0.hasPrefix("MSGSPOOLID=") })
        #expect(!lines.contains { $0.hasPrefix("SECRET_OF_THE_AGENT") || $0.hasPrefix("EVIL") })
    }

    @Test(
        "no address reaches a shell",
        arguments: ["$(touch %)@x", "`touch %`@x", "a;touch %@x", "|touch %", "\n touch %"])
    func injection(address: String) throws {
        let evil = address.replacing("%", with: "\(fixture.root)/evil")
        let report = try run("cat > /dev/null; echo \"$SENDER\" > \(fixture.root)/sender", sender: evil) {
            $0.groups[0].recipients[0].originalRecipient = "rfc822;\(evil)"
            $0.groups[0].recipients[0].envelopeRecipient = evil
            $0.envelopeID = evil
        }
        #expect(report.result == .ok)
        #expect(fixture.names("") == ["sender", "users"])
        #expect(fixture.read("sender") == "\(evil.replacing("\n", with: " "))\n")
    }

    @Test(
        "exit codes decide, and the first line of the output says why",
        arguments: [
            ("exit 0", DeliveryResult.ok, "2.2.0", "delivered to a program"),
            ("echo done; exit 0", .ok, "2.2.0", "done"),
            ("echo; echo no such list; echo 2; exit 67", .failed, "5.1.1", "no such list"),
            ("exit 69", .failed, "5.3.0", "exit code 69"), ("exit 68", .failed, "5.1.2", "exit code 68"),
            ("exit 65", .failed, "5.6.0", "exit code 65"), ("echo closed >&2; exit 77", .failed, "5.7.1", "closed"),
            ("exit 75", .deferred, "4.3.0", "exit code 75"), ("exit 1", .deferred, "4.3.0", "exit code 1"),
            ("exit 78", .deferred, "4.3.0", "exit code 78"), ("kill -9 $$", .deferred, "4.3.0", "signal 9"),
            ("/no/such/program", .deferred, "4.3.0", "/no/such/program"),
            ("no-such-program", .deferred, "4.3.0", "no-such-program"),
        ])
    func exitCodes(command: String, result: DeliveryResult, status: String, text: String) throws {
        let report = try run(command)
        #expect(report.result == result)
        #expect(report.notary?.status == status)
        #expect(report.message.contains(text))
    }

    @Test("output of a program is cleaned and bounded")
    func output() throws {
        let report = try run("printf 'a\\001b\\tc'; head -c 1000000 /dev/zero | tr '\\0' x; echo; exit 75")
        #expect(report.message.hasPrefix("a b cxxx"))
        #expect(report.message.utf8.count < 520)
    }

    @Test("a large message and a program that reads nothing, or only a part")
    func unread() throws {
        let content = "Subject: x\r\n\r\n" + String(repeating: "0123456789abcdef\r\n", count: 300_000)
        #expect(try run("exit 0", content: content).result == .ok)
        #expect(try run("head -c 100000 > /dev/null", content: content).result == .ok)
        #expect(try run("tail -n +5 | wc -c > \(fixture.root)/count", content: content).result == .ok)
        #expect(fixture.read("count").contains("\(1 + 17 * 300_000)"))
    }

    @Test("a program that left something running in the background is done")
    func background() throws {
        let start = ContinuousClock.now
        #expect(try run("sleep 30 & echo $! > \(fixture.root)/pid").result == .ok)
        #expect(ContinuousClock.now - start < .seconds(20))
        let pid = fixture.read("pid").split(separator: "\n").first.flatMap { pid_t($0) }
        if let pid { kill(pid, SIGKILL) }
    }

    @Test("one that takes too long is ended with all that it started", arguments: ["", "trap '' TERM; "])
    func timeout(trap: String) throws {
        let settings = try fixture.settings {
            $0.limits.time = .milliseconds(300)
            $0.limits.grace = .milliseconds(300)
        }
        let start = ContinuousClock.now
        let report = try run("\(trap)echo $$ > \(fixture.root)/pid; while :; do sleep 1; done", settings: settings)
        #expect(report.result == .deferred && report.message.contains("took too long"))
        #expect(ContinuousClock.now - start < .seconds(20))
        let pid = try #require(fixture.read("pid").split(separator: "\n").first.flatMap { pid_t($0) })
        #expect(kill(pid, 0) != 0 && errno == ESRCH)
    }

    @Test("memory is limited")
    func memory() throws {
        let settings = try fixture.settings { $0.limits.memory = 64 << 20 }
        let report = try run("ulimit -v > \(fixture.root)/limit", settings: settings)
        #expect(report.result == .ok)
        #expect(fixture.read("limit") == "65536\n")
    }

    @Test("processor time and the size of files are limited")
    func limits() throws {
        let settings = try fixture.settings {
            $0.limits.processor = 1
            $0.limits.file = 64 << 10
        }
        let spinning = try run("while :; do :; done", settings: settings)
        #expect(spinning.result == .deferred && spinning.message.contains("signal \(SIGXCPU)"), "\(spinning.message)")
        let writing = try run("head -c 1000000 /dev/zero > \(fixture.root)/large", settings: settings)
        #expect(writing.result == .deferred)
        #expect(fixture.read("large").utf8.count == 64 << 10)
    }

    @Test("what nobody owns is not run, in no mode")
    func nobody() throws {
        for privilege in [65534, 29999] {
            let quad = MailboxFixture.program("touch \(fixture.root)/evil", privilege: privilege)
            let report = try fixture.deliver([quad])[0]
            #expect(report.result == .failed && report.notary?.status == "5.2.1")
        }
        #expect(fixture.names("") == ["users"])
    }

    @Test(
        "only the router makes programs and files: an address that looks like one is a user's name",
        arguments: ["|touch %", "\"|touch %\"@example.test", "/%", "\\|touch %"])
    func notFromAddresses(address: String) throws {
        let user = address.replacing("%", with: "\(fixture.root)/evil")
        let report = try fixture.deliver([Quad(channel: "local", host: "-", user: user, privilege: 1000)])[0]
        #expect(report.result == .failed && report.notary?.status == "5.1.1")
        #expect(fixture.names("") == ["users"])
    }

    @Test("as root it runs under its owner's uid, with the owner's home", .enabled(if: geteuid() == 0))
    func identity() throws {
        let settings = try fixture.settings("maildir:/nowhere/%u", ["ACCOUNTS": "passwd"], isRoot: true)
        try #require(chmod(fixture.root, 0o777) == 0)
        let quad = MailboxFixture.program("(id -u; id -G; echo $USER; pwd) > \(fixture.root)/out", privilege: 2)
        #expect(try fixture.deliver([quad], settings: settings)[0].result == .ok)
        #expect(fixture.read("out") == "2\n2\nbin\n/bin\n" || fixture.read("out") == "2\n2\nbin\n/usr/bin\n")
        let root = MailboxFixture.program("touch \(fixture.root)/evil", privilege: 0)
        #expect(try fixture.deliver([root], settings: settings)[0].notary?.status == "5.2.1")
    }

    @Test(
        "a shell is used only for what needs one",
        arguments: [
            ("/bin/cat -n  file", "/bin/cat", ["-n", "file"]), ("/bin/cat", "/bin/cat", []),
            ("cat x", "/bin/sh", ["-c", "cat x"]), ("/bin/cat > x", "/bin/sh", ["-c", "/bin/cat > x"]),
            ("/bin/echo $HOME", "/bin/sh", ["-c", "/bin/echo $HOME"]),
            ("/bin/a 'b c'", "/bin/sh", ["-c", "/bin/a 'b c'"]),
            ("/bin/a|/bin/b", "/bin/sh", ["-c", "/bin/a|/bin/b"]),
        ])
    func shell(text: String, path: String, arguments: [String]) {
        let command = CommandText(text)
        #expect(command.path == path && command.arguments == arguments)
    }
}
