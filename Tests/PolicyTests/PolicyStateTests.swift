import MailModel
import Testing

@testable import Policy

@Suite("Policy: the state of a session")
struct PolicyStateTests {
    @Test("what is written is read, whatever is in it")
    func roundTrip() throws {
        var state = PolicyState()
        #expect(PolicyState(text: state.text) == state)
        for bit in PolicyState.Flags.letters.indices { state.flags.insert(PolicyState.Flags(rawValue: 1 << bit)) }
        state.maximumSize = 1_000_000_000_000_000
        state.greylist = 300
        state.rates = "-10,200"
        state.rateText = "a;b=c%d\t\u{1}\u{e4}."
        state.listText = "%3B;.;"
        state.rejectText = "1;f=R;."
        state.reason = "rejectnet + @a:1 via [10.0.0.0]/8"
        state.senderReason = "x"
        #expect(PolicyState(text: state.text) == state)
        #expect(state.text.utf8.allSatisfy { (0x20...0x7e).contains($0) })
    }

    @Test("it never has more than 2000 octets, and long texts are cut")
    func length() throws {
        var state = PolicyState()
        for bit in PolicyState.Flags.letters.indices { state.flags.insert(PolicyState.Flags(rawValue: 1 << bit)) }
        state.maximumSize = .max
        state.greylist = .max
        let long = String(repeating: "\u{e4};", count: 500)
        (state.rates, state.rateText, state.listText, state.rejectText, state.reason, state.senderReason) = (
            long, long, long, long, long, long
        )
        #expect(state.text.utf8.count <= PolicyState.maximumLength)
        #expect(PolicyState(text: state.text)?.flags == state.flags)
    }

    @Test(
        "what cannot be read is trouble, never an empty state",
        arguments: [
            "", "1", "1;", "1;f=R", "1;f=R;", "2;f=R;.", "1;f=X;.", "1;x=1;.", "1;s=-1;.", "1;s=x;.", "1;f;.", "f=R;.",
            "1;;.",
            "1;s=99999999999999999999;.",
        ])
    func unreadable(text: String) throws {
        #expect(PolicyState(text: text) == nil)
        let world = try PolicyWorld("example.test relaytarget +")
        for verb in [PolicyQuestion.Verb.helo, .mail, .rcpt] {
            let question = PolicyQuestion(
                number: 1, verb: verb, session: "s", client: .v4(1), recipient: "alice@example.test", state: text)
            #expect(summary(try world.decide(question).answer) == "refuse 451 4.3.0")
        }
    }

    @Test("every cut of a state is unreadable")
    func cuts() throws {
        let state = try #require(
            PolicyWorld("[0.0.0.0]/0 message a;b rejectnet +").session("203.0.113.9").last?.answer.state)
        for count in 0..<state.utf8.count { #expect(PolicyState(text: String(state.prefix(count))) == nil) }
    }

    @Test("each answer survives its line")
    func lines() throws {
        let world = try PolicyWorld("[0.0.0.0]/0 maxinsize 7 rcpt-dns-rbl \"_a b\"\nexample.test test-rcpt-dns-rbl +")
        for decision in try world.session("203.0.113.9", to: ["alice@example.test"], steps: true) {
            #expect(PolicyAnswer(line: decision.answer.line) == decision.answer)
        }
    }
}

@Suite("Policy: steps")
struct PolicyStepTests {
    @Test("steps tell keys, attributes with their origins, flags, names, and the verdict")
    func steps() throws {
        let world = try PolicyWorld(
            "_t relaytarget + freeze -\nexample.test localdomain + = _t = _t\n[0.0.0.0]/0 relaycustnet - maxinsize 5")
        let decisions = try world.session("203.0.113.9", to: ["alice@example.test"], steps: true)
        let lines = decisions.map { $0.answer.steps.map(\.debugLine) }
        #expect(lines.first?.first == "000- chain: connect: [203.0.113.9]")
        #expect(lines.first?.contains("000- key: [0.0.0.0]/0: found") == true)
        #expect(lines.first?.contains("000- attribute: relaycustnet -: accepted! (src:3)") == true)
        #expect(lines.first?.contains("000- name: PTR 9.113.0.203.in-addr.arpa: no such name") == true)
        #expect(
            lines[1].filter { $0.hasPrefix("000- key") } == [
                "000- key: client.test: not found", "000- key: .client.test: not found", "000- key: .test: not found",
                "000- key: .: not found", "000- key: client.test: nothing found",
            ])
        let last = try #require(lines.last)
        #expect(last.contains("000- chain: rcpt: <alice@example.test>"))
        #expect(last.contains("000- attribute: = _t: followed (src:2)"))
        #expect(last.contains("000- attribute: relaytarget +: accepted! (src:1)"))
        #expect(last.contains("000- attribute: freeze -: known already, skipped (src:1)"))
        #expect(last.contains("000- table: alice: found (users:1)"))
        #expect(last.last == "000- verdict: accept: relaytarget + @src:1 via example.test; localnames:1 users:1")
        #expect(try world.session("203.0.113.9", to: ["alice@example.test"]).allSatisfy { $0.answer.steps.isEmpty })
    }

    @Test("steps survive their line whatever the client says in them")
    func hostileSteps() throws {
        var answer = PolicyAnswer(number: 1, verdict: .accept, reason: "")
        for text in [
            "\u{301}a", "a|b%7C%25%", "%\u{301}", "|\u{301}|", "\u{200d}%7\u{308}C", "\u{1f468}\u{200d}\u{1f469}", "",
        ] {
            answer.steps.append(PolicyStep(.key, text, text, origin: text))
        }
        #expect(PolicyAnswer(line: answer.line)?.steps == answer.steps)
    }

    @Test("every refusal has a reason with the place in the source")
    func reasons() throws {
        let source = """
            [203.0.113.66]/32 rejectnet +
            bad.test rejectnet +
            spam.test rejectsource +
            . relaytarget -
            """
        let world = try PolicyWorld(source)
        for (client, helo, from, reason) in [
            ("203.0.113.66", "a.b", "", "rejectnet + @src:1 via [203.0.113.66]/32"),
            ("203.0.113.9", "bad.test", "", "rejectnet + @src:2 via bad.test"),
            ("203.0.113.9", "a.b", "x@spam.test", "rejectsource + @src:3 via spam.test"),
            ("203.0.113.9", "a.b", "", "relaytarget - @src:4 via ."),
        ] {
            #expect(try world.session(client, helo: helo, from: from, to: ["a@b.test"]).last?.answer.reason == reason)
        }
    }
}
