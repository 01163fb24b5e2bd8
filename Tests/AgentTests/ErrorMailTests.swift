import AgentProtocol
import DeliveryStatus
import Forms
import Glibc
import MailModel
import Postoffice
import SpoolFormat
import Testing

@testable import ErrorMailAgent

@Suite("Reports about addresses that cannot be routed")
struct ErrorMailTests {
    let spool: AgentKitSpool
    let folder: MailboxFixture
    let postoffice: Postoffice

    init() throws {
        spool = try AgentKitSpool()
        folder = try MailboxFixture()
        postoffice = try Postoffice("\(folder.root)/post", creating: true)
        try #require(mkdir("\(folder.root)/forms", 0o755) == 0)
        try folder.write("SUB No such user\n\nThere is nobody of that name.\n", to: "forms/nosuchuser")
    }

    private func run(
        _ groups: [ControlGroup], content: String = "Subject: x\r\n\r\nHello\r\n", isErrorMessage: Bool = false,
        languages: [String] = [], envelope: String = "",
        configure: (inout ControlFile) -> Void = { _ in }
    ) throws -> [AgentReport] {
        let control = try spool.add(groups, content: content, isErrorMessage: isErrorMessage, configure: configure)
        if !envelope.isEmpty { try prepend(envelope, to: control) }
        let agent = ErrorMailTransportAgent(
            postoffice: postoffice, notice: NoticeSender(socketPath: "\(folder.root)/nobody", directory: "router"),
            forms: FormLibrary(directory: "\(folder.root)/forms", languages: languages), hostName: "mx.example.test")
        let messages = try spool.run(agent, channel: "error", input: "\(control.id)\n")
        return messages.compactMap { if case .report(let report) = $0 { report } else { nil } }
    }

    /// A further line in the envelope of the message file.
    private func prepend(_ line: String, to control: ControlFile) throws {
        let octets = fileOctets("\(spool.root)/queue/\(control.id)")
        let newline = try #require(octets.firstIndex(of: 0x0a))
        let added = Array("\(line)\n".utf8)
        var moved = control
        for value in [\ControlFile.headerStart, \.bodyOffset, \.messageSize] { moved[keyPath: value] += added.count }
        try spool.write(octets[...newline] + added + octets[(newline + 1)...], to: "queue/\(control.id)")
        try spool.write(moved.encodeHead(), to: "transport/\(control.id)")
    }

    @Test("where the message came from is told, and the form is that of the operator's language")
    func originAndLanguage() throws {
        try folder.write("LNG de\nLBL failed NICHT ZUGESTELLT:\n", to: "forms/labels.de")
        try folder.write("SUB Unbekannt\n\nNiemand da: ${recipients}\n", to: "forms/nosuchuser.de")
        _ = try run(
            [group(["x@example.test"])], languages: ["de"],
            envelope: "rcvdfrom mx.client.test ([192.0.2.7]:4711 \"EHLO laptop.client.test\")")
        let content = try #require(try submitted().first?.content)
        for text in [
            "Received-From-MTA: dns; laptop.client.test (192.0.2.7)\r\n", "Subject: Unbekannt [FAILED(1)]\r\n",
            "Niemand da: x@example.test\r\n", "NICHT ZUGESTELLT:\r\n", "Content-Language: de\r\n",
        ] { #expect(content.contains(text), "\(text) is missing in \(content)") }
    }

    /// What was submitted: envelope and content.
    private func submitted() throws -> [(envelope: MessageEnvelope, content: String)] {
        try postoffice.entries(.router).map { id in
            let octets = try postoffice.read(.router, id, limit: 8 << 20)
            let (envelope, start) = try MessageEnvelope.parse(octets)
            return (envelope, String(decoding: octets[start...], as: UTF8.self))
        }
    }

    private func group(
        _ users: [String], form: String = "nosuchuser", sender: String = "s@a.example",
        errorsTo: String? = "s@a.example",
        notify: Notify = .standard
    ) -> ControlGroup {
        ControlGroup(
            sender: Quad(channel: sender.isEmpty ? "error" : "smtp", host: "-", user: sender, privilege: 0),
            errorsTo: errorsTo,
            recipients: users.map {
                ControlRecipient(quad: Quad(channel: "error", host: form, user: $0, privilege: 65534), notify: notify)
            })
    }

    @Test("one durable report for all recipients, and nobody else reports them again")
    func report() throws {
        let reports = try run([group(["x@example.test", "y@example.test"])])
        #expect(reports.count == 2)
        #expect(reports.allSatisfy { $0.result == .ok && $0.notary == nil })
        let messages = try submitted()
        #expect(messages.count == 1)
        let envelope = try #require(messages.first?.envelope)
        #expect(envelope.isErrorMessage && envelope.sender == nil)
        #expect(envelope.recipients.map(\.address) == ["s@a.example"])
        #expect(envelope.recipients.map(\.notify) == [.never])
        let content = try #require(messages.first?.content)
        for text in [
            "Subject: No such user [FAILED(2)]\r\n", "There is nobody of that name.\r\n",
            "Final-Recipient: rfc822; x@example.test\r\nAction: failed\r\nStatus: 5.1.1\r\n",
            "Final-Recipient: rfc822; y@example.test\r\n", "Diagnostic-Code: x-local; 500 (nosuchuser)\r\n",
            "Content-Type: message/rfc822\r\n", "\r\n\r\nSubject: x\r\n\r\nHello\r\n\r\n--",
        ] { #expect(content.contains(text), "\(text) is missing in \(content)") }
        let control = spool.root + "/transport"
        #expect(entries(control).count == 1)
    }

    @Test(
        "a thousand recipients a report, each in one, and the first alone returns the message", arguments: [1000, 2300])
    func many(count: Int) throws {
        let users = (0..<count).map { "user\($0)@example.test" }
        let reports = try run([group(users)], content: "Subject: x\r\n\r\nthe body\r\n")
        #expect(reports.count == count && reports.allSatisfy { $0.result == .ok })
        let messages = try submitted()
        #expect(messages.count == (count + 999) / 1000)
        let mark = "Final-Recipient: rfc822; "
        let told = messages.map { message in
            message.content.split(separator: "\r\n").filter { $0.hasPrefix(mark) }.map {
                String($0.dropFirst(mark.count))
            }
        }
        #expect(told.allSatisfy { $0.count <= 1000 } && told.flatMap(\.self) == users)
        #expect(messages.map { $0.content.contains("the body") } == messages.indices.map { $0 == 0 })
        #expect(messages.dropFirst().allSatisfy { $0.content.contains("Content-Type: text/rfc822-headers") })
    }

    @Test("a report never causes a report", arguments: [("", nil), ("", "s@a.example"), ("s@a.example", nil)])
    func errorOnError(sender: String, errorsTo: String?) throws {
        let reports = try run([group(["x@example.test"], sender: sender, errorsTo: errorsTo)])
        #expect(reports.map(\.result) == [.ok])
        #expect(reports[0].message.contains("dropped"))
        #expect(try submitted().isEmpty)
        #expect(try run([group(["x@example.test"])], isErrorMessage: true)[0].message.contains("dropped"))
        #expect(try submitted().isEmpty)
    }

    @Test("recipients whose sender wants no report are left out")
    func notify() throws {
        let reports = try run([
            group(["x@example.test"], notify: .never), group(["y@example.test"], notify: .success),
            group(["z@example.test"], notify: .failure),
        ])
        #expect(reports.count == 3 && reports.allSatisfy { $0.result == .ok })
        let messages = try submitted()
        #expect(messages.count == 1)
        #expect(messages[0].content.contains("z@example.test") && !messages[0].content.contains("x@example.test"))
    }

    @Test("a list's owner gets the reports of its members")
    func listOwner() throws {
        _ = try run([group(["x@example.test"]), group(["y@example.test"], errorsTo: "owner-list@example.test")])
        let messages = try submitted()
        #expect(Set(messages.map { $0.envelope.recipients[0].address }) == ["s@a.example", "owner-list@example.test"])
        for message in messages {
            let isOwner = message.envelope.recipients[0].address.hasPrefix("owner")
            #expect(message.content.contains(isOwner ? "y@example.test" : "x@example.test"))
            #expect(!message.content.contains(isOwner ? "x@example.test" : "y@example.test"))
        }
    }

    @Test(
        "without a form there is a general text and the postmaster gets a copy", arguments: ["nothere", "..", "x..y"])
    func missingForm(form: String) throws {
        let reports = try run([group(["x@example.test"], form: form)])
        #expect(reports.map(\.result) == [.ok])
        let message = try #require(try submitted().first)
        #expect(message.envelope.recipients.map(\.address) == ["s@a.example", "postmaster"])
        #expect(message.content.contains("Subject: Mail could not be delivered [FAILED(1)]"))
    }

    @Test("RET=HDRS and a replaced header are obeyed")
    func returned() throws {
        _ = try run([group(["x@example.test"])]) {
            $0.notaryReturn = .headers
            $0.groups[0].header = Array("Subject: replaced\r\n".utf8)
        }
        let content = try #require(try submitted().first?.content)
        #expect(content.contains("Content-Type: text/rfc822-headers\r\n"))
        #expect(content.contains("\r\n\r\nSubject: replaced\r\n\r\n--") && !content.contains("Hello"))
    }

    @Test("a spool that takes nothing keeps the recipients waiting")
    func noSpool() throws {
        removeTree("\(folder.root)/post/router")
        let reports = try run([group(["x@example.test"])])
        #expect(reports.map(\.result) == [.deferred])
        #expect(reports[0].notary?.status == "4.3.0")
    }

    @Test(
        "the empty line behind a header is no part of it",
        arguments: [
            ("A: b\r\n\r\n", "A: b\r\n"), ("\r\n", ""), ("A: b\n\n", "A: b\n"), ("\n", ""), ("A: b\r\n", "A: b\r\n"),
            ("", ""),
        ])
    func header(octets: String, header: String) {
        #expect(OriginalMessage.withoutEmptyLine(Array(octets.utf8)) == Array(header.utf8))
    }

    @Test(
        "lists of addresses",
        arguments: [
            ("a@b", ["a@b"]), ("a@b,c@d", ["a@b", "c@d"]), ("\"x, y\"@b", ["\"x, y\"@b"]),
            (" a@b , ,c@d ", ["a@b", "c@d"]), ("", []),
        ])
    func addresses(list: String, addresses: [String]) {
        #expect(DeliveryReport.addresses(list) == addresses)
    }

    @Test("every form that comes with the system can be read and has a subject and a text")
    func samples() throws {
        let directory = "\(#filePath.split(separator: "/").dropLast(3).map { "/\($0)" }.joined())/proto/forms"
        let names = entries(directory).sorted()
        #expect(names.contains("nosuchuser") && names.contains("delivery") && names.contains("success"))
        for name in names where !name.contains(".") {
            guard case .found(let form) = FormLibrary(directory: directory).form(name) else {
                Issue.record("\(name) cannot be read")
                continue
            }
            #expect(form.subject?.isEmpty == false && form.text.split(separator: "\n").count >= 2)
            #expect(
                form.text.split(separator: "\n").allSatisfy { $0.utf8.count <= 72 && $0.utf8.allSatisfy { $0 < 0x80 } })
        }
    }

    @Test("what was asked for with the message holds for the report")
    func requests() throws {
        let reports = try run([group(["nobody@x"])]) { control in
            control.requiresTLS = true
            control.priority = MessagePriority(5)
            control.release = FutureRelease(at: 1_900_000_000)
            control.notaryReturn = .full
        }
        #expect(reports.map(\.result) == [.ok])
        let report = try #require(try submitted().first)
        #expect(report.envelope.requiresTLS)
        #expect(report.envelope.priority == MessagePriority(5))
        #expect(report.envelope.release == nil)
        #expect(report.content.contains("Future-Release-Request: until;2030-03-17T17:46:40Z"))
        #expect(!report.content.contains("Hello"))
    }
}
