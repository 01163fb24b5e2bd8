import AgentKit
import AgentProtocol
import Configuration
import Glibc
import SpoolFormat
import Testing

@testable import StreamAgent

@Suite("Runs of programs: what they are given, and how long")
struct StreamRunTests {
    let fixture: StreamFixture

    init() throws { fixture = try StreamFixture() }

    @Test("the environment is clean, and bounded by what concerns the run")
    func environment() throws {
        setenv("SECRET_OF_THE_AGENT", "x", 1)
        try fixture.script("cat > /dev/null; env > %/out; pwd >> %/out")
        let settings = try fixture.settings(
            "nm %/program program $u", ["MAILBIN": "/opt/bin", "MAILSHARE": "/opt/share", "ZCONFIG": "/opt/z.conf"])
        try fixture.deliver(settings) {
            $0.envelopeID = "E1"
            $0.groups[0].recipients[0].originalRecipient = "rfc822;l@x"
            $0.groups[0].recipients[0].envelopeRecipient = "l@example.test\nEVIL=1"
        }
        let lines = Set(fixture.read("out").split(separator: "\n").map(String.init))
        for line in [
            "SENDER=s@a.example", "ORCPT=rfc822;l@x", "INRCPT=l@example.test EVIL=1", "ENVID=E1",
            "NOTIFY=FAILURE,DELAY", "MESSAGEID=<a@b>", "SHELL=/bin/sh", "MAILBIN=/opt/bin", "MAILSHARE=/opt/share",
            "PATH=/usr/local/bin:/usr/bin:/bin", "ZCONFIG=/opt/z.conf",
        ] { #expect(lines.contains(line), "\(line) is not among \(lines)") }
        #expect(!lines.contains { $0.hasPrefix("SECRET_OF_THE_AGENT") || $0.hasPrefix("EVIL") })
        try fixture.deliver(settings, to: ["a", "b"], sender: "") {
            $0.groups[0].recipients[0].originalRecipient = "rfc822;l@x"
        }
        let many = fixture.read("out")
        #expect(many.contains("SENDER=<>\n") && !many.contains("ORCPT=") && !many.contains("NOTIFY="))
    }

    @Test("one that takes too long is ended with all that it started", arguments: ["", "trap '' TERM; "])
    func timeout(trap: String) throws {
        try fixture.script("\(trap)(while :; do sleep 1; done) & echo $! > %/pid; echo busy; while :; do sleep 1; done")
        var settings = try fixture.settings("n %/program program")
        settings.limits.time = .milliseconds(400)
        settings.limits.grace = .milliseconds(300)
        let start = ContinuousClock.now
        let report = try fixture.deliver(settings)[0]
        #expect(report.result == .deferred && report.message.contains("took too long"))
        #expect(ContinuousClock.now - start < .seconds(20))
        let pid = try #require(fixture.read("pid").split(separator: "\n").first.flatMap { pid_t($0) })
        // It is a child of init's now, which may take a moment to bury it.
        let deadline = ContinuousClock.now + .seconds(10)
        while isRunning(pid), ContinuousClock.now < deadline { sched_yield() }
        #expect(!isRunning(pid))
    }

    private func isRunning(_ pid: pid_t) -> Bool {
        let status = String(decoding: fileOctets("/proc/\(pid)/stat"), as: UTF8.self).split(separator: " ")
        return status.count > 2 && status[2] != "Z"
    }

    @Test("output that never ends keeps nobody, and is bounded")
    func flood() throws {
        try fixture.script("printf 'a\\001b\\tc'; yes x")
        var settings = try fixture.settings("n %/program program")
        settings.limits.time = .milliseconds(500)
        #expect(try fixture.deliver(settings)[0].message.contains("took too long"))
        try fixture.script("printf 'a\\001b\\tc'; head -c 1000000 /dev/zero | tr '\\0' x; echo; exit 75")
        let report = try fixture.deliver(try fixture.settings("n %/program program"))[0]
        #expect(report.message.hasPrefix("a b cxxx") && report.message.utf8.count < 520)
    }

    @Test("memory is limited")
    func memory() throws {
        try fixture.script("ulimit -v > %/limit")
        var settings = try fixture.settings("n %/program program")
        settings.limits.memory = 64 << 20
        try fixture.deliver(settings)
        #expect(fixture.read("limit") == "65536\n")
    }

    @Test("a large message costs no memory, and a program need not read it")
    func large() throws {
        let content = "Subject: x\r\n\r\n" + String(repeating: "0123456789abcdef\r\n", count: 300_000)
        try fixture.script("tail -n +3 | wc -c > %/count")
        #expect(try fixture.deliver(try fixture.settings("n %/program program"), content: content)[0].result == .ok)
        #expect(fixture.read("count") == "\(17 * 300_000)\n")
        try fixture.script("exit 0")
        #expect(try fixture.deliver(try fixture.settings("n %/program program"), content: content)[0].result == .ok)
    }
}
