import AgentProtocol
import ChildProcesses
import Glibc
import SpoolFormat
import Testing

@testable import MailboxAgent

/// `ta-mailbox` as the scheduler starts it: a process. The tests run where the build has put it beside them.
@Suite("The mailbox agent as a process", .enabled(if: AgentProcess.exists))
struct MailboxProcessTests {
    let fixture: MailboxFixture

    init() throws {
        fixture = try MailboxFixture()
        try #require(mkdir("\(fixture.root)/log", 0o755) == 0)
        try fixture.write(
            """
            ACCOUNTS=file:\(fixture.root)/users
            MAILBOX=maildir:\(fixture.root)/mail/%u
            LOGDIR=\(fixture.root)/log
            HOSTNAME=mx.example.test

            """, to: "zmailer.conf")
    }

    private func message(_ count: Int = 1, body: String = "Hello\r\n", user: String = "alice") throws -> [SpoolID] {
        let group = ControlGroup.from("s@a.example", [("local", "-", user)])
        return try (0..<count).map { _ in
            let content = "Subject: x\r\n\r\n\(body)"
            return try fixture.spool.add([group], content: content) { $0.groups[0].recipients[0].quad.privilege = 4242 }
                .id
        }
    }

    @Test("it delivers, reports, logs a line when asked for a log, and ends with its input")
    func delivery() throws {
        let agent = try AgentProcess(fixture, ["-j", "2", "-l", "\(fixture.root)/log/mailbox"])
        let ids = try message(3)
        agent.send(ids.map { "\($0)\t-\n" }.joined())
        let lines = agent.finish()
        #expect(agent.status == 0)
        #expect(lines.count { $0 == "#hungry" } == 5)
        #expect(lines.count { $0.contains("\tok ") } == 3)
        #expect(fixture.names("mail/alice/new").count == 3)
        let log = fixture.read("log/mailbox").split(separator: "\n")
        #expect(log.count == 3)
        #expect(
            log.allSatisfy {
                $0.contains(" debug delivery queue-id=") && $0.contains(" to=alice ") && $0.contains("stat=delivered")
            })
    }

    @Test("killed at any moment and started again it delivers each message once")
    func killed() throws {
        let ids = try message(60, body: String(repeating: "0123456789\r\n", count: 2000))
        let input = ids.map { "\($0)\t-\n" }.joined()
        for round in 0..<8 {
            let agent = try AgentProcess(fixture, ["-j", "4"])
            agent.send(input)
            usleep(UInt32(round) * 4000)
            agent.kill()
        }
        let agent = try AgentProcess(fixture, ["-j", "4"])
        agent.send(input)
        let lines = agent.finish()
        #expect(lines.count { $0.contains("\tok ") } == 60, "\(lines.first { $0 != "#hungry" } ?? "")")
        let files = fixture.files("mail/alice/new")
        #expect(files.count == 60)
        #expect(files.values.allSatisfy { $0.utf8.count > 22_000 && $0.hasSuffix("0123456789\n") })
        #expect(fixture.names("mail/alice/tmp") == [])
    }

    @Test("several processes append to one mbox without mixing", arguments: [".L:L", "L:L", "."])
    func processes(locks: String) throws {
        try fixture.write(
            fixture.read("zmailer.conf") + "MAILBOX=mbox:\(fixture.root)/%u\nMBOXLOCKS=\(locks)\n", to: "zmailer.conf")
        let body = (0..<500).map { "line \($0)\r\n" }.joined()
        let agents = try (0..<4).map { _ in try AgentProcess(fixture, ["-j", "2"]) }
        for agent in agents { agent.send(try message(10, body: body).map { "\($0)\t-\n" }.joined()) }
        #expect(agents.map { $0.finish().count { $0.contains("\tok ") } } == [10, 10, 10, 10])
        let text = fixture.read("alice")
        let expected = "Subject: x\n\n" + body.replacing("\r\n", with: "\n") + "\n"
        #expect(text.split(separator: "From s@a.example ").count == 40)
        #expect(text.split(separator: "From s@a.example ").allSatisfy { $0.hasSuffix(expected) })
    }

    @Test("a file size limit, or a disk that fills up, leaves nothing half-written", arguments: ["maildir", "mbox"])
    func fileSizeLimit(store: String) throws {
        try fixture.write(
            fixture.read("zmailer.conf") + "MAILBOX=\(store):\(fixture.root)/box.%u\n", to: "zmailer.conf")
        let small = try AgentProcess(fixture)
        small.send("\(try message()[0])\t-\n")
        #expect(small.finish().contains { $0.contains("\tok ") })
        let before = store == "mbox" ? fixture.read("box.alice") : ""
        // In units of 512 octets.
        let agent = try AgentProcess(fixture, shell: "ulimit -f 100; exec \"$0\" \"$@\"")
        agent.send("\(try message(body: String(repeating: "0123456789\r\n", count: 20_000))[0])\t-\n")
        let lines = agent.finish()
        #expect(
            lines.contains { $0.contains("\tdeferred ") && $0.contains("4.2.2") && $0.contains("File too large") },
            "\(lines)")
        if store == "mbox" {
            #expect(fixture.read("box.alice") == before)
        } else {
            #expect(fixture.names("box.alice/new").count == 1)
            #expect(fixture.names("box.alice/tmp") == [])
        }
    }

    @Test(
        "a wrong command line ends with 64 and what would be valid",
        arguments: [
            (["-j", "0"], "1 to 1000"), (["-y"], "unknown option"), (["file"], "standard input"),
            (["-c"], "needs a value"), (["-F", "disk"], "edquot"), (["-DDDDDDDDDDD"], "at most 10"),
            (["--command-cpu", "0"], "1 to 86400"),
        ])
    func usage(arguments: [String], text: String) throws {
        let agent = try AgentProcess(fixture, arguments)
        let lines = agent.finish()
        #expect(agent.status == 64)
        #expect(lines.contains { $0.contains(text) })
    }

    @Test("every letter of ZMailer's agent is taken")
    func letters() throws {
        let agent = try AgentProcess(
            fixture, ["-8abCDgHMPrRSUX", "-F", "edquot", "-c", "local", "-h", "-", "-d", "\(fixture.root)/box"])
        let ids = try message()
        agent.send("\(ids[0])\t-\n")
        let lines = agent.finish()
        #expect(agent.status == 0, "\(lines)")
        // The directories are not there: the operator makes them.
        #expect(lines.contains { $0.contains("\tdeferred ") || $0.contains("5.2.1") }, "\(lines)")
        #expect(lines.contains { $0.contains("box/a/N/F/alice") }, "\(lines)")
    }

    @Test("a wrong configuration ends with 78 and all that is wrong")
    func configuration() throws {
        try fixture.write("ACCOUNTS=x\nMAILBOX=y\n", to: "zmailer.conf")
        let agent = try AgentProcess(fixture)
        let lines = agent.finish()
        #expect(agent.status == 78)
        #expect(lines.contains { $0.contains("ACCOUNTS") } && lines.contains { $0.contains("MAILBOX") })
    }
}

/// A running agent; what it prints on standard output and standard error comes together.
final class AgentProcess {
    private let input: Int32
    private let output: Int32
    private let child: ChildProcess
    private(set) var status: Int32 = -1

    /// Where the build puts programs: the folder of the test bundle.
    private static var path: String? {
        let executable = CommandLine.arguments.lazy.compactMap { argument -> String? in
            guard let range = argument.split(separator: "/").firstIndex(where: { $0.hasSuffix(".xctest") }) else {
                return nil
            }
            return argument.split(separator: "/")[..<range].map { "/\($0)" }.joined() + "/ta-mailbox"
        }.first { access($0, X_OK) == 0 }
        return executable
    }

    static var exists: Bool { path != nil }

    init(_ fixture: MailboxFixture, _ arguments: [String] = [], shell: String? = nil) throws {
        let path = try #require(Self.path)
        var toAgent: [Int32] = [0, 0]
        var fromAgent: [Int32] = [0, 0]
        try #require(pipe(&toAgent) == 0 && pipe(&fromAgent) == 0)
        var words = [path, "-Z", "\(fixture.root)/zmailer.conf"] + arguments
        if let shell { words = ["/bin/sh", "-c", shell] + words }
        var request = ChildRequest(
            path: words[0], arguments: Array(words.dropFirst()), environment: ["PATH=/usr/bin:/bin"],
            descriptors: [toAgent[0], fromAgent[1], fromAgent[1]])
        request.directory = fixture.spool.root + "/transport"
        child = try ChildProcess.spawn(request)
        close(toAgent[0])
        close(fromAgent[1])
        input = toAgent[1]
        output = fromAgent[0]
    }

    func send(_ text: String) {
        let octets = Array(text.utf8)
        _ = Glibc.write(input, octets, octets.count)
    }

    /// Ends its input, waits for its end, and returns what it said.
    func finish() -> [String] {
        close(input)
        var octets: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 65536)
        while true {
            let count = read(output, &buffer, buffer.count)
            if count <= 0 { break }
            octets += buffer[..<count]
        }
        close(output)
        if case .code(let code)? = child.wait(milliseconds: 30_000) { status = code }
        return String(decoding: octets, as: UTF8.self).split(separator: "\n").map(String.init)
    }

    func kill() {
        child.signal(SIGKILL)
        _ = finish()
    }
}
