import AgentProtocol
import Configuration
import Glibc
import MailModel
import Postoffice
import ProgramKit
import SpoolFormat
import Testing

@testable import AgentKit
@testable import ExpirerAgent
@testable import RerouteAgent

@Suite("Agents that empty a queue")
struct QueueAgentTests {
    let fixture: StreamFixture

    init() throws { fixture = try StreamFixture() }

    private func run(_ agent: some TransportAgent, _ groups: [ControlGroup], channel: String = "smtp") throws
        -> [AgentReport]
    {
        let control = try fixture.spool.add(groups)
        let messages = try fixture.spool.run(agent, channel: channel, input: "\(control.id)\n")
        return messages.compactMap { if case .report(let report) = $0 { report } else { nil } }
            .sorted { $0.offset < $1.offset }
    }

    private static let group = ControlGroup.from(
        "s@a.example", [("smtp", "b.example", "x@b.example"), ("smtp", "b.example", "Y@B.example")])

    @Test("what is deleted fails with the administrator's words")
    func expired() throws {
        let reports = try run(ExpirerTransportAgent(.init()), [Self.group])
        #expect(reports.map(\.result) == [.failed, .failed])
        #expect(reports.allSatisfy { $0.notary?.status == "5.7.0" && $0.notary?.action == .failed })
        #expect(reports[0].notary?.diagnostic.contains("(Administrative deletion command)") == true)
        #expect(reports[0].message == "deleted by the administrator")
        var settings = ExpirerTransportAgent.Settings()
        settings.text = "that host is gone"
        #expect(try run(ExpirerTransportAgent(settings), [Self.group])[1].message == "that host is gone")
    }

    @Test("one address only; a dry run; silently")
    func variants() throws {
        var one = ExpirerTransportAgent.Settings()
        one.address = "Y@b.EXAMPLE"
        #expect(try run(ExpirerTransportAgent(one), [Self.group]).map(\.result) == [.deferred, .failed])
        one.address = "y@b.example"
        #expect(try run(ExpirerTransportAgent(one), [Self.group]).map(\.result) == [.deferred, .deferred])
        var dry = ExpirerTransportAgent.Settings()
        dry.isDryRun = true
        let kept = try run(ExpirerTransportAgent(dry), [Self.group])
        #expect(kept.map(\.result) == [.deferred, .deferred] && kept[0].message.hasPrefix("would be deleted"))
        var silent = ExpirerTransportAgent.Settings()
        silent.isSilent = true
        let gone = try run(ExpirerTransportAgent(silent), [Self.group])
        #expect(gone.map(\.result) == [.ok, .ok] && gone.allSatisfy { $0.notary == nil })
        #expect(gone[0].message.hasPrefix("deleted silently"))
    }

    @Test("what is routed again is a message of its own; files and programs of tables stay")
    func rerouted() throws {
        let postoffice = try Postoffice("\(fixture.root)/post", creating: true)
        let agent = RerouteTransportAgent(
            resubmission: Resubmission(
                postoffice: postoffice,
                notice: NoticeSender(socketPath: "\(fixture.root)/nobody", directory: "router"),
                hostName: "mx.example.test", via: "rerouting"))
        let reports = try run(agent, [Self.group])
        #expect(reports.map(\.result) == [.ok, .ok] && reports.allSatisfy { $0.notary == nil })
        let local = ControlGroup.from("s@a.example", [("local", "pipe.list", "|/bin/cat")])
        #expect(try run(agent, [local], channel: "local").map(\.result) == [.deferred])
        let mailbox = ControlGroup.from("s@a.example", [("local", "-", "alice")])
        #expect(try run(agent, [mailbox], channel: "local").map(\.result) == [.ok])
        let envelopes = try postoffice.entries(.router).map {
            try MessageEnvelope.parse(try postoffice.read(.router, $0, limit: 1 << 20)).envelope
        }
        #expect(envelopes.map { $0.recipients.map(\.address) } == [["x@b.example", "Y@B.example"], ["alice"]])
        #expect(envelopes.allSatisfy { $0.via == "rerouting" && $0.sender == "s@a.example" && $0.submission == nil })
    }

    @Test("where the message came from stays in its envelope; what it asked for is not asked twice")
    func envelope() throws {
        let postoffice = try Postoffice("\(fixture.root)/post", creating: true)
        var envelope = MessageEnvelope()
        envelope.sender = "s@a.example"
        envelope.isExternal = true
        envelope.receivedFrom = "mx.a.example ([192.0.2.1])"
        envelope.authenticatedUser = "alice"
        envelope.submission = .authenticated
        envelope.release = FutureRelease(at: 1000)
        envelope.comments = ["policy"]
        let front = envelope.encoded()
        let control = try fixture.spool.add([Self.group]) {
            $0.headerStart = front.count
            $0.bodyOffset = front.count + 14
            $0.messageSize = front.count + 21
        }
        try fixture.spool.write(front + Array("Subject: x\r\n\r\nHello\r\n".utf8), to: "queue/\(control.id)")
        let agent = RerouteTransportAgent(
            resubmission: Resubmission(
                postoffice: postoffice,
                notice: NoticeSender(socketPath: "\(fixture.root)/nobody", directory: "router"),
                hostName: "mx.example.test", via: "rerouting"))
        _ = try fixture.spool.run(agent, input: "\(control.id)\n")
        let id = try #require(try postoffice.entries(.router).first)
        let found = try MessageEnvelope.parse(try postoffice.read(.router, id, limit: 1 << 20)).envelope
        #expect(found.isExternal && found.receivedFrom == envelope.receivedFrom && found.comments == ["policy"])
        #expect(found.authenticatedUser == "alice" && found.submission == nil && found.release == nil)
    }
}

@Suite("What agents have in common")
struct CommonAgentTests {
    @Test(
        "exit codes of sysexits.h, with the words for what should not happen",
        arguments: [
            (0, DeliveryResult.ok, ""), (75, .deferred, ""), (74, .deferred, ""), (71, .deferred, ""),
            (73, .deferred, ""), (70, .deferred, ""), (67, .failed, ""), (68, .failed, ""), (69, .failed, ""),
            (77, .failed, "(this is abnormal, investigate!)"), (76, .failed, "(this is abnormal, investigate!)"),
            (64, .failed, "(this is abnormal, investigate!)"), (65, .failed, "Unknown sysexits error code 65!"),
            (78, .failed, "Unknown sysexits error code 78!"), (1, .failed, "Unknown sysexits error code 1!"),
        ] as [(Int32, DeliveryResult, String)])
    func exitCodes(code: Int32, result: DeliveryResult, remark: String) {
        let found = DeliveryResult.exitCode(code)
        #expect(found.result == result && found.remark == remark)
    }

    private static let ours =
        "Received: from a by b with ESMTP id 77\r\n\tPRIORITY 3; Sat, 21 Nov 2026 05:10:01 +0000\r\n"

    private func recipient(original: String? = nil, envelope: String? = "l@x.example") -> JobRecipient {
        var recipient = ControlRecipient(
            quad: Quad(channel: "local", host: "-", user: "u", privilege: 0), originalRecipient: original)
        recipient.envelopeRecipient = envelope
        return JobRecipient(group: 0, recipient: recipient)
    }

    private func adding(_ recipient: JobRecipient, to header: String) -> String {
        String(
            decoding: ReceivedClause.adding(recipient, to: Array(header.utf8), id: SpoolID(rawValue: 77)), as: UTF8.self
        )
    }

    @Test("our own Received field tells for whom a copy is, in front of its date")
    func clause() {
        let rest = "Received: from x; y\r\nSubject: z\r\n"
        #expect(
            adding(recipient(), to: Self.ours + rest)
                == "Received: from a by b with ESMTP id 77\r\n\tPRIORITY 3\r\n\tfor <l@x.example>; Sat, 21 Nov 2026 05:10:01 +0000\r\n"
                + rest)
        #expect(
            adding(recipient(original: "rfc822;o+2B)x@x.example"), to: Self.ours + rest).contains(
                "3\r\n\t(ORCPT <rfc822;o+\\)x@x.example>); Sat"))
        #expect(
            adding(recipient(), to: "Received: by b id 77; d\nA: b\n")
                == "Received: by b id 77\n\tfor <l@x.example>; d\nA: b\n")
    }

    @Test(
        "no other field is touched, and none twice",
        arguments: [
            "Received: from a by b id 78; d\r\nReceived: from x by b id 77; d\r\n", "Subject: x\r\n", "",
            "Received: from a by b id 77\r\n\tfor <a@b>; d\r\n", "Received: from a by b id 77 (ORCPT <x>); d\r\n",
            "Received: from a by b id 77 d\r\n", "Received: from id by b 77; d\r\n",
        ])
    func untouched(header: String) { #expect(adding(recipient(), to: header) == header) }

    @Test("an address that is none is not told")
    func noAddress() {
        #expect(adding(recipient(envelope: "<a>\r\nEvil: x"), to: Self.ours) == Self.ours)
        #expect(adding(recipient(envelope: nil), to: Self.ours) == Self.ours)
    }
}
