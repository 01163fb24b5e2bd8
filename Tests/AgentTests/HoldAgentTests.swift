import AgentKit
import AgentProtocol
import Configuration
import Glibc
import MailModel
import Postoffice
import Resolver
import SpoolFormat
import Testing

@testable import HoldAgent

@Suite("Mail that waits")
struct HoldAgentTests {
    let fixture: StreamFixture
    let postoffice: Postoffice

    init() throws {
        fixture = try StreamFixture()
        postoffice = try Postoffice("\(fixture.root)/post", creating: true)
    }

    /// Answers of the DNS: no data, no such name, or trouble.
    private struct Names: NameService {
        func lookUp(_ questions: [Question]) -> [Lookup<[UInt8]>] {
            questions.map { question in
                switch question.name {
                case "there.test": .answer(Answer(records: [[127, 0, 0, 1]]))
                case "nothing.test": .noData
                case "nowhere.test": .nxDomain
                case "half.test" where question.type == .a: .noData
                default: .temporaryFailure("SERVFAIL")
                }
            }
        }
    }

    private func judge() -> HoldJudge {
        HoldJudge(resolver: Names(), zenv: ZEnvironment(values: ["MAILBIN": fixture.root, "MAILSHARE": "/s"]))
    }

    private func agent(_ judge: HoldJudge? = nil) -> HoldTransportAgent {
        HoldTransportAgent(
            judge: judge ?? self.judge(),
            resubmission: Resubmission(
                postoffice: postoffice,
                notice: NoticeSender(socketPath: "\(fixture.root)/nobody", directory: "router"),
                hostName: "mx.example.test", via: "suspension"))
    }

    private func run(
        _ groups: [ControlGroup], content: String = "Received: a\r\nSubject: x\r\n\r\nHello\r\n.\r\n",
        configure: (inout ControlFile) -> Void = { _ in }
    ) throws -> [AgentReport] {
        let control = try fixture.spool.add(groups, content: content) { control in
            let octets = Array(content.utf8)
            let ends = ["\r\n\r\n", "\n\n"].map { Array($0.utf8) }
            let end = octets.indices.lazy.compactMap { index in
                ends.first { octets[index...].starts(with: $0) }.map { index + $0.count }
            }.first
            control.bodyOffset = control.headerStart + (end ?? octets.count)
            configure(&control)
        }
        let messages = try fixture.spool.run(agent(), channel: "hold", input: "\(control.id)\n")
        return messages.compactMap { if case .report(let report) = $0 { report } else { nil } }
            .sorted { $0.offset < $1.offset }
    }

    private func group(_ host: String, _ users: [String], sender: String = "s@a.example") -> ControlGroup {
        .from(sender, users.map { ("hold", host, $0) })
    }

    private func submitted() throws -> [(id: SpoolID, envelope: MessageEnvelope, content: String)] {
        try postoffice.entries(.router).map { id in
            let octets = try postoffice.read(.router, id, limit: 1 << 24)
            let (envelope, start) = try MessageEnvelope.parse(octets)
            #expect(envelope.isWhole(headerStart: start, fileSize: octets.count))
            #expect(envelope.traits?.size == octets.count - start)
            return (id, envelope, String(decoding: octets[start...], as: UTF8.self))
        }
    }

    @Test("what it waited for is there: routed again with all that the sender wished, octet for octet")
    func released() throws {
        var held = group("timeout:1", ["x@b.example", "y@c.example"])
        held.recipients[0].notify = [.success, .failure]
        held.recipients[0].originalRecipient = "rfc822;l+2Bx@b.example"
        held.recipients[1].notify = .never
        let reports = try run([held]) {
            $0.envelopeID = "E+2B1"
            $0.notaryReturn = .headers
            $0.bodyType = "8BITMIME"
            $0.isInternationalized = true
            $0.requiresTLS = true
        }
        #expect(reports.map(\.result) == [.ok, .ok])
        #expect(reports.allSatisfy { $0.notary == nil && $0.message.hasPrefix("Relayed via deferral channel as ") })
        let messages = try submitted()
        #expect(messages.count == 1)
        let (id, envelope, content) = try #require(messages.first)
        #expect(envelope.via == "suspension" && envelope.sender == "s@a.example")
        #expect(envelope.envelopeID == "E+2B1" && envelope.notaryReturn == .headers && envelope.bodyType == "8BITMIME")
        #expect(envelope.isInternationalized && envelope.requiresTLS && !envelope.isErrorMessage)
        #expect(
            envelope.recipients == [
                EnvelopeRecipient(
                    address: "x@b.example", notify: [.success, .failure], originalRecipient: "rfc822;l+2Bx@b.example"),
                EnvelopeRecipient(address: "y@c.example", notify: .never),
            ])
        let trace = "Received: by mx.example.test via suspension id \(id)\r\n\t("
        #expect(content.hasPrefix(trace) && content.contains(" held for timeout:1); "))
        #expect(content.hasSuffix("\r\nReceived: a\r\nSubject: x\r\n\r\nHello\r\n.\r\n"))
        #expect(content.components("Received:") == 2)
        #expect(envelope.traits?.hasDotLines == true)
    }

    @Test("senders, headers and times to deliver by do not mix; a report stays one")
    func parts() throws {
        var late = group("timeout:1", ["z@b.example"])
        late.recipients[0].deliverBy = DeliverByTime(4_000_000_000, .notify)
        var list = group("timeout:1", ["m@b.example"], sender: "owner-list@b.example")
        list.header = Array("Subject: new\r\n".utf8)
        let reports = try run([group("timeout:1", ["x@b.example"], sender: ""), late, list]) {
            $0.groups[0].sender.channel = "error"
            $0.isErrorMessage = true
        }
        #expect(reports.map(\.result) == [.ok, .ok, .ok])
        let messages = try submitted()
        #expect(
            Set(messages.map { "\($0.envelope.sender ?? "<>") \($0.envelope.recipients.map(\.address))" }) == [
                "<> [\"x@b.example\"]", "s@a.example [\"z@b.example\"]", "owner-list@b.example [\"m@b.example\"]",
            ])
        for (_, envelope, content) in messages {
            #expect(envelope.isErrorMessage)
            #expect((envelope.deliverBy != nil) == (envelope.recipients[0].address == "z@b.example"))
            let isNew = envelope.sender == "owner-list@b.example"
            #expect(
                content.hasSuffix(
                    isNew ? "\r\nSubject: new\r\n\r\nHello\r\n.\r\n" : "\r\nSubject: x\r\n\r\nHello\r\n.\r\n"))
            #expect(content.contains("Received: a\r\n") == !isNew)
        }
    }

    @Test("a file with LF lines stays one, and a large body is copied whole", arguments: ["\n", "\r\n"])
    func large(lineEnd: String) throws {
        let body = String(repeating: "0123456789abcde\(lineEnd)", count: 100_000)
        let content = "Subject: x\(lineEnd)\(lineEnd)\(body)"
        let reports = try run([group("timeout:1", ["x@b.example"])], content: content) {
            $0.format = lineEnd == "\n" ? .lf : .crlf
        }
        #expect(reports.map(\.result) == [.ok], "\(reports)")
        let message = try #require(try submitted().first)
        #expect(message.envelope.format == (lineEnd == "\n" ? .lf : .crlf))
        #expect(message.content.hasSuffix("\(lineEnd)\(content)"))
        #expect(message.content.utf8.count { $0 == 0x0d } == (lineEnd == "\n" ? 0 : 100_004))
    }

    @Test("what is not there yet leaves the mail in the queue, and tells for what it waits")
    func waiting() throws {
        let reports = try run([group("ns:broken.test/mx", ["x@b.example"])])
        #expect(reports.map(\.result) == [.deferred])
        #expect(reports[0].message.contains("waits for the DNS to tell mx of broken.test: SERVFAIL"))
        let timed = try run([group("timeout:\(time(nil) + 600)", ["x@b.example"])])
        guard case .retry(let seconds)? = timed.first?.result else { throw Missing("\(timed)") }
        #expect((590...600).contains(seconds))
        #expect(try submitted().isEmpty)
    }

    private struct Missing: Error {
        let text: String
        init(_ text: String) { self.text = text }
    }

    @Test(
        "a host that is no condition keeps the mail until somebody puts it right",
        arguments: ["-", "later", "ns:a;b/mx", "script:../x"])
    func unreadable(host: String) throws {
        let reports = try run([group(host, ["x@b.example"])])
        #expect(reports.map(\.result) == [.deferred] && reports[0].notary?.status == "4.3.5")
        #expect(reports[0].message.contains("valid are ns:name/type, timeout:"))
    }

    @Test("a spool that is full or broken keeps the mail")
    func brokenSpool() throws {
        let reports = try run([group("timeout:1", ["x@b.example"])]) { _ in
            // Nothing can be linked into a directory that is gone.
            rename("\(fixture.root)/post/router", "\(fixture.root)/post/gone")
        }
        #expect(reports.map(\.result) == [.deferred] && reports[0].message.contains("cannot be stored"), "\(reports)")
        rename("\(fixture.root)/post/gone", "\(fixture.root)/post/router")
        #expect(try submitted().isEmpty)
    }

    @Test(
        "conditions",
        arguments: [
            ("ns:there.test/a", true), ("ns:nothing.test/mx", true), ("NS:nowhere.test/MX", true),
            ("ns:broken.test/a", false), ("ns:half.test/a", true), ("ns:half.test/any", false),
            ("ns:there.test/any", true), ("ns:there.test/wks", true), ("ns:broken.test", true), ("ns:", true),
            ("timeout:0", true), ("timeout:1000", true), ("timeout:1001", false), ("age:100", true),
            ("age:1m40s", true), ("age:101s", false), ("home:root", true), ("home:nobodyatall", false),
            ("script:yes", true), ("script:yes/x", true), ("script:no", false), ("script:none", false),
            ("script:args/a b;$(x)/c", true),
        ])
    func conditions(text: String, isMet: Bool) throws {
        try #require(mkdir("\(fixture.root)/bin", 0o755) == 0)
        try fixture.script("exit 0", "bin/yes")
        try fixture.script("echo no; exit 1", "bin/no")
        try fixture.script("test $# -eq 1 && test \"$1\" = 'a b;$(x)/c' && test -z \"$HOME\"", "bin/args")
        let condition = try #require(HoldCondition(text))
        let verdict = judge().verdict(condition, arrival: 900, now: 1000)
        if case .met = verdict { #expect(isMet, "\(verdict)") } else { #expect(!isMet, "\(verdict)") }
    }

    @Test(
        "what is no condition",
        arguments: [
            "", "x", "x:y", "timeout:", "timeout:x", "timeout:-1", "age:", "age:x", "script:", "script:/x",
            "script:a b", "script:.x", "script:-x", "script:x/-rf", "home:", "home:a/b", "ns:/mx", "ns:a/x",
            "ns:a b/mx",
            "io:1",
        ])
    func noCondition(text: String) { #expect(HoldCondition(text) == nil) }

    @Test("a script that hangs is ended")
    func slowScript() throws {
        try #require(mkdir("\(fixture.root)/bin", 0o755) == 0)
        try fixture.script("while :; do sleep 1; done", "bin/slow")
        var judge = judge()
        judge.limits.time = .milliseconds(300)
        judge.limits.grace = .milliseconds(100)
        let verdict = judge.verdict(.script(name: "slow", argument: nil), arrival: 0, now: 0)
        #expect(verdict == .waiting("waits for script slow, which took too long"))
    }

    @Test("chance is met now and then, and not always")
    func chance() {
        let verdicts = (0..<1000).map { _ in judge().verdict(.sometimes, arrival: 0, now: 0) }
        let met = verdicts.count { if case .met = $0 { true } else { false } }
        #expect((20...300).contains(met))
    }
}

extension String {
    /// How often `text` occurs.
    fileprivate func components(_ text: String) -> Int {
        var count = 0
        var rest = self[...]
        while let range = rest.firstRange(of: text) {
            count += 1
            rest = rest[range.upperBound...]
        }
        return count
    }
}
