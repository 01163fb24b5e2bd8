import AgentProtocol
import Glibc
import Postoffice
import SpoolCheck
import SpoolFormat
import Testing

@Suite("zmailer check queue, beside daemons") struct SpoolCheckDaemonTests {
    @Test("what the daemons know is in order, and its files are not read")
    func known() throws {
        let spool = try SpoolScratch()
        let queued = try spool.routed(recipients: 2)
        // The scheduler is in the middle of recording it: the record is there, the tag is not.
        try spool.append(queued, 0, .delivered, tag: nil)
        let waiting = try spool.submitted()
        let scheduler = try AuditedDaemon.scheduler(spool, "\(queued) ok\nend ready\n")
        let router = try AuditedDaemon.router(spool, "\(waiting) ok\nend ready\n")
        defer {
            scheduler.end()
            router.end()
        }
        let (findings, summary) = try spool.check()
        #expect(findings == [])
        #expect(summary.router == "up" && summary.scheduler == "up" && !summary.isPartial)
    }

    @Test("what no daemon knows is told to the one whose turn it is")
    func unknown() throws {
        let spool = try SpoolScratch()
        let queued = try spool.routed()
        let waiting = try spool.submitted()
        let scheduler = try AuditedDaemon.scheduler(spool, "end ready\n")
        let router = try AuditedDaemon.router(spool, "end ready\n")
        defer {
            scheduler.end()
            router.end()
        }
        let routerNotices = try NoticeReceiver(socketPath: spool.path(".router.notify"))
        let schedulerNotices = try NoticeReceiver(socketPath: spool.path(".scheduler.notify"))
        let before = spool.everything
        let (findings, _) = try spool.check()
        #expect(findings.map(\.problem) == [.unknownToScheduler, .unknownToRouter])
        #expect(findings.allSatisfy { $0.outcomeName == "repaired" })
        #expect(routerNotices.receive() == [.new(directory: "router", ids: [waiting])])
        #expect(schedulerNotices.receive() == [.new(directory: "transport", ids: [queued])])
        #expect(spool.everything == before)
        for name in [".router.notify", ".scheduler.notify"] { unlink(spool.path(name)) }
    }

    @Test("what a daemon comes to know between the two looks is no stray")
    func arriving() throws {
        let spool = try SpoolScratch()
        let queued = try spool.routed()
        let scheduler = try AuditedDaemon.scheduler(spool, "end ready\n", "\(queued) ok\nend ready\n")
        defer { scheduler.end() }
        #expect(try spool.check().findings == [])
    }

    @Test(
        "a daemon that is still reading, or does not answer, makes nothing a stray",
        arguments: [
            ("end loading\n", "loading", false),
            ("1 ok\n", "does not answer: its answer cannot be read: it has no end", true),
            (
                "{\"error\":\"valid questions are …\"}\n",
                "does not answer: its answer cannot be read: {\"error\":\"valid questions are …\"}", true
            ),
            ("", "does not answer: its answer cannot be read: it has no end", true),
        ])
    func silent(answer: String, state: String, isPartial: Bool) throws {
        let spool = try SpoolScratch()
        try spool.routed()
        let two = try spool.routed(recipients: 2)
        unlink(spool.path("queue/\(two)"))
        let scheduler = try AuditedDaemon.scheduler(spool, answer)
        defer { scheduler.end() }
        let before = spool.everything
        let (findings, summary) = try spool.check()
        #expect(findings == [])
        #expect(spool.everything == before)
        #expect(summary.scheduler == state && summary.isPartial == isPartial)
    }

    @Test("a scheduler that runs decides itself about a control file without a message")
    func tellsScheduler() throws {
        let spool = try SpoolScratch()
        let id = try spool.routed(recipients: 2)
        unlink(spool.path("queue/\(id)"))
        let scheduler = try AuditedDaemon.scheduler(spool, "end ready\n")
        defer { scheduler.end() }
        let before = spool.everything
        let (findings, _) = try spool.check()
        #expect(findings.map(\.problem) == [.noMessage] && findings.map(\.action) == ["the scheduler was told"])
        #expect(spool.everything == before)
    }

    @Test("recipients without a next event or an end are named, and messages without files")
    func unattended() throws {
        let spool = try SpoolScratch()
        let id = try spool.routed()
        let gone = SpoolID(rawValue: 99)
        let scheduler = try AuditedDaemon.scheduler(
            spool, "\(id) recipient b@example.org has no next attempt\n\(gone) ok\nend ready\n")
        defer { scheduler.end() }
        let (findings, summary) = try spool.check()
        #expect(Set(findings.map(\.problem)) == [.unattended, .vanished])
        #expect(findings.first { $0.problem == .unattended }?.detail == "recipient b@example.org has no next attempt")
        #expect(summary.open == 2)
    }

    @Test(
        "lines of an audit are read as they are written",
        arguments: [
            AuditLine.message(SpoolID(rawValue: 5), problem: nil),
            .message(SpoolID(rawValue: 5), problem: "has no end"),
            .end(isLoading: true), .end(isLoading: false),
        ])
    func lines(line: AuditLine) {
        #expect(AuditLine(Array(line.text.utf8.dropLast())) == line)
    }

    @Test("what is no line of an audit is none", arguments: ["", "ok", "05 ok", "x ok", "5 ", "end soon", "end"])
    func noLines(text: String) {
        #expect(AuditLine(Array(text.utf8)) == nil)
    }
}
