import Configuration
import MailModel
import Policy
import PolicyAsking
import SMTPProtocol
import Testing

/// A dialogue whose policy a test writes.
@Suite struct PolicyDialogueTests {
    final class Script {
        var asked: [PolicyQuestion] = []
        let change: (PolicyQuestion, inout PolicyAnswer) -> Void
        var isSilent = false
        var isSilentBehind: PolicyQuestion.Verb?

        init(_ change: @escaping (PolicyQuestion, inout PolicyAnswer) -> Void = { _, _ in }) { self.change = change }

        func answer(_ question: PolicyQuestion) -> PolicyAnswer? {
            asked.append(question)
            if isSilent { return nil }
            isSilent = question.verb == isSilentBehind
            var answer = PolicyAnswer(number: question.number, verdict: .accept, reason: "script")
            change(question, &answer)
            return answer
        }
    }

    /// The replies to all commands, the EHLO keywords left out; nothing behind the end of the session.
    func replies(_ script: Script, configuration text: String = "* ve\n", _ commands: [String]) throws -> [String] {
        let configuration = try SMTPServerConfiguration.parse(text, file: "f", environment: ZEnvironment())
        let values = ServerConfiguration.Values(configuration, hostName: "mx.example")
        var dialogue = PolicyDialogue(
            configuration, ServerConfiguration(values), client: .v4(0xc000_0201), sessionID: "t", ask: script.answer)
        var octets: [UInt8] = []
        if dialogue.connect(unixTime: 0, into: &octets) {
            for command in commands where !dialogue.receive(Array((command + "\r\n").utf8), into: &octets) { break }
        }
        dialogue.disconnect()
        return String(decoding: octets, as: UTF8.self).split(separator: "\r\n").map(String.init)
            .filter { !$0.hasPrefix("250-") || $0.contains("mx.example") }
    }

    static let mail = ["EHLO a.example", "MAIL FROM:<x@a.example>", "RCPT TO:<y@b.example>"]

    @Test("each question asks for its steps and carries the session's state; the end is told")
    func questions() throws {
        let script = Script { $1.state = "after \($0.verb)" }
        let replies = try replies(script, Self.mail)
        #expect(replies.count == 5)
        #expect(script.asked.map(\.verb) == [.connect, .helo, .mail, .rcpt, .disconnect])
        #expect(script.asked.map(\.state) == ["", "after connect", "after helo", "after mail", ""])
        #expect(script.asked.allSatisfy { $0.wantsSteps && $0.client == .v4(0xc000_0201) })
        #expect(script.asked[1].helo == "a.example" && script.asked[3].helo == "a.example")
        #expect(replies.last == "250 2.1.5 Recipient address syntax Ok; rcpt=<y@b.example>")
    }

    @Test("no message is taken, with DATA or BDAT")
    func nothingStored() throws {
        let text = "554 5.7.1 This is a test of the policy: no message is taken and nothing is stored"
        #expect(try replies(Script(), Self.mail + ["DATA"]).last == text)
        #expect(try replies(Script(), Self.mail + ["BDAT 5 LAST", "abc"]).last == text)
    }

    @Test("a refused client hears so at each command; one that is dropped hears nothing")
    func connect() throws {
        let refusal = Reply(550, EnhancedStatusCode(5, 7, 1), "No")
        func script(_ verdict: PolicyAnswer.Verdict, _ reply: Reply?) -> Script {
            Script {
                if $0.verb == .connect { $1 = PolicyAnswer(number: 1, verdict: verdict, reply: reply, reason: "r") }
            }
        }
        #expect(try replies(script(.refuse, refusal), ["EHLO a"]) == ["550 5.7.1 No", "550 5.7.1 No"])
        #expect(try replies(script(.drop, nil), ["EHLO a"]).isEmpty)
        let later = Reply(450, EnhancedStatusCode(4, 7, 0), "Later")
        #expect(try replies(script(.refuse, later), ["EHLO a"]) == ["450 4.7.0 Later"])
    }

    @Test("without an answer nothing is accepted")
    func silent() throws {
        let script = Script()
        script.isSilent = true
        #expect(try replies(script, ["EHLO a"]) == ["421 4.3.0 mx.example Service not available, try later"])
        let late = Script()
        late.isSilentBehind = .helo
        let lines = try replies(late, Array(Self.mail.prefix(2)))
        #expect(lines.dropFirst(3) == ["451 4.3.0 Requested action aborted: local error in processing"])
    }

    @Test("HELO patterns hold before the policy, the size of the policy is offered, its name is told")
    func session() throws {
        let script = Script {
            if $0.verb == .connect {
                $1.clientName = "real.example"
                $1.maximumSize = 1000
                $1.needless = [.mail]
            }
        }
        let lines = try replies(
            script, configuration: "PARAM maxsize 5000\nbad* !go\n* ve\n",
            ["EHLO bad.example", "EHLO good.example", "MAIL FROM:<a@b.example> SIZE=2000", "MAIL FROM:<a@b.example>"])
        #expect(
            lines.dropFirst() == [
                "501 5.7.1 Sorry [192.0.2.1], go", "250-mx.example expected \"EHLO real.example\"", "250 HELP",
                "552 5.3.4 Message of 2000 octets exceeds the maximum of 1000 octets", "250 2.1.0 Sender syntax Ok",
            ])
        #expect(script.asked.map(\.verb) == [.connect, .helo, .disconnect])
    }
}
