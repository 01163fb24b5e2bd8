import Glibc
import MailModel
import Postoffice
import SpoolFormat
import Testing

@testable import Scheduler

@Suite("The sender is told")
struct ReportTests {
    private func submitted(_ scheduler: TestScheduler) throws -> [(envelope: MessageEnvelope, content: String)] {
        try scheduler.postoffice.entries(.router).map { id in
            let octets = try scheduler.postoffice.read(.router, id, limit: 1 << 20)
            let (envelope, start) = try MessageEnvelope.parse(octets)
            return (envelope, String(decoding: octets[start...], as: UTF8.self))
        }
    }

    @Test("a failure makes one notification to the sender, then the message goes")
    func failure() throws {
        let scheduler = try makeScheduler()
        try scheduler.startAndWait()
        defer { scheduler.stop() }
        let id = try scheduler.queue(["bad h a@h", "bad h b@h", "ok h c@h"])
        scheduler.notify([id])
        try scheduler.wait("removal") { scheduler.isGone(id) }
        let reports = try submitted(scheduler)
        #expect(reports.count == 1)
        let report = try #require(reports.first)
        #expect(report.envelope.sender == nil)
        #expect(report.envelope.isErrorMessage)
        #expect(report.envelope.recipients.map(\.address) == ["sender@example.test"])
        #expect(report.envelope.recipients.map(\.notify) == [.never])
        #expect(report.content.contains("Reporting-MTA: dns; mx.example.test"))
        #expect(report.content.components("Action: failed") == 2)
        #expect(report.content.contains("Status: 5.1.1"))
        #expect(report.content.contains("Subject: test\r\nMessage-Id: <1@example.test>\r\n\r\nbody"))
        try scheduler.wait("the log line") { scheduler.log.contains("info report queue-id=\(id)") }
        #expect(!scheduler.log.contains("stray-report"))
    }

    struct Silent: CustomTestStringConvertible, Sendable {
        let testDescription: String
        var sender: String? = "s@x"
        var notify = Notify.standard
        var channel = "bad"
        let log: String
    }

    static let silent = [
        Silent(testDescription: "NOTIFY=NEVER", notify: .never, log: "status=failed"),
        Silent(testDescription: "a notification that fails", sender: nil, log: "status=failed"),
        Silent(testDescription: "success", channel: "ok", log: "status=delivered"),
    ]

    @Test("nobody is told", arguments: silent)
    func nobody(_ test: Silent) throws {
        let scheduler = try makeScheduler()
        try scheduler.startAndWait()
        defer { scheduler.stop() }
        let id = try scheduler.queue(["\(test.channel) h a@h"], sender: test.sender, notify: test.notify)
        scheduler.notify([id])
        try scheduler.wait("removal") { scheduler.isGone(id) }
        #expect(try submitted(scheduler).isEmpty)
        #expect(scheduler.log.contains(test.log))
    }

    @Test("success is reported when it was asked for")
    func success() throws {
        let scheduler = try makeScheduler()
        try scheduler.startAndWait()
        defer { scheduler.stop() }
        let id = try scheduler.queue(["ok h a@h"], notify: [.success, .failure])
        scheduler.notify([id])
        try scheduler.wait("removal") { scheduler.isGone(id) }
        let reports = try submitted(scheduler)
        #expect(reports.first?.content.contains("Action: delivered") == true)
    }

    @Test("an undeliverable notification is kept for the postmaster if that is wanted")
    func doubleFault() throws {
        let scheduler = try makeScheduler()
        try scheduler.startAndWait("PARAMstore-error-on-error = yes\n" + Scripts.configuration)
        defer { scheduler.stop() }
        let id = try scheduler.queue(["bad h a@h"], sender: nil)
        scheduler.notify([id])
        try scheduler.wait("removal") { scheduler.isGone(id) }
        #expect(access("\(scheduler.root)/po/postman/\(id):error-on-error", F_OK) == 0)
    }

    @Test("the postmaster is told of an undeliverable notification if that is wanted, with what went wrong")
    func doubleFaultReport() throws {
        let scheduler = try makeScheduler()
        try scheduler.startAndWait("PARAMdouble-fault = postmaster\n" + Scripts.configuration)
        defer { scheduler.stop() }
        let id = try scheduler.queue(["bad h a@h"], sender: nil)
        scheduler.notify([id])
        try scheduler.wait("removal") { scheduler.isGone(id) }
        let report = try #require(try submitted(scheduler).first)
        #expect(report.envelope.recipients.map(\.address) == ["postmaster"])
        #expect(report.content.contains("Subject: Double-fault: A report could not be delivered [FAILED(1)]"))
        #expect(report.content.contains("Status: 5.1.1") && report.content.contains("no such user"))
        try scheduler.wait("the log line") { scheduler.log.contains("info report queue-id=\(id)") }
        #expect(access("\(scheduler.root)/po/postman/\(id):error-on-error", F_OK) != 0)
    }

    @Test("a report about an undeliverable report that fails too ends in postman/, with a line in the log")
    func doubleFaultEnds() throws {
        let scheduler = try makeScheduler()
        let id = try scheduler.queue(["bad h postmaster@h"], sender: nil)
        let path = scheduler.postoffice.path(.queue, id)
        let content = scheduler.read("po/queue/\(id)")
        let marked = content.replacing("from x\n", with: "channel error\ncomment \(DoubleFaults.mark)\n")
        try scheduler.write(marked, to: "po/queue/\(id)")
        var control = try scheduler.control(id)
        for value in [\ControlFile.headerStart, \.bodyOffset, \.messageSize] {
            control[keyPath: value] += marked.utf8.count - content.utf8.count
        }
        try scheduler.write(String(decoding: control.encodeHead(), as: UTF8.self), to: "po/transport/\(id)")
        try scheduler.startAndWait("PARAMdouble-fault = postmaster\n" + Scripts.configuration)
        defer { scheduler.stop() }
        try scheduler.wait("removal") { scheduler.isGone(id) }
        #expect(access("\(scheduler.root)/po/postman/\(id):error-on-error", F_OK) == 0)
        #expect(scheduler.log.contains("warning double-fault queue-id=\(id)"))
        #expect(try submitted(scheduler).isEmpty && access(path, F_OK) != 0)
    }

    @Test("a failure is told before the rest is done when that takes longer than the report interval")
    func interim() throws {
        let scheduler = try makeScheduler()
        try scheduler.startAndWait("PARAMglobal-report-interval = 1s\n" + Scripts.configuration)
        defer { scheduler.stop() }
        let id = try scheduler.queue(["mixed h bad@h", "mixed h later@h"])
        scheduler.notify([id])
        try scheduler.wait("the report") { try submitted(scheduler).count == 1 }
        try scheduler.wait("the mark") {
            try scheduler.control(id).records.contains { $0.notary.action == .failed && $0.isReported }
        }
        #expect(scheduler.exists(.transport, id))
        try scheduler.write("", to: "log/open")
        try scheduler.wait("removal") { scheduler.isGone(id) }
        #expect(try submitted(scheduler).count == 1)
    }

    @Test("what was recorded and not reported before a crash is reported after it")
    func afterCrash() throws {
        let scheduler = try makeScheduler()
        let id = try scheduler.queue(["bad h a@h"])
        let recipient = try #require(try scheduler.control(id).groups.first?.recipients.first)
        let record = ResultRecord(
            offset: recipient.offset, headerOffset: -1, notaryOffset: recipient.notaryOffset, time: 1,
            notary: Notary(finalRecipient: "a@h", action: .failed, status: "5.7.1"), message: "refused")
        try scheduler.postoffice.append([(record, .failed)], to: id, sync: true)
        try scheduler.startAndWait()
        defer { scheduler.stop() }
        try scheduler.wait("removal") { scheduler.isGone(id) }
        let reports = try submitted(scheduler)
        #expect(reports.first?.content.contains("Status: 5.7.1") == true)
    }

    @Test("an expired message is reported with its last problem")
    func expired() throws {
        let scheduler = try makeScheduler()
        try scheduler.startAndWait(Scripts.configuration + "\n    expiry=2s\n")
        defer { scheduler.stop() }
        let id = try scheduler.queue(["mixed h later@h"])
        scheduler.notify([id])
        try scheduler.wait("removal") { scheduler.isGone(id) }
        let content = try submitted(scheduler).first?.content ?? ""
        #expect(content.contains("Status: 5.4.7"))
        #expect(content.contains("expired after 2s, problem was: greylisted"))
    }
}

extension String {
    /// How often `text` occurs.
    func components(_ text: String) -> Int { ranges(of: text).count }
}
