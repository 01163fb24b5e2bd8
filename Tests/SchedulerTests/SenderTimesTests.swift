import Glibc
import MailModel
import Postoffice
import SpoolFormat
import Testing

@testable import Scheduler

@Suite("Times that senders have set, by the real clock")
struct SenderTimesTests {
    private func submitted(_ scheduler: TestScheduler) throws -> [(envelope: MessageEnvelope, content: String)] {
        try scheduler.postoffice.entries(.router).map { id in
            let octets = try scheduler.postoffice.read(.router, id, limit: 1 << 20)
            let (envelope, start) = try MessageEnvelope.parse(octets)
            return (envelope, String(decoding: octets[start...], as: UTF8.self))
        }
    }

    private func deliverBy(_ time: DeliverByTime) -> (inout ControlFile) -> Void {
        { file in for index in file.groups[0].recipients.indices { file.groups[0].recipients[index].deliverBy = time } }
    }

    @Test("a held message outlives restarts, shows in the queue with its time, and goes within two seconds of it")
    func held() throws {
        let scheduler = try makeScheduler()
        try scheduler.startAndWait()
        let release = Int64(time(nil)) + 4
        let id = try scheduler.queue(["ok h held@h"]) { $0.release = FutureRelease(at: release, interval: 4) }
        scheduler.notify([id])
        try scheduler.wait("the queue to know it") { try !scheduler.ask("queue").isEmpty }
        let line = try scheduler.ask("queue")[0]
        #expect(line.contains("\"held_until\":\(release)"))
        #expect(line.contains("\"state\":\"held\"") && line.contains("\"next_attempt\":\(release)"))
        #expect(try scheduler.ask("status")[0].contains("\"held\":1"))
        #expect(try scheduler.ask("flush") == ["{\"flushed\":0}"])
        scheduler.stop()
        #expect(scheduler.exists(.transport, id))
        try scheduler.startAndWait()
        defer { scheduler.stop() }
        let other = try scheduler.queue(["ok h now@h"])
        scheduler.notify([other])
        try scheduler.wait("the other one") { scheduler.isGone(other) }
        #expect(scheduler.exists(.transport, id))
        try scheduler.wait("the release") { scheduler.isGone(id) }
        let end = Int64(time(nil))
        #expect((release...release + 2).contains(end), "released at \(release), gone at \(end)")
        #expect(scheduler.lines("log/ok").map { $0.split(separator: " ")[0] } == ["\(other)", "\(id)"])
        #expect(scheduler.log.contains("info held queue-id=\(id) until=\(release)"))
        #expect(scheduler.log.contains("info released queue-id=\(id) late="))
    }

    @Test("what must come back in time does, as an expiry with its time")
    func returned() throws {
        let scheduler = try makeScheduler()
        try scheduler.startAndWait()
        defer { scheduler.stop() }
        let time = DeliverByTime(Int64(Glibc.time(nil)) + 2, .return)
        let id = try scheduler.queue(["mixed h later@h"]) {
            deliverBy(time)(&$0)
            $0.priority = MessagePriority(2)
        }
        scheduler.notify([id])
        try scheduler.wait("removal") { scheduler.isGone(id) }
        let report = try #require(try submitted(scheduler).first)
        #expect(report.content.contains("Action: failed") && report.content.contains("Status: 5.4.7"))
        #expect(report.content.contains("Deliver-By-Date: \(CalendarDate(unixTime: time.time).rfc5322)"))
        #expect(report.content.contains("as its sender has asked; problem was: greylisted"))
        #expect(report.envelope.priority == MessagePriority(2))
        #expect(scheduler.log.contains("dsn=5.4.7 status=expired"))
    }

    @Test("who asked to be told is told once, over a restart too, and the message is delivered in the end")
    func notified() throws {
        let scheduler = try makeScheduler()
        try scheduler.startAndWait()
        let time = DeliverByTime(Int64(Glibc.time(nil)) + 2, .notify)
        let id = try scheduler.queue(["mixed h later@h", "mixed h later@g"], configure: deliverBy(time))
        scheduler.notify([id])
        try scheduler.wait("the report") { try submitted(scheduler).count == 1 }
        try scheduler.wait("the marks") {
            try scheduler.control(id).records.count { $0.isDelayNotice && $0.isReported } == 2
        }
        let report = try #require(try submitted(scheduler).first)
        #expect(report.content.components("Action: delayed") == 2)
        #expect(report.content.components("Status: 4.4.7") == 2)
        #expect(report.content.contains("Subject: Mail is delayed [DELAYED(2)]"))
        scheduler.stop()
        try scheduler.startAndWait()
        defer { scheduler.stop() }
        try scheduler.write("", to: "log/open")
        try scheduler.wait("removal") { scheduler.isGone(id) }
        #expect(try submitted(scheduler).count == 1)
        #expect(scheduler.log.contains("reported=yes"))
    }

    @Test(
        "a notice that was recorded and not told before a crash is told after it, and one with the end is not told twice"
    )
    func afterCrash() throws {
        let scheduler = try makeScheduler()
        let time = DeliverByTime(Int64(Glibc.time(nil)) - 100, .notify)
        let id = try scheduler.queue(["bad h a@h"], configure: deliverBy(time))
        let offset = try #require(try scheduler.control(id).recipients.map(\.offset).first)
        let notice = ResultRecord(
            offset: offset, headerOffset: -1, notaryOffset: -1, time: 1,
            notary: Notary(finalRecipient: "a@h", action: .delayed, status: "4.4.7", agent: Notary.scheduler),
            message: "late")
        try scheduler.postoffice.append([(notice, nil)], to: id, sync: true)
        try scheduler.startAndWait()
        defer { scheduler.stop() }
        try scheduler.wait("removal") { scheduler.isGone(id) }
        let reports = try submitted(scheduler).map(\.content)
        #expect(reports.reduce(0) { $0 + $1.components("Action: delayed") } <= 1)
        #expect(reports.reduce(0) { $0 + $1.components("Action: failed") } == 1)
    }

    @Test("a relay that is to be told makes a report though nobody asked for success")
    func relayed() throws {
        let scheduler = try makeScheduler()
        try scheduler.agent("pass", "    for o in $(offsets $id); do report $o ok2 relayed 2.0.0 \"250 taken\"; done")
        try scheduler.startAndWait("pass/*  interval=1s\n    command=\"pass -c $channel\"\n")
        defer { scheduler.stop() }
        let time = DeliverByTime(Int64(Glibc.time(nil)) + 1000, .notify)
        let id = try scheduler.queue(["pass h a@h"], configure: deliverBy(time))
        let silent = try scheduler.queue(["pass h a@h"], notify: .never, configure: deliverBy(time))
        scheduler.notify([id, silent])
        try scheduler.wait("removal") { scheduler.isGone(id) && scheduler.isGone(silent) }
        let reports = try submitted(scheduler)
        #expect(reports.count == 1)
        #expect(reports.first?.content.contains("Action: relayed") == true)
        #expect(reports.first?.content.contains("Subject: Mail was passed on [RELAYED-OK(1)]") == true)
    }

    @Test("a report about what goes over TLS only does so too, without the body")
    func requiresTLS() throws {
        let scheduler = try makeScheduler()
        try scheduler.startAndWait()
        defer { scheduler.stop() }
        let id = try scheduler.queue(["bad h a@h"]) {
            $0.requiresTLS = true
            $0.notaryReturn = .full
        }
        scheduler.notify([id])
        try scheduler.wait("removal") { scheduler.isGone(id) }
        let report = try #require(try submitted(scheduler).first)
        #expect(report.envelope.requiresTLS)
        #expect(report.content.contains("Subject: test"))
        #expect(!report.content.contains("\r\nbody"))
    }
}
