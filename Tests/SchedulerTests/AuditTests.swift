import ChildProcesses
import Glibc
import MailModel
import Postoffice
import ProgramKit
import SpoolCheck
import SpoolFormat
import Testing

@testable import Scheduler

/// What the scheduler says to `audit`, and what a check of the queue makes of it (docs/spool.md §7).
@Suite("The queue's audit")
struct AuditTests {
    private func check(_ scheduler: TestScheduler) throws -> (findings: [SpoolFinding], summary: SpoolCheck.Summary) {
        var options = SpoolCheckOptions()
        options.pause = 100
        var findings: [SpoolFinding] = []
        let summary = try SpoolCheck(scheduler.postoffice, options).run { findings.append($0) }
        return (findings, summary)
    }

    @Test("every message is in order that has an attempt, a hold or an ETRN before it, and an end")
    func inOrder() throws {
        let scheduler = try makeScheduler()
        try scheduler.agent("down", Scripts.later)
        try scheduler.startAndWait(
            "down/*  interval=1h\n    command=\"down\"\nwait/*  queueonly\n    command=\"down\"\n")
        defer { scheduler.stop() }
        let deferred = try scheduler.queue(["down h a@h"])
        let waiting = try scheduler.queue(["wait h b@h"])
        let held = try scheduler.queue(["down i c@i"]) { $0.release = FutureRelease(at: 4_000_000_000) }
        scheduler.notify([deferred, waiting, held])
        try scheduler.wait("the attempt") { scheduler.log.contains("status=") }
        try scheduler.wait("all of them") { try scheduler.ask("audit").count == 4 }
        let answer = try scheduler.ask("audit")
        #expect(answer.dropLast().sorted() == [deferred, waiting, held].map { "\($0) ok" }.sorted())
        #expect(answer.last == "end ready")
        // The check asks only who holds the pid file.
        let pidFile = try PidFile(path: "\(scheduler.root)/po/.pid.scheduler")
        defer { pidFile.remove() }
        let (findings, summary) = try check(scheduler)
        #expect(findings == [])
        #expect(summary.scheduler == "up" && summary.queued == 3)
    }

    @Test("mail that no clause has a command for has no end, and is named")
    func unmatched() throws {
        let scheduler = try makeScheduler()
        try scheduler.agent("other", Scripts.ok)
        try scheduler.startAndWait("other/*  interval=1s\n    command=\"other\"\n")
        defer { scheduler.stop() }
        let id = try scheduler.queue(["nobody h a@h", "nobody h b@h"])
        scheduler.notify([id])
        try scheduler.wait("the message") { scheduler.log.contains("error no-clause queue-id=\(id)") }
        #expect(
            try scheduler.ask("audit")
                == ["\(id) recipients that no clause of scheduler.conf has a command for: 2", "end ready"])
        let pidFile = try PidFile(path: "\(scheduler.root)/po/.pid.scheduler")
        defer { pidFile.remove() }
        #expect(try check(scheduler).findings.map(\.problem) == [.unattended])
    }

    @Test("a control file that came without a notice is found, and the scheduler takes it")
    func withoutNotice() throws {
        let scheduler = try makeScheduler()
        try scheduler.agent("ok", Scripts.ok)
        try scheduler.startAndWait("ok/*  interval=1s\n    command=\"ok\"\n")
        defer { scheduler.stop() }
        try scheduler.wait("the first look") { try scheduler.ask("audit").last == "end ready" }
        let id = try scheduler.queue(["ok h a@h"])
        let pidFile = try PidFile(path: "\(scheduler.root)/po/.pid.scheduler")
        defer { pidFile.remove() }
        // Its own look through the directory may come first.
        let found = try check(scheduler).findings
        #expect(found.isEmpty || found.map(\.problem) == [.unknownToScheduler])
        try scheduler.wait("the delivery") { scheduler.isGone(id) }
    }

    @Test("results, replies and the queue are told as metrics")
    func metrics() throws {
        let scheduler = try makeScheduler()
        try scheduler.startAndWait(Scripts.configuration.replacing("interval=1s", with: "interval=1h"))
        defer { scheduler.stop() }
        let ids = try ["ok h a@h", "bad h b@h", "later h c@h"].map { try scheduler.queue([$0]) }
        scheduler.notify(ids)
        let expected = [
            "zmailer_delivery_results_total{channel=\"ok\",outcome=\"delivered\"} 1",
            "zmailer_delivery_results_total{channel=\"bad\",outcome=\"failed\"} 1",
            "zmailer_delivery_results_total{channel=\"later\",outcome=\"deferred\"} 1",
            "zmailer_delivery_replies_total{class=\"5.1\"} 1", "zmailer_delivery_replies_total{class=\"4.4\"} 1",
            "zmailer_delivery_queue_seconds_count 2", "zmailer_delivery_attempt_seconds_count 3", "zmailer_dsn_total 1",
            "zmailer_queue_recipients{channel=\"later\",state=\"deferred\"} 1", "zmailer_queue_messages 1",
        ]
        var text = ""
        try scheduler.wait("the metrics") {
            text = ""
            try UnixDialogue.ask("\(scheduler.root)/po/.metrics.scheduler", "metrics\n", milliseconds: 5000) { line in
                text += String(decoding: line, as: UTF8.self) + "\n"
            }
            // What describes the queue is as of the loop's last look.
            try scheduler.sendDatagram("SCAN")
            return expected.allSatisfy { text.contains("\($0)\n") }
        }
        #expect(text.contains("# TYPE zmailer_queue_oldest_seconds gauge\n"))
    }
}
