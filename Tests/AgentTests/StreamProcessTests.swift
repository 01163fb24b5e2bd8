import AgentProtocol
import Glibc
import Postoffice
import SpoolFormat
import Testing

@testable import StreamAgent

/// The agents as the scheduler starts them: processes. They run where the build has put them beside the tests.
@Suite(
    "sm, hold, expirer and reroute as processes",
    .enabled(if: ["ta-sm", "ta-hold", "ta-expirer", "ta-reroute"].allSatisfy { StreamProcess.path($0) != nil }))
struct StreamProcessTests {
    let fixture: StreamFixture
    let postoffice: Postoffice

    init() throws {
        fixture = try StreamFixture()
        postoffice = try Postoffice("\(fixture.root)/post", creating: true)
        try #require(mkdir("\(fixture.root)/log", 0o755) == 0)
        try fixture.write(
            """
            MAILSHARE=\(fixture.root)
            POSTOFFICE=\(fixture.root)/post
            LOGDIR=\(fixture.root)/log
            HOSTNAME=mx.example.test

            """, to: "zmailer.conf")
        try fixture.write(
            """
            file n \(fixture.root)/program program
            bitbucket nm /dev/null

            """, to: "sm.conf")
    }

    private func process(_ program: String, _ arguments: [String]) throws -> StreamProcess {
        try StreamProcess(
            program, in: fixture.spool.root + "/transport", ["-Z", "\(fixture.root)/zmailer.conf"] + arguments)
    }

    private func message(
        _ count: Int = 1, channel: String, host: String = "-", body: String = "Hello\r\n"
    ) throws -> [SpoolID] {
        let group = ControlGroup.from("s@a.example", [(channel, host, "u@b.example")])
        return try (0..<count).map { _ in try fixture.spool.add([group], content: "Subject: x\r\n\r\n\(body)").id }
    }

    @Test("sm delivers, reports, logs a line when asked for a log, and ends with its input")
    func delivery() throws {
        try fixture.script("cat > /dev/null; echo ran >> %/out")
        let agent = try process("ta-sm", ["-c", "stream", "-j", "2", "-l", "\(fixture.root)/log/sm", "file"])
        agent.send(try message(3, channel: "stream").map { "\($0)\t-\n" }.joined())
        let lines = agent.finish()
        #expect(agent.status == 0)
        #expect(lines.count { $0 == "#hungry" } == 5)
        #expect(lines.count { $0.contains("\tok ") } == 3, "\(lines)")
        #expect(fixture.read("out") == "ran\nran\nran\n")
        let log = fixture.read("log/sm").split(separator: "\n")
        #expect(
            log.count == 3
                && log.allSatisfy {
                    $0.contains(" to=u@b.example ") && $0.contains("relay=file") && $0.contains("stat=delivered")
                })
    }

    @Test("file names may be given by hand, and what holds nothing for the agent is to be read again")
    func byHand() throws {
        let agent = try process("ta-sm", ["bitbucket"])
        let id = try message(channel: "bitbucket")[0]
        let other = try message(channel: "smtp")[0]
        agent.send("\(id)\n\(other)\n\n")
        let lines = agent.finish()
        #expect(agent.status == 0)
        #expect(lines.contains { $0.hasPrefix("\(id)/") && $0.contains("\tok thrown away") }, "\(lines)")
        #expect(lines.contains("#resync \(other)"))
    }

    @Test(
        "a command line or a configuration that is wrong is told, and ends it",
        arguments: [
            ("ta-sm", [], 64, "a mailer of sm.conf is needed"), ("ta-sm", ["nothere"], 78, "valid are file bitbucket"),
            ("ta-sm", ["-f", "/nothere", "file"], 78, "/nothere"),
            ("ta-sm", ["-j", "0", "file"], 64, "valid are 1 to 1000"),
            ("ta-sm", ["file", "x"], 64, "one mailer only"), ("ta-sm", ["-x"], 64, "unknown option '-x'"),
            ("ta-sm", ["--check"], 0, ""), ("ta-sm", ["--check", "-f", "/dev/fd/0"], 0, ""),
            ("ta-hold", ["x"], 64, "jobs are read from standard input"),
            ("ta-hold", ["--script-time", "x"], 64, "--script-time x"),
            ("ta-expirer", [], 64, "-c CHANNEL is needed"), ("ta-reroute", [], 64, "-c CHANNEL is needed"),
            ("ta-sm", ["-V"], 0, "zmailer sm "), ("ta-hold", ["-V"], 0, "zmailer hold "),
            ("ta-expirer", ["--help"], 0, "usage: expirer"), ("ta-reroute", ["--help"], 0, "usage: reroute"),
        ])
    func usage(program: String, arguments: [String], status: Int32, text: String) throws {
        let agent = try process(program, arguments)
        let lines = agent.finish()
        #expect(agent.status == status, "\(lines)")
        #expect(lines.joined(separator: "\n").contains(text), "\(lines)")
    }

    @Test("a configuration with a mistake names the line")
    func mistake() throws {
        try fixture.write("file n cat\n", to: "sm.conf")
        for arguments in [["--check"], ["file"]] {
            let agent = try process("ta-sm", arguments)
            let lines = agent.finish()
            #expect(agent.status == 78 && lines.first?.contains("sm.conf:1: file: ") == true, "\(lines)")
        }
    }

    /// The offsets of what was reported as done.
    private func done(_ lines: [String]) -> Set<String> {
        Set(lines.filter { $0.contains("\tok ") }.compactMap { $0.split(separator: "/").first.map(String.init) })
    }

    @Test("sm killed at any moment: each message once, but for those it died with")
    func killedStream() throws {
        try fixture.script("cat > %/body.$MSGSPOOLID.$$ && echo $MSGSPOOLID >> %/out")
        let ids = try message(40, channel: "stream", body: String(repeating: "0123456789\r\n", count: 3000))
        var open = Set(ids.map { "\($0)" })
        var lost = 0
        for round in 0..<8 where !open.isEmpty {
            let agent = try process("ta-sm", ["-c", "stream", "-j", "2", "file"])
            agent.send(open.sorted().map { "\($0)\t-\n" }.joined())
            usleep(UInt32(round + 1) * 15_000)
            open.subtract(done(agent.kill()))
            // With -j 2 no more than two runs had ended and were not reported.
            lost += 2
        }
        let agent = try process("ta-sm", ["-c", "stream", "-j", "2", "file"])
        agent.send(open.sorted().map { "\($0)\t-\n" }.joined())
        #expect(done(agent.finish()) == open)
        let runs = fixture.read("out").split(separator: "\n").map(String.init)
        #expect(Set(runs) == Set(ids.map { "\($0)" }))
        #expect(runs.count - 40 <= lost, "\(runs.count - 40) duplicates")
        for name in entries(fixture.root)
        where name.hasPrefix("body.")
            && runs.contains(name.split(separator: ".").dropFirst().first.map(String.init) ?? "")
        {
            let size = fixture.read(name).utf8.count
            // A program that was killed with the agent has a part and has said nothing.
            #expect(size <= 3000 * 11 + 200)
        }
    }

    @Test(
        "hold and reroute killed at any moment lose nothing, and make few duplicates", arguments: ["hold", "reroute"])
    func killedResubmission(name: String) throws {
        let ids = try message(
            60, channel: "hold", host: "timeout:1", body: String(repeating: "0123456789\r\n", count: 3000))
        var open = Set(ids.map { "\($0)" })
        let arguments = name == "hold" ? ["-j", "2"] : ["-c", "hold"]
        for round in 0..<8 where !open.isEmpty {
            let agent = try process("ta-\(name)", arguments)
            agent.send(open.sorted().map { "\($0)\ttimeout:1\n" }.joined())
            usleep(UInt32(round + 1) * 8000)
            open.subtract(done(agent.kill()))
        }
        let agent = try process("ta-\(name)", arguments)
        agent.send(open.sorted().map { "\($0)\ttimeout:1\n" }.joined())
        let lines = agent.finish()
        #expect(done(lines) == open, "\(lines.first { $0 != "#hungry" } ?? "")")
        var found: [String: Int] = [:]
        for id in try postoffice.entries(.router) {
            let octets = try postoffice.read(.router, id, limit: 1 << 20)
            let (envelope, start) = try MessageEnvelope.parse(octets)
            #expect(envelope.isWhole(headerStart: start, fileSize: octets.count))
            let text = String(decoding: octets[start...], as: UTF8.self)
            // The trace field names the message that it was.
            let old = text.split(separator: "(").dropFirst().first?.split(separator: " ").first.map(String.init) ?? ""
            found[old, default: 0] += 1
        }
        #expect(Set(found.keys) == Set(ids.map { "\($0)" }))
        let duplicates = found.values.reduce(0) { $0 + $1 - 1 }
        #expect(duplicates <= 16, "\(duplicates) duplicates")
    }

    @Test("expirer as a process reports what was asked, whatever is killed between")
    func killedExpirer() throws {
        let ids = try message(30, channel: "smtp", host: "b.example")
        let input = ids.map { "\($0)\tb.example\n" }.joined()
        for round in 0..<4 {
            let agent = try process("ta-expirer", ["-c", "smtp", "-m", "gone"])
            agent.send(input)
            usleep(UInt32(round) * 3000)
            _ = agent.kill()
        }
        let agent = try process("ta-expirer", ["-c", "smtp", "-m", "gone"])
        agent.send(input)
        let lines = agent.finish()
        #expect(lines.count { $0.contains("\terror gone") } == 30, "\(lines)")
    }
}
