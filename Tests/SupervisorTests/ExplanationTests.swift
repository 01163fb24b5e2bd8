import Configuration
import MailModel
import Policy
import Testing

@testable import Supervisor

@Suite struct ExplanationTests {
    static let request = Explanation.Request(
        client: .v4(0xc000_0201), helo: "a.example", sender: "x@a.example",
        recipients: ["yes@b.example", "no@b.example"], authenticatedUser: "u")

    func explanation(
        _ request: Explanation.Request = request, configuration text: String = "* ve\n",
        change: @escaping (PolicyQuestion, inout PolicyAnswer) -> Void = { _, _ in }
    ) throws -> Explanation {
        let configuration = try SMTPServerConfiguration.parse(text, file: "f", environment: ZEnvironment())
        return Explanation(request, configuration, hostName: "mx.example", unixTime: 0) { question in
            var answer = PolicyAnswer(number: question.number, verdict: .accept, reason: "fine")
            answer.steps = [PolicyStep(.key, "k", "found", origin: "f:1")]
            change(question, &answer)
            return answer
        }
    }

    static func refuse(_ code: Int) -> (PolicyQuestion, inout PolicyAnswer) -> Void {
        {
            guard $0.recipient.hasPrefix("no") else { return }
            let reply = Reply(code, EnhancedStatusCode(code / 100, 7, 1), "No")
            $1 = PolicyAnswer(number: $0.number, verdict: .refuse, reply: reply, reason: "relaytarget - @f:2 via .")
        }
    }

    @Test("connect, helo, mail and each recipient are phases with command, verdict, reply, reason and steps")
    func phases() throws {
        let explanation = try explanation(change: Self.refuse(550))
        #expect(explanation.phases.map(\.name) == ["connect", "helo", "mail", "rcpt", "rcpt"])
        #expect(
            explanation.phases.map(\.command) == [
                "", "EHLO a.example", "MAIL FROM:<x@a.example>", "RCPT TO:<yes@b.example>", "RCPT TO:<no@b.example>",
            ])
        #expect(explanation.phases.map(\.verdict) == [.accept, .accept, .accept, .accept, .refuse])
        #expect(explanation.phases[4].reply == ["550 5.7.1 No"])
        #expect(explanation.phases[4].reason == "relaytarget - @f:2 via .")
        #expect(explanation.phases[2].answer?.steps == [PolicyStep(.key, "k", "found", origin: "f:1")])
        #expect(explanation.verdict == .refuse)
    }

    @Test(
        "the result is the worst of all phases",
        arguments: [(550, Explanation.Verdict.refuse), (451, .temporary)])
    func results(code: Int, expected: Explanation.Verdict) throws {
        #expect(try explanation(change: Self.refuse(code)).verdict == expected)
        #expect(try explanation().verdict == .accept)
        #expect(try explanation { if $0.verb == .rcpt { $1.freezeCode = 1 } }.verdict == .freeze)
        #expect(try explanation { if $0.verb == .rcpt { $1.verdict = .submit } }.verdict == .submit)
        let dropped = try explanation { if $0.verb == .connect { $1.verdict = .drop } }
        #expect(dropped.phases.count == 1 && dropped.verdict == .drop && dropped.phases[0].reply.isEmpty)
    }

    @Test("what follows from an earlier refusal, or is not asked, is said so")
    func reasons() throws {
        let refused = try explanation {
            if $0.verb == .mail {
                $1 = PolicyAnswer(
                    number: $0.number, verdict: .refuse, reply: Reply(553, EnhancedStatusCode(5, 7, 1), "No"),
                    reason: "rejectsource + @f:1 via .")
            }
        }
        #expect(refused.phases[3].verdict == .refuse && refused.phases[3].reason == "the session's own")
        #expect(refused.phases[3].answer == nil)
        let trusted = try explanation { if $0.verb == .connect { $1.needless = [.helo, .mail] } }
        #expect(trusted.phases[1].reason == "not asked: the answer is known since the client connected")
    }

    @Test("a client without a HELO name gives its address, one with letters of its own says SMTPUTF8")
    func commands() throws {
        let request = Explanation.Request(
            client: .v6(high: 0x2001_0db8_0000_0000, low: 1), sender: "", recipients: ["j\u{f6}rg@b.example"])
        let explanation = try explanation(request)
        #expect(
            explanation.phases.map(\.command) == [
                "", "EHLO [IPv6:2001:db8::1]", "MAIL FROM:<> SMTPUTF8", "RCPT TO:<j\u{f6}rg@b.example>",
            ])
        #expect(explanation.verdict == .accept)
        let helo = try self.explanation(configuration: "PARAM NoEHLO\n* ve\n")
        #expect(helo.phases[1].command == "HELO a.example")
    }

    @Test("JSON has the same keys whatever happened")
    func json() throws {
        let explanation = try explanation(change: Self.refuse(550))
        let value = try JSONValue(
            parsing: Array(explanation.json(Self.request, source: "service", exitCode: 1).text.utf8))
        #expect(value["source"]?.string == "service" && value["exit"]?.integer == 1)
        #expect(value["client"]?.string == "192.0.2.1" && value["verdict"]?.string == "refuse")
        let phases = value["phases"]?.elements ?? []
        #expect(phases.count == 5)
        for phase in phases {
            guard case .object(let members) = phase else {
                Issue.record("no object")
                continue
            }
            #expect(
                members.keys.sorted() == [
                    "asked", "command", "freeze", "header_field", "maximum_size", "phase", "reason", "reply", "steps",
                    "verdict",
                ])
        }
        #expect(phases[0]["steps"]?.elements.first?["origin"]?.string == "f:1")
        #expect(phases[4]["reply"]?.elements.first?.string == "550 5.7.1 No")
    }

    @Test("people get each phase with its steps, reply and verdict; nothing of a stranger's text reaches the terminal")
    func text() throws {
        var request = Self.request
        request.recipients = ["a\u{202e}b@b.example"]
        let text = try explanation(request).text
        #expect(text.contains("\nMAIL FROM:<x@a.example> SMTPUTF8\n    key: k: found (f:1)\n  reply:   250 2.1.0 "))
        #expect(text.hasSuffix("\nresult: accept") || text.hasSuffix("\nresult: refuse"))
        #expect(!text.unicodeScalars.contains("\u{202e}"))
    }
}
