import Glibc
import MailModel
import Policy
import SpoolFormat
import Testing

@testable import SMTPServer

/// What the policy's answers mean for a session and its messages.
@Suite(.serialized) struct WorkerPolicyTests {
    /// Accepts with what `change` adds.
    static func script(_ change: @escaping @Sendable (PolicyQuestion, inout PolicyAnswer) -> Void)
        -> ScriptedPolicy.Script
    {
        { question in
            var answer = PolicyAnswer(number: question.number, verdict: .accept, reason: "script")
            change(question, &answer)
            return answer
        }
    }

    func submit(_ dialogue: Dialogue, sender: String = "a@b.example", to recipients: [String] = ["x@e.test"]) throws {
        try dialogue.send("MAIL FROM:<\(sender)>\r\n")
        try dialogue.expect("250 2.1.0 ")
        for recipient in recipients {
            try dialogue.send("RCPT TO:<\(recipient)>\r\n")
            try dialogue.expectReply("")
        }
        try dialogue.send("DATA\r\n")
        try dialogue.expect("354 ")
        try dialogue.send("Subject: t\r\n\r\nx\r\n.\r\n")
        try dialogue.expect("250 2.0.0 ")
    }

    @Test("connect, helo, mail, rcpt are asked with the state of before, and a stored message is told of")
    func states() throws {
        let fixture = try WorkerFixture(policy: Self.script { $1.state = "s-\($0.verb.rawValue)" })
        let dialogue = try fixture.greeted()
        try submit(dialogue, to: ["x@e.test", "y@e.test"])
        try dialogue.send("MAIL FROM:<>\r\n")
        try dialogue.expect("250 2.1.0 ")
        try eventually("stored") { fixture.policy.questions.contains { $0.verb == .stored } }
        let asked = fixture.policy.questions
        #expect(asked.map(\.verb) == [.connect, .helo, .mail, .rcpt, .rcpt, .stored, .mail])
        #expect(asked.map(\.state) == ["", "s-connect", "s-helo", "s-mail", "s-rcpt", "s-rcpt", "s-helo"])
        #expect(asked[5].count == 2 && asked[5].sender == "a@b.example")
        #expect(asked.filter { $0.number == 0 }.map(\.verb) == [.stored], "told, and not asked")
        #expect(asked[1].helo == "client.example")
    }

    @Test("what is needless is not asked")
    func needless() throws {
        let fixture = try WorkerFixture(policy: Self.script { $1.needless = [.helo, .mail] })
        let dialogue = try fixture.greeted()
        try submit(dialogue)
        #expect(fixture.policy.questions.filter { $0.verb != .stored }.map(\.verb) == [.connect, .rcpt])
    }

    @Test("the confirmed name stands in the reply to EHLO and in the trace, with its flags")
    func name() throws {
        let fixture = try WorkerFixture(
            policy: Self.script {
                guard $0.verb == .connect else { return }
                $1.clientName = "real.example"
                $1.reverseFlags = "OK-OK"
            })
        let dialogue = try fixture.connect()
        try dialogue.expect("220 ")
        try dialogue.send("EHLO client.example\r\n")
        try dialogue.expect("250-mx.example.test expected \"EHLO real.example\"")
        try dialogue.expectReply("250")
        try submit(dialogue)
        let text = try fixture.message(try #require(fixture.messages.first))
        #expect(text.contains("\nrcvdfrom real.example ([127.0.0.1]:"))
        #expect(text.contains(" \"EHLO client.example\" rhost-flags-OK-OK-OK-FAIL)\r\n\tby mx.example.test"))
    }

    @Test("-g believes the client: no flags")
    func gullible() throws {
        let fixture = try WorkerFixture(arguments: ["-g"])
        try submit(try fixture.greeted())
        #expect(try !fixture.message(try #require(fixture.messages.first)).contains("rhost-flags"))
    }

    @Test("a size of the policy is offered and enforced, below that of the configuration only")
    func size() throws {
        for (own, policy, expected) in [("0", 5000, "5000"), ("9000", 5000, "5000"), ("3000", 5000, "3000")] {
            let fixture = try WorkerFixture(
                parameters: ["maxsize \(own)"],
                policy: Self.script { if $0.verb == .connect { $1.maximumSize = policy } })
            let dialogue = try fixture.connect()
            try dialogue.expect("220 ")
            try dialogue.send("EHLO x.example\r\n")
            try dialogue.expect("250-mx")
            try dialogue.expect("250-SIZE \(expected)")
            try dialogue.expectReply("250")
            try dialogue.send("MAIL FROM:<a@b.example> SIZE=6000\r\nRCPT TO:<x@e.test>\r\n")
            try dialogue.expect("552 5.3.4 ")
            try dialogue.expect("550 5.7.1 ")
            try eventually("the log tells") {
                let log = try fixture.log()
                return log.contains("reason=\"maxsize \(expected)\"")
                    && log.contains("reason=\"earlier rejection: maxsize \(expected)\"")
            }
        }
    }

    @Test("frozen mail is answered as always, and stands in freezer/ alone, with the reason in the log")
    func frozen() throws {
        let fixture = try WorkerFixture(
            policy: Self.script {
                guard $0.verb == .rcpt, $0.recipient.hasPrefix("f") else { return }
                $1.freezeCode = 1
                $1.comment = "policytest() reported freeze state 1"
                $1.reason = "freeze + @smtp-policy.src:4 via f@e.test"
            })
        let dialogue = try fixture.greeted()
        try submit(dialogue, to: ["f@e.test", "x@e.test"])
        #expect(fixture.messages.isEmpty)
        let frozen = Directory.names("\(fixture.directory)/po/freezer").sorted()
        let name = try #require(frozen.first)
        #expect(frozen == [name, "\(name).reason"])
        let text = try fixture.frozen(name)
        let note = try fixture.frozen("\(name).reason")
        #expect(note.hasPrefix("code 1\ntime "))
        #expect(note.hasSuffix("\nsource policy\nreason freeze + @smtp-policy.src:4 via f@e.test\n"))
        #expect(text.contains("\ncomment policytest() reported freeze state 1\n"))
        #expect(text.hasSuffix("Subject: t\r\n\r\nx\r\n"))
        let log = try fixture.log()
        #expect(log.contains(" freeze=1 reason=\"freeze + @smtp-policy.src:4 via f@e.test\""))
        // The next message of the session is not frozen.
        try submit(dialogue)
        #expect(fixture.messages.count == 1)
    }

    @Test("a large frozen message too, and one of a frozen client")
    func frozenClient() throws {
        let fixture = try WorkerFixture(policy: Self.script { if $0.verb == .connect { $1.freezeCode = 1 } })
        let dialogue = try fixture.greeted()
        try dialogue.send("MAIL FROM:<a@b.example>\r\nRCPT TO:<x@e.test>\r\nDATA\r\n")
        for code in ["250", "250", "354"] { try dialogue.expectReply(code) }
        let body = String(repeating: String(repeating: "x", count: 98) + "\r\n", count: 10_000)
        try dialogue.send("\r\n" + body + ".\r\n")
        try dialogue.expect("250 2.0.0 ")
        #expect(fixture.messages.isEmpty)
        let names = Directory.names("\(fixture.directory)/po/freezer").sorted()
        #expect(try fixture.frozen(try #require(names.first)).hasSuffix(body))
    }

    @Test("fields of the policy stand above our Received, its comments in the envelope")
    func fields() throws {
        let field =
            "Received-SPF: pass (mx.example.test: domain of a@b.example designates 127.0.0.1 as permitted sender)"
        let fixture = try WorkerFixture(
            policy: Self.script {
                if $0.verb == .mail {
                    $1.headerField = field + " client-ip=127.0.0.1;"
                    $1.comment = "spf: pass"
                }
                if $0.verb == .rcpt, $0.recipient.hasPrefix("no") {
                    $1.verdict = .refuse
                    $1.comment = "policytest() rejected rcptaddr: <no@e.test>"
                    $1.reply = Reply(550, EnhancedStatusCode(5, 7, 1), "No")
                }
            })
        try submit(try fixture.greeted(), to: ["no@e.test", "x@e.test"])
        let text = try fixture.message(try #require(fixture.messages.first))
        let (envelope, start) = try MessageEnvelope.parse(Array(text.utf8))
        #expect(envelope.comments == ["spf: pass", "policytest() rejected rcptaddr: <no@e.test>"])
        let content = String(decoding: Array(text.utf8)[start...], as: UTF8.self)
        let lines = content.split(separator: "\r\n").map(String.init)
        #expect(lines[0].hasPrefix("Received-SPF: pass (mx.example.test: domain of a@b.example"))
        #expect(lines[1].hasPrefix("\t") && lines[1].hasSuffix(" client-ip=127.0.0.1;"))
        #expect(lines[2].hasPrefix("Received: from "))
        #expect(envelope.traits?.size == content.utf8.count)
        #expect(envelope.traits?.longestLine == lines.map(\.utf8.count).max())
    }

    @Test("each refusal is one line of the log: session, client, command, reply, reason")
    func refusals() throws {
        let fixture = try WorkerFixture(
            policy: Self.script {
                switch $0.verb {
                case .helo where $0.helo == "bad.example":
                    $1 = PolicyAnswer(
                        number: $0.number, verdict: .refuse, reply: Reply(550, EnhancedStatusCode(5, 7, 1), "Go"),
                        reason: "rejectnet + @src:7 via .bad.example")
                case .mail where $0.sender == "spam@b.example":
                    $1 = PolicyAnswer(
                        number: $0.number, verdict: .refuse, reply: Reply(553, EnhancedStatusCode(5, 7, 1), "Spam"),
                        reason: "rejectsource + @src:9 via spam@")
                case _: break
                }
            })
        let dialogue = try fixture.connect()
        try dialogue.expect("220 ")
        try dialogue.send("EHLO bad.example\r\n")
        try dialogue.expect("550 5.7.1 Go")
        try dialogue.send("EHLO good.example\r\n")
        try dialogue.expectReply("250")
        try dialogue.send("MAIL FROM:<spam@b.example>\r\nRCPT TO:<x@e.test>\r\nRCPT TO:<y@e.test>\r\nDATA\r\nFOO\r\n")
        try dialogue.expect("553 5.7.1 Spam")
        let earlier = "550 5.7.1 Hello [127.0.0.1], access denied by the policy analysis functions by earlier rejection"
        try dialogue.expect(earlier)
        try dialogue.expect(earlier)
        try dialogue.expect("550 5.1.7 No valid sender, rejecting all recipients")
        try dialogue.expect("550 5.5.2 Unknown command")
        let lines = try fixture.log().split(separator: "\n").filter { $0.contains(" refused ") }.map { line in
            String(line[(line.firstRange(of: "command=")?.lowerBound ?? line.startIndex)...])
        }
        let because = "reason=\"earlier rejection: rejectsource + @src:9 via spam@\""
        #expect(
            lines == [
                "command=\"EHLO bad.example\" reply=\"550 5.7.1 Go\" reason=\"rejectnet + @src:7 via .bad.example\"",
                "command=\"MAIL FROM:<spam@b.example>\" reply=\"553 5.7.1 Spam\" "
                    + "reason=\"rejectsource + @src:9 via spam@\"",
                "command=\"RCPT TO:<x@e.test>\" reply=\"\(earlier)\" \(because)",
                "command=\"RCPT TO:<y@e.test>\" reply=\"\(earlier)\" \(because)",
                "command=DATA reply=\"550 5.1.7 No valid sender, rejecting all recipients\" \(because)",
                "command=FOO reply=\"550 5.5.2 Unknown command 'FOO'\" reason=protocol",
            ])
    }

    @Test("a client that is refused at its connection hears so at each command, and the log says why each time")
    func refusedConnection() throws {
        let words = ["Hello [127.0.0.1]; one", "Hello [127.0.0.1]; two", "Hello [127.0.0.1]; three"]
        let fixture = try WorkerFixture(
            policy: Self.script {
                guard $0.verb == .connect else { return }
                $1 = PolicyAnswer(
                    number: $0.number, verdict: .refuse, reply: Reply(550, EnhancedStatusCode(5, 7, 1), words),
                    reason: "rejectnet + @src:1 via [127.0.0.0]/8")
            })
        let dialogue = try fixture.connect()
        for _ in 0..<2 {
            try dialogue.expect("550-5.7.1 Hello [127.0.0.1]; one")
            try dialogue.expect("550-5.7.1 Hello [127.0.0.1]; two")
            try dialogue.expect("550 5.7.1 Hello [127.0.0.1]; three")
            try dialogue.send("EHLO x.example\r\n")
        }
        try dialogue.expectReply("550")
        try dialogue.send("QUIT\r\n")
        try dialogue.expect("221 ")
        #expect(fixture.policy.questions.map(\.verb).prefix(1) == [.connect])
        #expect(!fixture.policy.questions.contains { $0.verb == .helo })
        let log = try fixture.log()
        let reply = "reply=\"550 5.7.1 Hello [127.0.0.1]; three\""
        let reason = "rejectnet + @src:1 via [127.0.0.0]/8"
        #expect(log.contains(" command=connect \(reply) reason=\"\(reason)\""))
        #expect(log.contains(" command=\"EHLO x.example\" \(reply) reason=\"earlier rejection: \(reason)\""))
    }

    @Test("a service that stands still holds no memory without bound: questions beyond it are refused at once")
    func stuck() throws {
        let fixture = try WorkerFixture(maximumWaiting: 2000) {
            $0.verb == .rcpt ? nil : ScriptedPolicy.acceptAll($0)
        }
        let dialogue = try fixture.greeted()
        try dialogue.send("MAIL FROM:<a@b.example>\r\n")
        try dialogue.expect("250 2.1.0 ")
        // Each question is about 100 octets; the session asks up to 64 at once.
        try dialogue.send(String(repeating: "RCPT TO:<someone@e.test>\r\n", count: 60))
        try eventually("the log") { try fixture.log().contains("error policy-service-stuck ") }
        let other = try fixture.connect()
        try other.expect("220 ")
        try other.send("EHLO \(String(repeating: "long.", count: 40))example\r\n")
        try other.expect("451 4.3.0 ")
    }
}
