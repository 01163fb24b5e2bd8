import AgentKit
import AgentProtocol
import Glibc
import MailModel
import SpoolFormat
import Synchronization
import Testing

/// Reports every recipient as delivered, with what it saw of the job.
private final class EchoAgent: TransportAgent {
    let seen = Mutex<[String]>([])
    let leavesOut: String?

    init(leavesOut: String? = nil) { self.leavesOut = leavesOut }

    func deliver(_ job: DeliveryJob) {
        for recipient in job.recipients where recipient.address != leavesOut {
            let octets = (try? job.content.octets(in: 0..<job.content.count)) ?? []
            let sender = job.sender(of: recipient) ?? "<>"
            seen.withLock { $0.append("\(sender) \(job.host) \(String(decoding: octets, as: UTF8.self))") }
            job.report(
                recipient, RecipientResult(.ok, .delivered, status: "2.0.0", text: "line\none\ttab\u{01}x"),
                relay: "here")
        }
    }
}

@Suite("The loop of an agent")
struct AgentKitRunnerTests {
    private let spool: AgentKitSpool

    init() throws { spool = try AgentKitSpool() }

    static let two = ControlGroup.from("s@a.test", [("smtp", "a.test", "u@a.test"), ("smtp", "b.test", "u@b.test")])

    private func reports(_ messages: [AgentMessage]) -> [AgentReport] {
        messages.compactMap { if case .report(let report) = $0 { report } else { nil } }
    }

    @Test("a job is read, delivered and reported, and its credit comes back behind the reports")
    func oneJob() throws {
        let control = try spool.add([Self.two])
        let agent = EchoAgent()
        let messages = try spool.run(agent, input: "\(control.id)\ta.test\n")
        #expect(agent.seen.withLock { $0 } == ["s@a.test a.test Subject: x\r\n\r\nHello\r\n"])
        #expect(messages.count == 3)
        #expect(messages.first == .hungry)
        #expect(messages.last == .hungry)
        let report = try #require(reports(messages).first)
        #expect(report.file == control.id)
        let parsed = try ControlFile.parse(
            try octets("transport/\(control.id)"))
        #expect(report.offset == parsed.groups[0].recipients[0].offset)
        #expect(report.result == .ok)
        #expect(report.message == "line one tab x")
        #expect(report.notary?.finalRecipient == "u@a.test")
        #expect(report.notary?.action == .delivered)
        #expect(report.notary?.agent == "test[\(getpid())]")
    }

    private func octets(_ name: String) throws -> [UInt8] {
        let descriptor = open("\(spool.root)/\(name)", O_RDONLY)
        defer { close(descriptor) }
        var buffer = [UInt8](repeating: 0, count: 1 << 20)
        let count = read(descriptor, &buffer, buffer.count)
        return Array(buffer[..<count])
    }

    @Test("one credit for each job that may run at once, and one back for each that ran")
    func credits() throws {
        let controls = try (0..<50).map { _ in try spool.add([Self.two]) }
        let agent = EchoAgent()
        let input = controls.map { "\($0.id)\tb.test\n" }.joined()
        let messages = try spool.run(agent, jobs: 8, input: input)
        #expect(messages.count { $0 == .hungry } == 58)
        #expect(Set(reports(messages).map(\.file)) == Set(controls.map(\.id)))
        #expect(reports(messages).count == 50)
    }

    @Test("#idle uses no credit up; an empty line ends the work, and what is unfinished is ignored")
    func ends() throws {
        let control = try spool.add([Self.two])
        let agent = EchoAgent()
        #expect(try spool.run(agent, input: "#idle\n") == [.hungry])
        #expect(try spool.run(agent, input: "\n\(control.id)\ta.test\n") == [.hungry])
        #expect(try spool.run(agent, input: "\(control.id)\ta.test") == [.hungry])
        #expect(agent.seen.withLock { $0.isEmpty })
    }

    @Test("a control file that is gone, torn or holds nothing for the agent is to be read again")
    func resync() throws {
        let other = try spool.add([.from("s@a.test", [("local", "-", "u")])])
        let torn = try spool.add([Self.two])
        try spool.write(Array("@ 0x00000007\ni 1\n".utf8), to: "transport/\(torn.id)")
        let gone = SpoolID(rawValue: 7)
        let messages = try spool.run(EchoAgent(), input: "\(other.id)\n\(torn.id)\n\(gone)\n")
        #expect(
            messages.filter { if case .resync = $0 { true } else { false } }
                == [.resync(other.id), .resync(torn.id), .resync(gone)])
        #expect(reports(messages).isEmpty)
        #expect(messages.count { $0 == .hungry } == 4)
    }

    @Test("a line that is no job is remarked and gives its credit back")
    func unreadable() throws {
        let messages = try spool.run(EchoAgent(), input: "../../etc/passwd\n")
        #expect(messages == [.hungry, .remark("#unreadable job: ../../etc/passwd"), .hungry])
    }

    @Test("a missing message file is the scheduler's business, never the sender's; a short one defers its recipients")
    func messageFile() throws {
        let missing = try spool.add([Self.two], withMessage: false)
        let short = try spool.add([Self.two])
        try spool.write(Array("format crlf\n".utf8), to: "queue/\(short.id)")
        let messages = try spool.run(EchoAgent(), input: "\(missing.id)\ta.test\n\(short.id)\ta.test\n")
        #expect(messages.contains(.resync(missing.id)))
        let found = reports(messages)
        #expect(found.map(\.file) == [short.id])
        #expect(found.map(\.result) == [.deferred])
        #expect(found.map(\.notary?.action) == [.delayed])
    }

    @Test("a recipient without a report is deferred")
    func leftOut() throws {
        let group = ControlGroup.from("s@a.test", [("smtp", "a.test", "u@a.test"), ("smtp", "a.test", "v@a.test")])
        let control = try spool.add([group])
        let found = reports(try spool.run(EchoAgent(leavesOut: "u@a.test"), input: "\(control.id)\ta.test\n"))
        #expect(found.map(\.notary?.finalRecipient) == ["v@a.test", "u@a.test"])
        #expect(found.map(\.result) == [.ok, .deferred])
        #expect(found.last?.message == "address was left locked!!")
    }

    @Test("jobs of a scheduler that has died are left to its successor")
    func lostReader() throws {
        let control = try spool.add([Self.two])
        let agent = EchoAgent()
        #expect(try spool.run(agent, input: "\(control.id)\ta.test\n", isReaderGone: true).isEmpty)
        #expect(agent.seen.withLock { $0.isEmpty })
    }

    @Test("mail from channel error has no sender")
    func nullSender() throws {
        var group = Self.two
        group.sender = Quad(channel: "error", host: "-", user: "-", privilege: 0)
        let control = try spool.add([group])
        let agent = EchoAgent()
        _ = try spool.run(agent, input: "\(control.id)\ta.test\n")
        #expect(agent.seen.withLock { $0.first?.hasPrefix("<> a.test") } == true)
    }
}
