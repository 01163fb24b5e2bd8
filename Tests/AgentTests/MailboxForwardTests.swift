import AgentKit
import AgentProtocol
import Glibc
import MailModel
import Postoffice
import Routing
import SpoolFormat
import Synchronization
import Testing

@testable import MailboxAgent

@Suite("The text of .forward")
struct ForwardTextTests {
    @Test(
        "targets are separated by commas and lines, comments are passed over, quotes belong to the writer",
        arguments: [
            ("", []), ("# bob@a.example\n \t\n", []), ("bob@a.example\n", ["bob@a.example"]),
            ("bob", ["bob"]), ("\\alice", ["\\alice"]), ("\"\\alice\"", ["\\alice"]),
            ("\\alice, bob@a.example,\n  carol@b.example  \r\n", ["\\alice", "bob@a.example", "carol@b.example"]),
            ("bob@a.example, bob@a.example", ["bob@a.example"]), ("<bob@a.example>", ["bob@a.example"]),
            ("\"|/usr/bin/vacation -a 'x, y' alice\"", ["|/usr/bin/vacation -a 'x, y' alice"]),
            ("|\"exec procmail\"", ["|exec procmail"]), ("| /bin/cat", ["| /bin/cat"]),
            ("\"|echo \\\"a, b\\\"\", /var/mail/x", ["|echo \"a, b\"", "/var/mail/x"]),
            ("\"a b\"@c.example", ["\"a b\"@c.example"]), (":include:/home/alice/list", [":include:/home/alice/list"]),
            ("#x\n/dev/null", ["/dev/null"]), ("a#b@c.example", ["a#b@c.example"]),
        ])
    func targets(text: String, expected: [String]) throws {
        #expect(try ForwardText(Array(text.utf8)).targets.map(Self.text) == expected)
    }

    static func text(_ target: AliasTarget) -> String {
        switch target {
        case .name(let local): local.encoded
        case .mailbox(let local): "\\\(local.encoded)"
        case .address(let mailbox): "\(mailbox)"
        case .command(let text), .file(let text): text
        case .include(let path): ":include:\(path)"
        }
    }

    @Test(
        "what is no target names its line",
        arguments: [
            ("x\n\n\"open", 3), ("a b c@d", 1), ("|", 1), ("bob\n:include:relative", 2), ("@@", 1), ("~/Mail/x", 1),
            ("bob@a.example\n\u{1}", 2),
        ])
    func problems(text: String, line: Int) throws {
        let problem = try #require(throws: ForwardText.Problem.self) { try ForwardText(Array(text.utf8)) }
        #expect(problem.line == line && !problem.reason.isEmpty)
    }

    @Test("there is a limit to targets, and octets that are no text are refused")
    func bounds() throws {
        let many = (0...ForwardText.maximumTargets).map { "u\($0)@a.example\n" }.joined()
        #expect(throws: ForwardText.Problem.self) { try ForwardText(Array(many.utf8)) }
        #expect(throws: ForwardText.Problem.self) { try ForwardText([0xff, 0xfe, 0x0a]) }
    }

    @Test(
        "a user's own names mean his mailbox",
        arguments: [
            ("\\alice", true), ("alice", true), ("Alice", true), ("alice@example.test", true),
            ("alice@mx.example.test", true), ("alice+box@example.test", true), ("alice@other.example", false),
            ("bob", false), ("\\bob", false), ("sales@example.test", false), ("# nothing", true),
        ])
    func own(text: String, isOwn: Bool) throws {
        let plan = ForwardPlan(
            try ForwardText(Array(text.utf8)).targets, user: "alice", recipient: Mailbox("alice@example.test"),
            hostName: "mx.example.test")
        #expect(plan.keepsOwn == isOwn && plan.isOwnOnly == isOwn)
        #expect(plan.ownDetail == (text.contains("+box") ? "box" : nil))
    }
}

@Suite("Delivery by a user's .forward")
struct MailboxForwardTests {
    let fixture: ForwardFixture

    init() throws { fixture = try ForwardFixture() }

    @Test("one address: the message goes back to be routed as it was, for its sender, with what he has asked for")
    func oneAddress() throws {
        try fixture.write("bob@other.example\n")
        let content = "Received: x\r\nSubject: a\r\n b\r\n\r\n.dot\r\nFrom me\r\nbare\r cr\r\n"
        let report = try fixture.deliver(content: content) { control in
            control.envelopeID = "E+2B1"
            control.notaryReturn = .headers
            control.isInternationalized = true
            control.bodyType = "8BITMIME"
            control.priority = MessagePriority(3)
            control.requiresTLS = true
            control.groups[0].recipients[0].notify = [.success, .failure]
        }[0]
        #expect(report.result == .ok && report.notary == nil)
        #expect(fixture.mail() == [])
        let message = try #require(try fixture.resubmitted().first)
        #expect(try fixture.resubmitted().count == 1)
        let envelope = message.envelope
        #expect(envelope.sender == "s@a.example" && envelope.authenticatedUser == "alice" && envelope.via == "forward")
        #expect(envelope.envelopeID == "E+2B1" && envelope.notaryReturn == .headers && envelope.requiresTLS)
        #expect(envelope.isInternationalized && envelope.bodyType == "8BITMIME" && envelope.priority != nil)
        #expect(
            envelope.recipients == [
                EnvelopeRecipient(
                    address: "bob@other.example", notify: [.success, .failure],
                    originalRecipient: "rfc822;alice@example.test")
            ])
        let lines = message.content.split(separator: "\r\n", omittingEmptySubsequences: false)
        #expect(lines.prefix(2) == ["Delivered-To: alice@example.test", "Delivered-To: alice@mx.example.test"])
        #expect(lines[2] == "Received: by mx.example.test (.forward of alice)")
        #expect(message.content.hasSuffix("\r\n\(content)"))
        #expect(envelope.traits?.hasDotLines == true)
        var information = stat()
        let id = try #require(try fixture.postoffice.entries(.router).first)
        #expect(lstat(fixture.postoffice.path(.router, id), &information) == 0)
        #expect(information.st_uid == (geteuid() == 0 ? 4343 : geteuid()))
    }

    @Test("a report that is forwarded stays a report, and its null sender stays null")
    func nullSender() throws {
        try fixture.write("bob@other.example")
        _ = try fixture.deliver { control in
            control.isErrorMessage = true
            control.groups[0].sender = Quad(channel: "error", host: "-", user: "<>", privilege: 0)
        }
        let envelope = try #require(try fixture.resubmitted().first).envelope
        #expect(envelope.sender == nil && envelope.isErrorMessage)
    }

    @Test("a header that the router has replaced goes along, and nothing else of the body changes")
    func replacedHeader() throws {
        try fixture.write("bob@other.example")
        _ = try fixture.deliver { $0.groups[0].header = Array("Subject: other\r\n".utf8) }
        let content = try #require(try fixture.resubmitted().first).content
        #expect(content.hasSuffix("\r\nSubject: other\r\n\r\nHello\r\n"))
        #expect(!content.contains("Subject: x"))
    }

    @Test("several targets: each gets its copy, and the sender hears of the expansion here")
    func several() throws {
        try fixture.write("\\alice, b@other.example\n\"|cat > out\"\n\(fixture.home())/archive\nc@other.example\n")
        let report = try fixture.deliver { $0.groups[0].recipients[0].notify = [.success, .delay] }[0]
        #expect(report.result == .ok && report.notary?.action == .expanded)
        #expect(fixture.mail().count == 1)
        #expect(fixture.base.read("home/alice/out").contains("\nDelivered-To: alice@mx.example.test\n"))
        #expect(fixture.base.read("home/alice/archive").contains("\nSubject: x\n"))
        let envelope = try #require(try fixture.resubmitted().first).envelope
        #expect(envelope.recipients.map(\.address) == ["b@other.example", "c@other.example"])
        // RFC 3461 §5.2.7.3: the success is told of once.
        #expect(envelope.recipients.allSatisfy { $0.notify == .delay })
        for name in ["out", "archive"] {
            var information = stat()
            #expect(stat("\(fixture.home())/\(name)", &information) == 0 && information.st_uid == fixture.uid)
        }
        #expect(entries("\(fixture.postoffice.root)/.forward") == [])
    }

    @Test(
        "the own name, and a file of comments, deliver into the mailbox",
        arguments: ["alice", "\\alice\n", "alice@example.test", "# later\n", ""])
    func ownMailbox(text: String) throws {
        try fixture.write(text)
        let report = try fixture.deliver()[0]
        #expect(report.result == .ok && report.notary?.action == .delivered)
        #expect(fixture.mail().count == 1)
        #expect(try fixture.resubmitted().isEmpty)
    }

    @Test("a user without a .forward has his mail in his mailbox; with FORWARD=off everybody has")
    func none() throws {
        #expect(try fixture.deliver()[0].result == .ok)
        try fixture.write("bob@other.example")
        #expect(try fixture.deliver(settings: fixture.settings(["FORWARD": "off"]))[0].result == .ok)
        #expect(fixture.mail().count == 2)
        #expect(try fixture.resubmitted().isEmpty)
    }

    @Test("with FORWARD=addresses files and programs are refused and addresses served")
    func addressesOnly() throws {
        let settings = try fixture.settings(["FORWARD": "addresses"])
        try fixture.write("b@other.example")
        #expect(try fixture.deliver(settings: settings)[0].result == .ok)
        for target in ["|touch ran", "\(fixture.home())/archive"] {
            try fixture.write(target)
            let report = try fixture.deliver(settings: settings)[0]
            #expect(report.result == .failed && report.notary?.status == "5.2.1")
        }
        #expect(try fixture.resubmitted().count == 1)
        #expect(Set(fixture.base.names("home/alice")) == [".forward"])
    }

    @Test(
        "user+detail is served by .forward+detail, else by .forward; a detail is never a path",
        arguments: [
            ("alice+list", "list@other.example"), ("alice+other", "all@other.example"), ("alice", "all@other.example"),
            ("\"alice+../../bob/x\"", "all@other.example"), ("\"alice+a/b\"", "all@other.example"),
        ])
    func detail(user: String, expected: String) throws {
        try fixture.write("all@other.example")
        try fixture.write("list@other.example", "alice/.forward+list")
        try fixture.write("evil@other.example", "bob/x")
        _ = try fixture.deliver(user, recipient: "x@example.test")
        #expect(try fixture.resubmitted().map(\.envelope.recipients[0].address) == [expected])
    }

    // MARK: Loops

    @Test("mail that comes back to a user who forwards all of it is returned to its sender")
    func loop() throws {
        try fixture.write("bob@other.example")
        let content = "Delivered-To: Alice@mx.example.test\r\nSubject: x\r\n\r\nHello\r\n"
        let report = try fixture.deliver(content: content)[0]
        #expect(report.result == .failed && report.notary?.status == "5.4.6")
        #expect(try fixture.resubmitted().isEmpty)
    }

    @Test("mail that comes back to a user who keeps a copy is delivered to him and to nobody a second time")
    func returning() throws {
        try fixture.write("alice@example.test, bob@other.example")
        _ = try fixture.deliver("alice", recipient: "sales@lists.test")
        let forwarded = try #require(try fixture.resubmitted().first)
        let report = try fixture.deliver(content: forwarded.content)[0]
        #expect(report.result == .ok && report.notary?.action == .delivered)
        #expect(try fixture.resubmitted().count == 1)
        #expect(fixture.mail().count == 1)
    }

    @Test("what has been forwarded very often is returned, whoever wrote it")
    func cap() throws {
        try fixture.write("bob@other.example")
        let marks = (0..<20).map { "Delivered-To: u\($0)@a.example\r\n" }.joined()
        let report = try fixture.deliver(content: "\(marks)Subject: x\r\n\r\nHello\r\n")[0]
        #expect(report.result == .failed && report.notary?.status == "5.4.6")
    }

    // MARK: Some now, some later

    @Test("a target that has to wait does not let the others have their copies twice")
    func progress() throws {
        try fixture.write("\"|echo x >> count\", \(fixture.home())/archive, b@other.example, \"|test -e ready\"")
        let reports = try fixture.deliver(attempts: 3, between: { try fixture.write("", "alice/ready") })
        #expect(reports.map(\.result) == [.deferred, .ok, .ok])
        #expect(reports[1].notary?.action == .expanded)
        // The third attempt is a job that came again after a crash: nothing is known any more, all is done again.
        #expect(fixture.base.read("home/alice/count") == "x\nx\n")
        #expect(try fixture.resubmitted().count == 2)
        #expect(entries("\(fixture.postoffice.root)/.forward") == [])
    }

    @Test("what a program has done is noted before the next one begins, and only until all is done")
    func programsInTurn() throws {
        let go = "\(fixture.root)/home/alice/go"
        try fixture.write(
            "|cat > /dev/null\n|for i in $(seq 500); do test -e \(go) && exit 0; sleep 0.02; done; exit 75\n")
        let folder = "\(fixture.root)/postoffice/.forward"
        let isNoted = Mutex(false)
        let thread = try TestThread {
            let deadline = ContinuousClock.now + .seconds(9)
            while ContinuousClock.now < deadline, entries(folder).isEmpty { usleep(2000) }
            isNoted.withLock { $0 = entries(folder).count == 1 }
            close(creat(go, 0o644))
        }
        let reports = try fixture.deliver()
        thread.join()
        #expect(reports.map(\.result) == [.ok] && isNoted.withLock { $0 })
        #expect(entries(folder).isEmpty)
    }

    @Test("a target that fails for good is told of when the others are done")
    func failing() throws {
        try fixture.write("\"|echo never; exit 67\", \"|test -e ready\", \\alice")
        let reports = try fixture.deliver(attempts: 2, between: { try fixture.write("", "alice/ready") })
        #expect(reports.map(\.result) == [.deferred, .failed])
        #expect(reports[1].notary?.status == "5.1.1" && reports[1].message == "never")
        #expect(fixture.mail().count == 1)
    }
}
