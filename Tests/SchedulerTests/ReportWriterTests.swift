import Configuration
import Glibc
import MailModel
import Postoffice
import SpoolFormat
import Testing

@testable import Scheduler

/// The writer alone, on control files with records in them.
@Suite("What a report says")
struct ReportWriterTests {
    let scheduler: TestScheduler

    init() throws {
        scheduler = try TestScheduler()
        mkdir("\(scheduler.root)/share/forms", 0o755)
    }

    private func writer(_ rules: ReportRules = ReportRules(), _ faults: DoubleFaults = DoubleFaults()) -> ReportWriter {
        ReportWriter(
            postoffice: scheduler.postoffice,
            routerNotice: NoticeSender(socketPath: "\(scheduler.root)/nobody", directory: "router"),
            hostName: "mx.example.test", formDirectory: "\(scheduler.root)/share/forms", clock: { 1_795_238_801 },
            rules: rules, doubleFaults: faults)
    }

    private func submitted() throws -> [(envelope: MessageEnvelope, content: String)] {
        try scheduler.postoffice.entries(.router).map { id in
            let octets = try scheduler.postoffice.read(.router, id, limit: 1 << 24)
            let (envelope, start) = try MessageEnvelope.parse(octets)
            return (envelope, String(decoding: octets[start...], as: UTF8.self))
        }
    }

    private func record(
        _ id: SpoolID, _ recipient: Int, _ action: Notary.Action, _ status: String, _ message: String,
        diagnostic: String = "", remote: String = "", agent: String = "smtp[1]", time: Int64 = 1_795_238_000
    ) throws {
        let file = try scheduler.control(id)
        let found = Array(file.recipients)[recipient]
        let notary = Notary(
            finalRecipient: found.quad.user, action: action, status: status, diagnostic: diagnostic, remoteHost: remote,
            agent: agent)
        let record = ResultRecord(
            offset: found.offset, headerOffset: -1, notaryOffset: found.notaryOffset, time: time, notary: notary,
            message: message)
        let tag: ControlRecipient.Tag? =
            switch action {
            case .failed: .failed
            case .delayed: nil
            case .delivered, .relayed, .expanded: .delivered
            }
        try scheduler.postoffice.append([(record, tag)], to: id, sync: false)
    }

    @Test("a changed FORMLANGUAGE holds from the next report on")
    func language() throws {
        for (language, word) in [("", "EN"), (".de", "DE")] {
            let file = try #require(fopen("\(scheduler.root)/share/forms/delivery\(language)", "w"))
            fputs("SUB \(word)\n\n\(word)\n", file)
            fclose(file)
        }
        let settings = ReportSettings()
        let configuration = try SchedulerConfiguration.parse(
            "smtp/*\n command=\"true\"\n", file: "scheduler.conf", environment: ZEnvironment())
        settings.set(configuration, ZEnvironment())
        let writer = writer(settings.rules())
        for (languages, word) in [("", "EN"), ("de", "DE"), ("", "EN")] {
            settings.set(configuration, ZEnvironment(values: ["FORMLANGUAGE": languages]))
            let before = try submitted().count
            let id = try scheduler.queue(["smtp h a@h"])
            try record(id, 0, .failed, "5.1.1", "no")
            _ = try writer.send(id)
            let reports = try submitted()
            #expect(reports.count == before + 1 && reports.last?.content.contains("Subject: \(word)") == true)
        }
    }

    @Test("a notice that it is late says until when it is tried and what the server said last, and is told once")
    func delayed() throws {
        let id = try scheduler.queue(["smtp h a@h"]) { $0.release = FutureRelease(at: $0.id.unixTime + 100) }
        try record(
            id, 0, .delayed, "4.2.2", "mailbox full", diagnostic: "smtp; 452 4.2.2 mailbox full",
            remote: "mx.h (192.0.2.1)")
        for age in ["4h", "1d"] {
            try record(
                id, 0, .delayed, "4.4.7", "delayed; no delivery in \(age), problem was: mailbox full",
                diagnostic: "x-local; 400 (delayed)", agent: Notary.scheduler)
        }
        var rules = ReportRules()
        rules.retriedUntil = { channel, host, start in channel == "smtp" && host == "h" ? start + 1000 : nil }
        let sent = try writer(rules).send(id)
        #expect(sent.map(\.records) == [2] && sent.map(\.recipients) == [1])
        let content = try #require(try submitted().first?.content)
        for text in [
            "Subject: Mail is delayed [DELAYED(1)]", "Action: delayed\r\nStatus: 4.4.7\r\n",
            "Remote-MTA: dns; mx.h (192.0.2.1)\r\nDiagnostic-Code: smtp; 452 4.2.2 mailbox full\r\n",
            "Will-Retry-Until: \(CalendarDate(unixTime: id.unixTime + 1100).rfc5322)\r\n",
            "The message could not be delivered yet. (4.4.7)\r\n", "      > 452 4.2.2 mailbox full\r\n",
        ] { #expect(content.contains(text), "\(text) is missing in \(content)") }
        #expect(!content.contains("Last-Attempt-Date"))
        #expect(!content.contains("body"))
        #expect(try writer(rules).send(id).isEmpty)
    }

    @Test("what has been delivered before its sender was told that it is late is not late")
    func outdated() throws {
        let id = try scheduler.queue(["smtp h a@h", "smtp h b@h"])
        try record(id, 0, .delayed, "4.4.7", "late", agent: Notary.scheduler)
        try record(id, 0, .delivered, "2.0.0", "fine")
        try record(id, 1, .delayed, "4.4.7", "late", agent: Notary.scheduler)
        let sent = try writer().send(id)
        #expect(sent.map(\.recipients) == [0, 1] && sent.map(\.records) == [1, 1])
        let reports = try submitted()
        #expect(reports.count == 1 && reports[0].content.contains("b@h") && !reports[0].content.contains("a@h"))
        #expect(try writer().send(id).isEmpty)
    }

    @Test("a deliver-by-time that ends delivery comes before the expiry")
    func deliverBy() throws {
        let id = try scheduler.queue(["smtp h a@h"]) {
            $0.groups[0].recipients[0].deliverBy = DeliverByTime($0.id.unixTime + 500, .return)
        }
        try record(id, 0, .delayed, "4.4.7", "late", agent: Notary.scheduler)
        var rules = ReportRules()
        rules.retriedUntil = { _, _, start in start + 1000 }
        _ = try writer(rules).send(id)
        let content = try #require(try submitted().first?.content)
        #expect(content.contains("Will-Retry-Until: \(CalendarDate(unixTime: id.unixTime + 500).rfc5322)\r\n"))
    }

    @Test("what has expired is told with the server's last words only if they are those of the problem")
    func expired() throws {
        for (problem, isTold) in [("greylisted", true), ("no route", false)] {
            let id = try scheduler.queue(["smtp h a@h"])
            try record(
                id, 0, .delayed, "4.7.1", "greylisted", diagnostic: "smtp; 450 4.7.1 greylisted",
                remote: "mx.h (192.0.2.1)")
            try record(
                id, 0, .failed, "5.4.7", "expired after 3d, problem was: \(problem)",
                diagnostic: "x-local; 500 (expired)", agent: "")
            _ = try writer().send(id)
            let content = try #require(try submitted().last?.content)
            #expect(content.contains("Remote-MTA: dns; mx.h (192.0.2.1)") == isTold)
            #expect(content.contains("Status: 5.4.7"))
        }
    }

    @Test("recipients are in one report by what their NOTIFY asks for, and where the message came from is told")
    func mixed() throws {
        let id = try scheduler.queue(["smtp h a@h", "smtp h b@h", "smtp h c@h", "smtp h d@h"]) { file in
            for (index, notify) in [Notify.standard, .success, .never, [.success, .failure]].enumerated() {
                file.groups[0].recipients[index].notify = notify
            }
        }
        try record(id, 0, .failed, "5.1.1", "no")
        try record(id, 1, .failed, "5.1.1", "no")
        try record(id, 2, .failed, "5.1.1", "no")
        try record(id, 3, .delivered, "2.0.0", "yes")
        #expect(try writer().send(id).map(\.recipients) == [2])
        let content = try #require(try submitted().first?.content)
        #expect(content.contains("[FAILED(1),DELIVERED-OK(1)]"))
        #expect(content.contains("a@h") && content.contains("d@h"))
        #expect(!content.contains("b@h") && !content.contains("c@h"))
    }

    @Test("thousands of recipients are told in reports of a thousand, the message is returned once")
    func thousands() throws {
        let id = try scheduler.queue((0..<2500).map { "smtp h u\($0)@h" })
        let file = try scheduler.control(id)
        let records = file.recipients.map { recipient in
            ResultRecord(
                offset: recipient.offset, headerOffset: -1, notaryOffset: recipient.notaryOffset, time: 1,
                notary: Notary(finalRecipient: recipient.quad.user, action: .failed, status: "5.1.1"), message: "no")
        }
        try scheduler.postoffice.append(records.map { ($0, .failed) }, to: id, sync: false)
        #expect(try writer().send(id).map(\.recipients) == [1000, 1000, 500])
        let reports = try submitted()
        #expect(reports.map { $0.content.components("Final-Recipient: ") }.sorted() == [500, 1000, 1000])
        #expect(reports.count { $0.content.contains("\r\n\r\nbody") } == 1)
        #expect(reports.allSatisfy { $0.content.components("\r\n  u") == ReportWriterTests.shown })
        #expect(reports.contains { $0.content.contains("  ... and 900 more; the second part") })
        #expect(try writer().send(id).isEmpty)
    }
    private static let shown = 100

    @Test("an error address may be a list")
    func list() throws {
        let id = try scheduler.queue(["smtp h a@h"], sender: "x@a.test, y@b.test")
        try record(id, 0, .failed, "5.1.1", "no")
        _ = try writer().send(id)
        #expect(try submitted().first?.envelope.recipients.map(\.address) == ["x@a.test", "y@b.test"])
    }

    @Test("deliveryform and expiryform choose the form, in the operator's language")
    func forms() throws {
        try scheduler.write("SUB ours\n\ntext\n", to: "share/forms/ours")
        try scheduler.write("SUB unsere\n\nText\n", to: "share/forms/ours.de")
        try scheduler.write("SUB too late\n\ntext\n", to: "share/forms/late")
        var rules = ReportRules()
        rules.form = { channel, host, isExpired in channel == "smtp" && host == "h" ? isExpired ? "late" : "ours" : nil
        }
        for (language, status, subject) in [
            ("", "5.1.1", "ours"), ("de", "5.1.1", "unsere"), ("de", "5.4.7", "too late"),
        ] {
            rules.languages = { [language] }
            let id = try scheduler.queue(["smtp h a@h"])
            try record(id, 0, .failed, status, "no")
            _ = try writer(rules).send(id)
            #expect(try submitted().last?.content.contains("Subject: \(subject) [FAILED(1)]") == true)
        }
    }

    // MARK: Double faults

    private func undeliverable(mark: Bool = false) throws -> SpoolID {
        let id = try scheduler.queue(["smtp h a@h"], sender: nil)
        try record(id, 0, .failed, "5.1.1", "no such user", diagnostic: "smtp; 550 5.1.1 no such user")
        return id
    }

    @Test("an undeliverable report goes to those that are named, as a report that is not reported about")
    func doubleFault() throws {
        try scheduler.write("ADR abuse@example.test\nSUB Trouble\n\ntext\n", to: "share/forms/doublefault")
        var rules = ReportRules()
        rules.doubleFaultAddresses = { ["postmaster"] }
        guard case .sent(let report) = try writer(rules).doubleFault(try undeliverable()) else { throw TestFailure("") }
        #expect(report.to == "postmaster,abuse@example.test")
        let (envelope, content) = try #require(try submitted().first)
        #expect(envelope.isErrorMessage && envelope.sender == nil)
        #expect(envelope.recipients.map(\.address) == ["postmaster", "abuse@example.test"])
        #expect(envelope.recipients.allSatisfy { $0.notify == .never })
        #expect(envelope.comments == [DoubleFaults.mark])
        #expect(content.contains("Subject: Double-fault: Trouble [FAILED(1)]"))
        #expect(content.contains("Diagnostic-Code: smtp; 550 5.1.1 no such user") && content.contains("\r\n\r\nbody"))
    }

    @Test("one about such a report ends: nobody is told of it")
    func noLoop() throws {
        var rules = ReportRules()
        rules.doubleFaultAddresses = { ["postmaster"] }
        let id = try undeliverable()
        let path = scheduler.postoffice.path(.queue, id)
        let content = String(decoding: try scheduler.postoffice.read(.queue, id, limit: 1 << 20), as: UTF8.self)
        // As the router leaves it: the envelope of the message file stays.
        let marked = content.replacing("from x\n", with: "channel error\ncomment \(DoubleFaults.mark)\n")
        let file = try #require(fopen(path, "w"))
        fputs(marked, file)
        fclose(file)
        var control = try scheduler.control(id)
        control.headerStart += marked.utf8.count - content.utf8.count
        let head = try #require(fopen(scheduler.postoffice.path(.transport, id), "w"))
        fputs(String(decoding: control.encodeHead(), as: UTF8.self), head)
        fclose(head)
        guard case .undeliverable = try writer(rules).doubleFault(id) else { throw TestFailure("was told") }
        #expect(try submitted().isEmpty)
    }

    @Test("nobody named, nobody told; and no more than so many in an hour")
    func limits() throws {
        let id = try undeliverable()
        guard case .nobody = try writer().doubleFault(id) else { throw TestFailure("was told") }
        var rules = ReportRules()
        rules.doubleFaultAddresses = { ["postmaster"] }
        let writer = writer(rules)
        var sent = 0
        for _ in 0..<(DoubleFaults.maximumPerHour + 20) {
            if case .sent = try writer.doubleFault(id) { sent += 1 }
        }
        #expect(sent == DoubleFaults.maximumPerHour)
    }

    @Test("the limit is one of each hour")
    func hours() {
        let faults = DoubleFaults()
        for hour in Int64(0)..<3 {
            let allowed = (0..<150).count { faults.mayReport(at: 3600 * hour + Int64($0)) }
            #expect(allowed == DoubleFaults.maximumPerHour)
        }
    }
}
