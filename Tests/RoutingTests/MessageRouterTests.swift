import MailModel
import Routing
import SpoolFormat
import Testing

@Suite("Routing: from message file to control file")
struct MessageRouterTests {
    private static let tables = FakeRoutingTables(
        aliases: ["list": [":include:/l"], "owner-list": ["bob"]], lists: ["/l": ["m@there.test", "alice"]],
        brokenNames: ["broken"])

    static func envelope(
        sender: String? = "s@from.test", _ recipients: [String], submission: MessageEnvelope.Submission? = nil
    ) -> MessageEnvelope {
        var envelope = MessageEnvelope()
        envelope.sender = sender
        envelope.submission = submission
        envelope.recipients = recipients.map { EnvelopeRecipient(address: $0) }
        return envelope
    }

    static func file(_ envelope: MessageEnvelope, _ content: String) -> [UInt8] {
        envelope.encoded() + Array(content.utf8)
    }

    private static let content = "Received: x\r\nMessage-Id: <a@b>\r\n\r\nbody\r\n"

    private func route(
        _ octets: [UInt8], size: Int? = nil, givesUp: Bool = false
    ) throws -> MessageRouter.Result {
        try MessageRouter(tables: Self.tables, hostName: "h.test").route(
            octets, .init(id: SpoolID(rawValue: 42), size: size ?? octets.count, time: 1_795_237_801), givesUp: givesUp)
    }

    private func control(_ octets: [UInt8]) throws -> ControlFile {
        guard case .routed(let control) = try route(octets) else { throw RoutingTrouble("not routed") }
        return control
    }

    @Test(
        "mail waits where routes say so, and goes past them when the channel hold has let it go",
        arguments: [false, true])
    func held(isReleased: Bool) throws {
        let tables = FakeRoutingTables(routes: [
            "later.test": "hold!age:1h", "other.test": "hold!script:Up/a!x@there.test", "gate.test": "procm!-",
        ])
        var envelope = Self.envelope(["x@later.test", "x@other.test", "x@gate.test", "bob@example.test"])
        if isReleased { envelope.via = "suspension" }
        let octets = Self.file(envelope, Self.content)
        let result = try MessageRouter(tables: tables, hostName: "h.test").route(
            octets, .init(id: SpoolID(rawValue: 42), size: octets.count, time: 0))
        guard case .routed(let control) = result else { throw RoutingTrouble("not routed") }
        #expect(
            control.recipients.map { "\($0.quad.channel) \($0.quad.host) \($0.quad.user)" } == [
                isReleased ? "smtp later.test x@later.test" : "hold age:1h x@later.test",
                isReleased ? "smtp other.test x@other.test" : "hold script:Up/a x@there.test",
                "procm - x@gate.test", "local - bob",
            ])
    }

    @Test("the control file repeats what agents need, and can be read back")
    func contents() throws {
        var envelope = Self.envelope(["alice@example.test", "x@there.test"])
        envelope.envelopeID = "e+2B1"
        envelope.notaryReturn = .headers
        envelope.isInternationalized = true
        envelope.bodyType = "8BITMIME"
        envelope.traits = MessageTraits(size: 40, hasDotLines: true, hasEightBit: false, longestLine: 17)
        let octets = Self.file(envelope, Self.content)
        var file = try control(octets)
        #expect(file.id.rawValue == 42)
        #expect(file.messageSize == octets.count)
        #expect(file.headerStart == envelope.encoded().count)
        #expect(octets[file.bodyOffset...].elementsEqual("body\r\n".utf8))
        #expect(file.logID == "<a@b>")
        #expect(file.traits.hasDotLines)
        #expect(file.groups.count == 1)
        #expect(file.groups.first?.sender == Quad(channel: "smtp", host: "-", user: "s@from.test", privilege: 65534))
        #expect(file.groups.first?.errorsTo == "s@from.test")
        #expect(file.groups.first?.header == nil)
        let head = file.encodeHead()
        #expect(try ControlFile.parse(head) == file)
    }

    @Test("a file that is shorter than its traits say was never acknowledged, and is not routed")
    func incomplete() throws {
        var envelope = Self.envelope(["alice@example.test"])
        let size = Self.content.utf8.count
        for (announced, isTaken) in [(size, true), (size + 1, false), (Int.max, false)] {
            envelope.traits = MessageTraits(size: announced)
            let result = try route(Self.file(envelope, Self.content))
            #expect((result != .incomplete) == isTaken, "\(announced) of \(size)")
        }
    }

    @Test("a message from nobody has an error channel for sender and no address for errors")
    func nullSender() throws {
        let file = try control(Self.file(Self.envelope(sender: nil, ["list@example.test", "alice"]), Self.content))
        #expect(file.groups.map(\.sender.channel) == ["error"])
        #expect(file.groups.map(\.sender.user) == ["<>"])
        #expect(file.groups.map(\.errorsTo) == [nil])
    }

    @Test("members of a list are a group whose errors go to its owner")
    func list() throws {
        let file = try control(Self.file(Self.envelope(["bob", "list@example.test"]), Self.content))
        #expect(file.groups.map(\.errorsTo) == ["s@from.test", "owner-list@example.test"])
        #expect(file.groups.map(\.sender.user) == ["s@from.test", "owner-list@example.test"])
        #expect(file.groups.map { $0.recipients.map(\.quad.user) } == [["bob"], ["m@there.test", "alice"]])
    }

    @Test("the header of relayed mail is never touched")
    func relayed() throws {
        let file = try control(Self.file(Self.envelope(["x@there.test"]), "Bcc: secret@x.test\r\n\r\nbody\r\n"))
        #expect(file.groups.first?.header == nil)
        #expect(file.logID.isEmpty)
    }

    @Test("the header of submitted mail is completed, for each group", arguments: ["client", "local", "authenticated"])
    func submitted(kind: String) throws {
        let envelope = Self.envelope(["bob", "list@example.test"], submission: .init(rawValue: kind))
        var file = try control(Self.file(envelope, "Subject: x\r\nBcc: y\r\n\r\nbody\r\n"))
        #expect(file.logID == "<42/20261121051001Z@h.test>")
        for group in file.groups {
            let header = String(decoding: group.header ?? [], as: UTF8.self)
            #expect(header.hasPrefix("Subject: x\r\nMessage-Id: <42/"))
            #expect(!header.contains("Bcc"))
        }
        let head = file.encodeHead()
        #expect(try ControlFile.parse(head) == file)
    }

    @Test(
        "fifty Received fields are a loop, however they are spelled",
        arguments: [(49, "smtp"), (50, "error"), (51, "error")])
    func loop(count: Int, channel: String) throws {
        let fields = (0..<count).map { $0 % 2 == 0 ? "Received: a\r\n b\r\n" : "received : c\r\n" }.joined()
        let file = try control(Self.file(Self.envelope(["x@there.test", "y@there.test"]), "\(fields)\r\nbody\r\n"))
        #expect(file.groups.flatMap { $0.recipients.map(\.quad.channel) } == [channel, channel])
        if channel == "error" { #expect(file.groups.first?.recipients.first?.quad.host == "loopexceeded") }
    }

    @Test("a part of the file is enough if it holds envelope and header, and asks for more if not")
    func parts() throws {
        let octets = Self.file(Self.envelope(["alice"]), Self.content)
        let bodyStart = octets.count - 6
        for length in 0..<bodyStart {
            #expect(try route(Array(octets[..<length]), size: octets.count) == .needsMore, "\(length)")
        }
        let whole = try route(octets)
        for length in bodyStart..<octets.count {
            #expect(try route(Array(octets[..<length]), size: octets.count) == whole, "\(length)")
        }
    }

    @Test(
        "what is no message file is said to be none",
        arguments: [
            "", "garbage", "from a@b.test\nto x\n", "to x@y.test\nenv-end\n\n", "from a@b.test\nenv-end\nA: b\n\n",
            "format xml\nfrom a@b.test\nto x\nenv-end\n", "from a@b.test\nto\nenv-end\n",
        ])
    func invalid(text: String) throws {
        guard case .invalid(let reason) = try route(Array(text.utf8)) else {
            Issue.record("taken: \(text)")
            return
        }
        #expect(!reason.isEmpty)
    }

    @Test("a message file of other tools, with LF and without env-end, is routed")
    func foreign() throws {
        let file = try control(Array("from a@b.test\nto alice\nSubject: x\nMessage-Id: <1>\n\nbody\n".utf8))
        #expect(file.format == .lf)
        #expect(file.logID == "<1>")
        #expect(file.groups.first?.recipients.first?.quad.user == "alice")
    }

    @Test("what cannot be routed now waits as a whole; in the end only that recipient goes back")
    func trouble() throws {
        let octets = Self.file(Self.envelope(["alice", "broken", "bob"]), Self.content)
        #expect(throws: RoutingTrouble.self) { try route(octets) }
        guard case .routed(let file) = try route(octets, givesUp: true) else {
            Issue.record("not routed")
            return
        }
        #expect(file.groups.flatMap { $0.recipients.map(\.quad.host) } == ["-", "unresolvable", "-"])
    }

    @Test("a thousand recipients become a thousand lines")
    func many() throws {
        let recipients = (0..<1000).map { "user\($0)@domain\($0 % 100).test" }
        var file = try control(Self.file(Self.envelope(recipients), Self.content))
        let head = file.encodeHead()
        #expect(try ControlFile.parse(head).groups.first?.recipients.map(\.quad.user) == recipients)
    }

    @Test("what SMTP extensions have asked for goes with the message, whatever its addresses become")
    func requests() throws {
        var envelope = Self.envelope(["alice@example.test", "list@example.test", "nobody@example.test", "x@there.test"])
        envelope.release = FutureRelease(at: 1_900_000_000, interval: 60)
        envelope.priority = MessagePriority(3)
        envelope.requiresTLS = true
        envelope.submitter = Submitter("a+2Bb@c")
        envelope.deliverBy = DeliverByTime(1_900_000_500, .return, isTraced: true)
        var file = try control(Self.file(envelope, Self.content))
        #expect(file.release == envelope.release)
        #expect(file.priority == envelope.priority)
        #expect(file.requiresTLS)
        #expect(file.submitter == envelope.submitter)
        func times(_ file: ControlFile) -> [String: DeliverByTime?] {
            Dictionary(file.recipients.map { ($0.quad.user, $0.deliverBy) }, uniquingKeysWith: { first, _ in first })
        }
        // Members of the list get it back to the list's owner without news on the way; what is no address fails as such.
        let member = DeliverByTime(1_900_000_500, .return)
        #expect(
            times(file) == [
                "alice": envelope.deliverBy, "x@there.test": envelope.deliverBy, "m@there.test": member,
                "nobody@example.test": nil,
            ])
        #expect(try ControlFile.parse(file.encodeHead()) == file)
        envelope.deliverBy = DeliverByTime(1_900_000_500, .notify, isTraced: true)
        file = try control(Self.file(envelope, Self.content))
        #expect(times(file)["m@there.test"] == .some(nil))
        #expect(times(file)["alice"] == envelope.deliverBy)
    }
}
