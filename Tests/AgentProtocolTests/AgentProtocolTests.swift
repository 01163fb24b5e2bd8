import AgentProtocol
import SpoolFormat
import Testing

@Suite("Lines between scheduler and agents") struct AgentLineTests {
    static let notary = Notary(
        finalRecipient: "a@b", action: .relayed, status: "2.0.0", diagnostic: "smtp; 250", agent: "x[1]")

    @Test(
        "jobs are read and written",
        arguments: [
            ("123", .deliver(file: SpoolID(rawValue: 123), host: nil)),
            ("123\texample.test", .deliver(file: SpoolID(rawValue: 123), host: "example.test")),
            ("123\t\u{301}x.test", .deliver(file: SpoolID(rawValue: 123), host: "\u{301}x.test")), ("#idle", .idle),
            (
                "123\texample.test\tmaxmsgs=20",
                .deliver(
                    file: SpoolID(rawValue: 123), host: "example.test",
                    limits: AgentJobLimits(messagesPerConnection: 20))
            ),
            (
                "123\t\tmaxmsgs=1",
                .deliver(file: SpoolID(rawValue: 123), host: nil, limits: AgentJobLimits(messagesPerConnection: 1))
            ),
        ] as [(String, AgentJob)])
    func jobs(line: String, job: AgentJob) {
        #expect(AgentJob(line: line) == job)
        #expect(job.line == line)
    }

    @Test("what is no job is refused", arguments: ["", "#hungry", "abc", "\t123", "0123", "-1", "123 x", "#idle "])
    func badJobs(line: String) { #expect(AgentJob(line: line) == nil) }

    @Test("an empty host is none, and a host cannot end the line")
    func hosts() {
        #expect(AgentJob(line: "5\t") == .deliver(file: SpoolID(rawValue: 5), host: nil))
        #expect(AgentJob.deliver(file: SpoolID(rawValue: 5), host: "a\n#idle").line == "5\ta #idle")
    }

    @Test(
        "words of a job that are not known, or cannot be, ask for nothing",
        arguments: [
            ("5\th\t", nil), ("5\th\tfoo=1", nil), ("5\th\tmaxmsgs=0", nil), ("5\th\tmaxmsgs=-1", nil),
            ("5\th\tmaxmsgs=x", nil), ("5\th\tfoo=1 maxmsgs=7 bar", 7), ("5\th\tmaxmsgs=99999999999999999999", nil),
        ] as [(String, Int?)])
    func limits(line: String, messages: Int?) {
        let limits = AgentJobLimits(messagesPerConnection: messages)
        #expect(AgentJob(line: line) == .deliver(file: SpoolID(rawValue: 5), host: "h", limits: limits))
        #expect(AgentJobLimits(messagesPerConnection: 0) == AgentJobLimits())
    }

    @Test(
        "reports come back from their line",
        arguments: [
            DeliveryResult.ok, .failed, .deferred, .deferredAll, .deferredBack, .retry(afterSeconds: 0),
            .retry(afterSeconds: 31_536_000),
        ])
    func reports(result: DeliveryResult) {
        for message in ["", "250 ok", " leading", "\u{301}mark", "a  b "] {
            for notary in [Self.notary, nil] {
                let report = AgentReport(
                    file: SpoolID(rawValue: 42), offset: 210, notary: notary, result: result, message: message)
                #expect(AgentReport(line: report.line) == report)
                #expect(AgentMessage(line: report.line) == .report(report))
            }
        }
        #expect(result.isFinal == (result == .ok || result == .failed))
    }

    @Test("a relay that the sender is to hear of has a word of its own, which others take for a success")
    func toBeTold() {
        var report = AgentReport(
            file: SpoolID(rawValue: 42), offset: 210, notary: Self.notary, result: .ok, message: "250 ok",
            isToBeTold: true)
        #expect(report.line.hasSuffix("\tok2 250 ok"))
        #expect(AgentReport(line: report.line) == report)
        #expect(AgentReport(line: "1/2\t\tok2")?.isToBeTold == true)
        #expect(AgentReport(line: "1/2\t\tok ok2")?.isToBeTold == false)
        report.result = .deferred
        #expect(AgentReport(line: report.line)?.isToBeTold == false)
    }

    @Test(
        "ZMailer's other words mean the same",
        arguments: [
            ("ok2 x", .ok), ("ok3", .ok), ("error2 y", .failed), ("deferback", .deferredBack),
            ("retryat +60 soon", .retry(afterSeconds: 60)),
        ] as [(String, DeliveryResult)])
    func words(text: String, result: DeliveryResult) { #expect(AgentReport(line: "1/2\t\t\(text)")?.result == result) }

    @Test(
        "what is no report is a remark",
        arguments: [
            "", "#", "# note", "1/2", "1/2\t\t", "1/2\tx", "1\t\tok", "1/2/3\t\tok", "/2\t\tok", "1/\t\tok",
            "1/-2\t\tok", "1/+2\t\tok",
            "01/2\t\tok", "1/2\t\tfine", "1/2\t\tok2x", "1/2\t\tretryat", "1/2\t\tretryat 60", "1/2\t\tretryat +x",
            "1/2\t\tretryat +-5", "1/2\t\tretryat +31536001", "1/2\t\tretryat +99999999999999999999",
            "1/99999999999999999999\t\tok",
            "#resync", "#resync x", "#resync 1 2", "#hungry ", "#idle",
        ])
    func remarks(line: String) { #expect(AgentMessage(line: line) == .remark(line)) }

    @Test("credits and resyncs are read and written")
    func credits() {
        #expect(AgentMessage(line: "#hungry") == .hungry && AgentMessage.hungry.line == "#hungry")
        let resync = AgentMessage.resync(SpoolID(rawValue: 9))
        #expect(AgentMessage(line: "#resync 9") == resync && resync.line == "#resync 9")
        #expect(AgentMessage.remark("a\nb").line == "#a b" && AgentMessage.remark("#a").line == "#a")
    }

    @Test("a message cannot end its line or field; an unreadable notary says nothing")
    func cleaning() {
        let report = AgentReport(
            file: SpoolID(rawValue: 1), offset: 2, notary: nil, result: .failed, message: "a\nb\tc")
        #expect(report.line == "1/2\t\terror a\rb c")
        #expect(
            AgentReport(line: "1/2\tjunk\tok x")
                == AgentReport(file: SpoolID(rawValue: 1), offset: 2, notary: nil, result: .ok, message: "x"))
    }
}

@Suite("Lines of a stream") struct LineSplitterTests {
    private func lines(_ octets: [UInt8], cuts: [Int], limit: Int) -> [String] {
        var splitter = LineSplitter(maximumLineLength: limit)
        var lines: [String] = []
        var start = 0
        for cut in cuts + [octets.count] {
            Array(octets[start..<cut]).withUnsafeBytes { splitter.append($0) { lines.append($0) } }
            start = cut
        }
        return lines
    }

    @Test(
        "the lines do not depend on how the octets arrive",
        arguments: [
            ("", []), ("a", []), ("\n", [""]), ("a\nb\n", ["a", "b"]), ("a\r\n", ["a\r"]), ("\n\n", ["", ""]),
            ("123456\n", ["12345"]),
            ("12345\n6\n", ["12345", "6"]), ("1234567890\nab\n", ["12345", "ab"]), ("1234567890", []),
            ("123456\n\n7\n", ["12345", "", "7"]),
            ("ü€\nx\n", ["ü€", "x"]), ("ab\u{0}c\n", ["ab\u{0}c"]),
        ])
    func splits(text: String, expected: [String]) {
        let octets = Array(text.utf8)
        for first in 0...octets.count {
            for second in first...octets.count {
                #expect(lines(octets, cuts: [first, second], limit: 5) == expected)
            }
        }
        #expect(lines(octets, cuts: Array(0..<octets.count), limit: 5) == expected)
    }

    @Test("a flood without a line end keeps no more than the limit")
    func flood() {
        var splitter = LineSplitter(maximumLineLength: 100)
        var lines: [String] = []
        let chunk = [UInt8](repeating: 0x61, count: 65536)
        for _ in 0..<100 { chunk.withUnsafeBytes { splitter.append($0) { lines.append($0) } } }
        Array("\nnext\n".utf8).withUnsafeBytes { splitter.append($0) { lines.append($0) } }
        #expect(lines == [String(repeating: "a", count: 100), "next"])
    }
}

@Suite("Spool notices") struct SpoolNoticeTests {
    @Test(
        "notices are read",
        arguments: [
            ("NEW router 123", .new(directory: "router", ids: [SpoolID(rawValue: 123)])),
            ("NEW router 1 2  3", .new(directory: "router", ids: [1, 2, 3].map { SpoolID(rawValue: $0) })),
            ("NEW 5", .new(directory: "", ids: [SpoolID(rawValue: 5)])),
            ("NEW 5 6", .new(directory: "", ids: [5, 6].map { SpoolID(rawValue: $0) })),
            ("SCAN", .scan), ("", .scan), ("NEW", .scan), ("NEW router", .scan), ("NEW router A/5", .scan),
            ("OLD router 5", .scan),
            ("NEW router 5 x", .scan), ("NEW router 1 99999999999999999999", .scan), ("\u{301}", .scan),
        ] as [(String, SpoolNotice)])
    func reading(text: String, notice: SpoolNotice) { #expect(SpoolNotice(text) == notice) }

    @Test("what is written is read again, up to the largest")
    func roundTrip() {
        for directory in ["router", ""] {
            for count in [1, 2, SpoolNotice.maximumNames] {
                let notice = SpoolNotice.new(
                    directory: directory, ids: (0..<UInt64(count)).map { SpoolID(rawValue: .max - $0) })
                #expect(SpoolNotice(notice.text) == notice)
                #expect(notice.text.utf8.count <= 8192)
            }
        }
        #expect(SpoolNotice(SpoolNotice.scan.text) == .scan)
    }
}
