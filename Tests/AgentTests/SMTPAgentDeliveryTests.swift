import AgentProtocol
import MailModel
import SpoolFormat
import Testing

@testable import SMTPAgent

@Suite("Delivery by SMTP to a peer on loopback")
struct SMTPAgentDeliveryTests {
    static let difficult =
        "Subject: x\r\n\r\n.\r\n..\r\n.hidden\r\nmid.dle\r\n" + String(repeating: "long ", count: 3000)
        + "\r\n\u{e9}\u{1F600}\r\n\r\n.\r\n"

    @Test(
        "content arrives octet for octet, whatever the peer offers",
        arguments: [
            ["PIPELINING", "8BITMIME", "SIZE"], ["8BITMIME"], ["PIPELINING", "CHUNKING", "8BITMIME"], ["CHUNKING"], [],
        ])
    func content(keywords: [String]) throws {
        var script = SMTPAgentPeer.Script()
        script.keywords = keywords
        var harness = try SMTPAgentHarness(script)
        defer { harness.peer.stop() }
        harness.options.conversion.eightBit = .send
        let control = try harness.spool.add([harness.group(["u@b.test"])], content: Self.difficult)
        let reports = try harness.deliver([control])
        #expect(reports.map(\.result) == [.ok])
        #expect(harness.peer.messages.map(\.content) == [Self.difficult])
        #expect(harness.peer.commands.contains { $0.hasPrefix("BDAT") } == keywords.contains("CHUNKING"))
    }

    @Test("a peer without EHLO is greeted with HELO")
    func hello() throws {
        var script = SMTPAgentPeer.Script()
        script.keywords = nil
        let harness = try SMTPAgentHarness(script)
        defer { harness.peer.stop() }
        let control = try harness.spool.add([harness.group(["u@b.test"])])
        #expect(try harness.deliver([control]).map(\.result) == [.ok])
        #expect(harness.peer.eventually { $0.commands.last == "QUIT" })
        #expect(
            harness.peer.commands
                == ["EHLO self.test", "HELO self.test", "MAIL FROM:<s@a.test>", "RCPT TO:<u@b.test>", "DATA", "QUIT"])
    }

    @Test("a message of megabytes is streamed, by DATA and by BDAT", arguments: [true, false])
    func large(chunking: Bool) throws {
        var script = SMTPAgentPeer.Script()
        if chunking { script.keywords = ["PIPELINING", "CHUNKING"] }
        let harness = try SMTPAgentHarness(script)
        defer { harness.peer.stop() }
        let line = "." + String(repeating: "x", count: 75) + "\r\n"
        let content = "Subject: x\r\n\r\n" + String(repeating: line, count: 40_000)
        let control = try harness.spool.add([harness.group(["u@b.test"])], content: content)
        #expect(try harness.deliver([control]).map(\.result) == [.ok])
        #expect(harness.peer.messages.first?.content == content)
    }

    @Test("a header of the control file replaces the message's own")
    func replacedHeader() throws {
        let harness = try SMTPAgentHarness()
        defer { harness.peer.stop() }
        var group = harness.group(["u@b.test"])
        group.header = Array("X: new\r\nSubject: y\r\n".utf8)
        let control = try harness.spool.add([group], content: "Subject: x\r\n\r\nBody\r\n")
        #expect(try harness.deliver([control]).map(\.result) == [.ok])
        #expect(harness.peer.messages.map(\.content) == ["X: new\r\nSubject: y\r\n\r\nBody\r\n"])
    }

    @Test("files with LF as line end become CRLF, and never a bare one", arguments: [true, false])
    func lineFeeds(chunking: Bool) throws {
        var script = SMTPAgentPeer.Script()
        if chunking { script.keywords = ["PIPELINING", "CHUNKING"] }
        let harness = try SMTPAgentHarness(script)
        defer { harness.peer.stop() }
        let control = try harness.spool.add([harness.group(["u@b.test"])], content: "Subject: x\n\n.\nbare\rcr\nend") {
            $0.format = .lf
        }
        #expect(try harness.deliver([control]).map(\.result) == [.ok])
        #expect(harness.peer.messages.map(\.content) == ["Subject: x\r\n\r\n.\r\nbare\r\ncr\r\nend\r\n"])
    }

    @Test("the envelope carries what the sender asked for, where the peer offers it")
    func envelope() throws {
        let harness = try SMTPAgentHarness()
        defer { harness.peer.stop() }
        var group = harness.group(["u@b.test", "v@b.test"])
        group.recipients[0].notify = [.success, .failure]
        group.recipients[0].originalRecipient = "rfc822;orig@x.test"
        let control = try harness.spool.add([group], content: "Subject: x\r\n\r\n\u{e9}\r\n") {
            $0.envelopeID = "abc"
            $0.notaryReturn = .headers
        }
        let reports = try harness.deliver([control])
        let message = try #require(harness.peer.messages.first)
        #expect(message.mail == "MAIL FROM:<s@a.test> SIZE=18 BODY=8BITMIME RET=HDRS ENVID=abc")
        #expect(
            message.recipients == [
                "RCPT TO:<u@b.test> NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;orig@x.test",
                "RCPT TO:<v@b.test> NOTIFY=FAILURE,DELAY",
            ])
        // The peer reports success itself to whom it was asked for.
        #expect(reports.map { $0.notary == nil } == [true, false])
        #expect(reports.last?.notary?.action == .relayed)
        #expect(reports.last?.notary?.remoteHost == "[127.0.0.1]")
    }

    @Test("reports go out with an empty reverse-path")
    func nullSender() throws {
        let harness = try SMTPAgentHarness()
        defer { harness.peer.stop() }
        var group = harness.group(["u@b.test"])
        group.sender = Quad(channel: "error", host: "-", user: "-", privilege: 0)
        let control = try harness.spool.add([group])
        #expect(try harness.deliver([control]).map(\.result) == [.ok])
        #expect(harness.peer.messages.first?.mail.hasPrefix("MAIL FROM:<> ") == true)
    }

    @Test("each recipient has the result that its reply says")
    func recipients() throws {
        var script = SMTPAgentPeer.Script()
        script.recipientReplies = [
            "gone@b.test": "550 5.1.1 no such user", "grey@b.test": "451 4.7.1 come later",
            "evil@b.test": "550 bad\u{01}\ttext\u{1b}[2J", "plain@b.test": "452 full",
        ]
        let harness = try SMTPAgentHarness(script)
        defer { harness.peer.stop() }
        let addresses = ["u@b.test", "gone@b.test", "grey@b.test", "evil@b.test", "plain@b.test"]
        let control = try harness.spool.add([harness.group(addresses)])
        let reports = try harness.deliver([control])
        #expect(reports.map(\.notary?.finalRecipient) == addresses)
        #expect(reports.map(\.result) == [.ok, .failed, .deferred, .failed, .deferred])
        #expect(reports.map(\.notary?.action) == [.relayed, .failed, .delayed, .failed, .delayed])
        #expect(reports.map(\.notary?.status) == ["2.0.0", "5.1.1", "4.7.1", "5.0.0", "4.0.0"])
        #expect(reports[1].notary?.diagnostic == "smtp; 550 5.1.1 no such user")
        #expect(reports[1].message == "[127.0.0.1] said: 550 5.1.1 no such user (in reply to RCPT TO command)")
        #expect(reports[3].notary?.diagnostic == "smtp; 550 bad  text [2J")
    }

    @Test("replies to MAIL, DATA and the end of the message count for all", arguments: ["mail", "data", "final"])
    func refusals(stage: String) throws {
        var script = SMTPAgentPeer.Script()
        switch stage {
        case "mail": script.mailReply = "550 5.7.1 go away"
        case "data": script.dataReply = "451 4.3.0 not now"
        default: script.finalReply = "552 5.3.4 too big"
        }
        let harness = try SMTPAgentHarness(script)
        defer { harness.peer.stop() }
        let control = try harness.spool.add([harness.group(["u@b.test", "v@b.test"])])
        let reports = try harness.deliver([control])
        let expected: DeliveryResult = stage == "data" ? .deferred : .failed
        #expect(reports.map(\.result) == [expected, expected])
    }

    @Test("more recipients than the peer takes go in several transactions", arguments: [nil, "X-RCPTLIMIT 40"])
    func batches(limit: String?) throws {
        var script = SMTPAgentPeer.Script()
        if let limit { script.keywords?.append(limit) }
        let harness = try SMTPAgentHarness(script)
        defer { harness.peer.stop() }
        let addresses = (0..<250).map { "u\($0)@b.test" }
        let control = try harness.spool.add([harness.group(addresses)])
        let reports = try harness.deliver([control])
        #expect(reports.map(\.notary?.finalRecipient) == addresses)
        #expect(reports.allSatisfy { $0.result == .ok })
        #expect(
            harness.peer.messages.map(\.recipients.count)
                == (limit == nil ? [100, 100, 50] : [40, 40, 40, 40, 40, 40, 10]))
        #expect(harness.peer.connections == 1)
    }

    @Test("groups with different senders are different transactions on one connection")
    func groups() throws {
        let harness = try SMTPAgentHarness()
        defer { harness.peer.stop() }
        let control = try harness.spool.add([
            harness.group(["u@b.test"]), harness.group(["v@b.test"], from: "other@a.test"),
        ])
        #expect(try harness.deliver([control]).map(\.result) == [.ok, .ok])
        #expect(
            harness.peer.messages.map { $0.mail.prefix(24) } == [
                "MAIL FROM:<s@a.test> SIZ", "MAIL FROM:<other@a.test>",
            ])
        #expect(harness.peer.connections == 1)
    }

    @Test("a message larger than the peer takes is refused without asking")
    func size() throws {
        var script = SMTPAgentPeer.Script()
        script.keywords = ["SIZE 10"]
        let harness = try SMTPAgentHarness(script)
        defer { harness.peer.stop() }
        let control = try harness.spool.add([harness.group(["u@b.test"])])
        let reports = try harness.deliver([control])
        #expect(reports.map(\.result) == [.failed])
        #expect(reports.first?.notary?.status == "5.3.4")
        #expect(!harness.peer.commands.contains { $0.hasPrefix("MAIL") })
    }

    @Test("addresses that are none are refused without a connection")
    func badAddresses() throws {
        let harness = try SMTPAgentHarness()
        defer { harness.peer.stop() }
        let first = try harness.spool.add([harness.group(["no address", "u@b.test"])])
        let second = try harness.spool.add([harness.group(["u@b.test"], from: "no sender")])
        let reports = try harness.deliver([first, second])
        #expect(reports.map(\.notary?.status) == ["5.1.3", "2.0.0", "5.1.7"])
    }

    @Test("LMTP answers for each recipient")
    func lmtp() throws {
        var script = SMTPAgentPeer.Script()
        script.isLMTP = true
        script.recipientReplies = ["no@b.test": "550 5.1.1 unknown"]
        script.finalReplies = ["250 2.0.0 stored", "452 4.2.2 over quota", "550 5.2.0 never"]
        let harness = try SMTPAgentHarness(script)
        defer { harness.peer.stop() }
        let control = try harness.spool.add([harness.group(["a@b.test", "no@b.test", "b@b.test", "c@b.test"])])
        let reports = try harness.deliver([control])
        #expect(reports.map(\.result) == [.ok, .failed, .deferred, .failed])
        #expect(reports.first?.notary?.action == .delivered)
        #expect(harness.peer.commands.first == "LHLO self.test")
    }
}
