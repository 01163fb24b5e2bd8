import Configuration
import MailModel
import Policy
import Telemetry
import Testing

@testable import PolicyEngine

@Suite("Policy engine")
struct PolicyEngineTests {
    private static let tags = """
        _rbl1 test-rcpt-dns-rbl +
        _localnames localdomain + relaytarget + = _rbl1

        """

    @Test("without any file but localnames: our users from everybody, nobody else's")
    func files() throws {
        let fixture = try EngineFixture()
        #expect(try fixture.recipient("alice@example.test").verdict == .accept)
        #expect(try fixture.recipient("ghost@example.test").reply?.code == 550)
        #expect(try fixture.recipient("someone@there.test").reply?.code == 550)
        let told = fixture.engine.metrics.metrics.text
        #expect(told.contains("zmailer_policy_decisions_total{verdict=\"refuse\"} 2\n"), "\(told)")
        #expect(told.contains("zmailer_policy_waiting 0\n"))
    }

    @Test("a domain of ours is ours in both its spellings")
    func internationalNames() throws {
        let fixture = try EngineFixture(localnames: "example.test\nb\u{fc}cher.test\n.xn--mnchen-3ya.test\n")
        for domain in [
            "b\u{fc}cher.test", "xn--bcher-kva.test", "B\u{dc}CHER.test", "m\u{fc}nchen.test", "x.xn--mnchen-3ya.test",
        ] {
            #expect(try fixture.recipient("alice@\(domain)").verdict == .accept, "\(domain)")
            let ghost = try fixture.recipient("ghost@\(domain)")
            #expect(ghost.reply?.status == EnhancedStatusCode(5, 1, 1), "\(domain): \(ghost)")
        }
    }

    @Test("a policy that changes is in use within a second; a wrong one is not, and the log says where it is wrong")
    func reload() throws {
        let fixture = try EngineFixture()
        func code() throws -> Int? { try fixture.recipient("x@mx.test").reply?.code }
        #expect(try code() == 550)
        fixture.scratch.write("mx.test\n", to: "var/db/smtp-policy.mx")
        fixture.pass(999)
        #expect(try code() == 550)
        fixture.pass(1)
        #expect(try code() == nil)
        fixture.scratch.write("mx.test\nother.test relaytarget\n", to: "var/db/smtp-policy.mx")
        fixture.pass(1000)
        #expect(try code() == nil)
        #expect(fixture.scratch.logLines("policy-broken").first?.contains("smtp-policy.mx:2") == true)
        fixture.pass(1000)
        #expect(try code() == nil)
        #expect(fixture.scratch.logLines("policy-broken").count == 1)
        fixture.scratch.write("other.test\n", to: "var/db/smtp-policy.mx")
        fixture.pass(1000)
        #expect(try code() == 550)
        #expect(fixture.scratch.logLines("policy-loaded").count == 3)
    }

    @Test("a policy that was wrong from the start is trouble for every question, never an accept, until it is right")
    func broken() throws {
        let fixture = try EngineFixture(source: "example.test nonsense +\n")
        for verb in [PolicyQuestion.Verb.connect, .helo, .mail, .rcpt] {
            let answer = try fixture.ask(fixture.question(verb, from: "a@b.test", to: "alice@example.test"))
            #expect(answer.verdict == .refuse)
            #expect(answer.reply?.code == 451)
            #expect(answer.reply?.status == EnhancedStatusCode(4, 3, 0))
        }
        let lines = fixture.scratch.logLines("policy-broken").count
        #expect(lines > 0)
        fixture.pass(1000)
        #expect(try fixture.ask(fixture.question(.connect, session: "t")).reply?.code == 451)
        #expect(fixture.scratch.logLines("policy-broken").count == lines, "said once")
        fixture.scratch.write(PolicyMerge.boilerplate, to: "var/db/smtp-policy.src")
        fixture.pass(1000)
        #expect(try fixture.recipient("alice@example.test").verdict == .accept)
    }

    @Test("a database that is not there is trouble, and named")
    func missing() throws {
        let fixture = try EngineFixture()
        fixture.settings.database = .gdbm("\(fixture.scratch.path)/nowhere")
        #expect(try fixture.recipient("alice@example.test").reply?.code == 451)
        #expect(fixture.scratch.logText.contains("nowhere.gdbm"))
    }

    @Test("all zones of a list are asked at once: one silent server costs one deadline, and after three sessions none")
    func deadLists() throws {
        let server = try SilentNameServer()
        let fixture = try EngineFixture(
            source: Self.tags + "[0.0.0.0]/0 rcpt-dns-rbl one.example:two.example:three.example\n. relaytarget -\n",
            zones: "zone 113.0.203.in-addr.arpa. static\n", forwarder: server.address)
        for number in 1...3 {
            var answer: PolicyAnswer?
            let question = fixture.question(.connect, client: "203.0.113.\(number)", session: "s\(number)")
            fixture.engine.ask(question, from: fixture.engine.asker()) { answer = $0 }
            var passed: Int64 = 0
            while answer == nil, passed < 20_000 {
                fixture.settle()
                fixture.pass(1000)
                passed += 1000
            }
            #expect(answer?.verdict == .accept)
            #expect(passed == 3000, "session \(number)")
        }
        #expect(fixture.scratch.logLines("list-dead").count == 3)
        let answer = try fixture.ask(fixture.question(.connect, client: "203.0.113.4", session: "s4"))
        #expect(answer.verdict == .accept)
    }

    @Test("a question that the DNS does not answer is 451 after 25 s at most")
    func silence() throws {
        let server = try SilentNameServer()
        let fixture = try EngineFixture(
            source: Self.tags + "[0.0.0.0]/0 relaycustnet -\n. senderokwithdns - relaytarget -\n",
            zones: "zone 113.0.203.in-addr.arpa. static\n", forwarder: server.address)
        try fixture.openSession()
        var answer: PolicyAnswer?
        let asker = fixture.engine.asker()
        fixture.engine.ask(fixture.question(.mail, from: "a@silent.example"), from: asker) { answer = $0 }
        #expect(answer == nil)
        #expect(asker.waiting == 1)
        #expect(fixture.engine.waiting == 1)
        var passed: Int64 = 0
        while answer == nil, passed < 30_000 {
            if passed % 5000 == 0 { fixture.settle() }
            fixture.pass(500)
            passed += 500
        }
        #expect(answer?.verdict == .refuse)
        #expect(answer.map { (400..<500).contains($0.reply?.code ?? 0) } == true)
        #expect(passed <= PolicyEngine.questionDeadline)
        #expect(asker.waiting == 0)
        #expect(fixture.engine.waiting == 0)
    }

    @Test("what is refused because too many wait counts as a decision")
    func full() throws {
        let server = try SilentNameServer()
        let fixture = try EngineFixture(
            source: Self.tags + "[0.0.0.0]/0 relaycustnet -\n. senderokwithdns - relaytarget -\n",
            zones: "zone 113.0.203.in-addr.arpa. static\n", forwarder: server.address)
        try fixture.openSession()
        let asker = fixture.engine.asker()
        var answer: PolicyAnswer?
        func ask() {
            fixture.engine.ask(fixture.question(.mail, from: "a@silent.example"), from: asker) { answer = $0 }
        }
        for _ in 0..<PolicyEngine.pendingLimit { ask() }
        #expect(answer == nil)
        #expect(fixture.engine.metrics.waiting.value == Int64(PolicyEngine.pendingLimit))
        let before = fixture.engine.metrics.decisions[.defer]
        ask()
        #expect(answer?.reply?.code == 451)
        #expect(fixture.engine.metrics.decisions[.defer] == before + 1)
    }

    @Test("the questions of who has gone do not wait for ever in the metrics")
    func gone() throws {
        let fixture = try EngineFixture(
            source: Self.tags + "[0.0.0.0]/0 relaycustnet -\n. senderokwithdns - relaytarget -\n",
            zones: "data \"from.test. 300 IN MX 10 mx.from.test.\"\n")
        try fixture.openSession()
        let asker = fixture.engine.asker()
        fixture.engine.ask(fixture.question(.mail, from: "a@from.test"), from: asker) { _ in
            Issue.record("nobody wants it")
        }
        #expect(fixture.engine.metrics.waiting.value == 1)
        fixture.engine.forget(asker)
        fixture.wait { fixture.engine.waiting == 0 }
        #expect(fixture.engine.metrics.waiting.value == 0)
    }

    @Test("answers that fill the memory end the decision, and none of them is kept")
    func largeAnswers() throws {
        let filler = String(repeating: "\"\(String(repeating: " ip4:192.0.2.1", count: 18))\" ", count: 80)
        let zones = (0..<10).map {
            "data i\($0).example. 300 IN TXT \"v=spf1\" \(filler) \" include:i\($0 + 1).example -all\"\n"
        }
        let fixture = try EngineFixture(
            source: "[0.0.0.0]/0 spf +\n. acceptifmx -\n", localnames: "", zones: zones.joined())
        var state = ""
        var answer: PolicyAnswer?
        let asker = fixture.engine.asker(fixture.settings)
        fixture.engine.ask(fixture.question(.connect), from: asker) { state = $0.state }
        fixture.wait { !state.isEmpty }
        fixture.state = state
        fixture.engine.ask(fixture.question(.mail, from: "x@i0.example"), from: asker) { answer = $0 }
        fixture.wait { answer != nil }
        #expect(answer?.reply?.code == 451)
        #expect(answer?.reason == "trouble: needs too many DNS answers")
        #expect(fixture.engine.waiting == 0)
    }

    @Test("facts that are known cost no question to the DNS")
    func cache() throws {
        let fixture = try EngineFixture(
            source: Self.tags + "[0.0.0.0]/0 relaycustnet -\n. senderokwithdns - relaytarget -\n",
            zones: "data \"from.test. 300 IN MX 10 mx.from.test.\"\n")
        try fixture.openSession()
        let state = fixture.state
        #expect(try fixture.ask(fixture.question(.mail, from: "a@from.test")).verdict == .accept)
        fixture.state = state
        var answer: PolicyAnswer?
        fixture.engine.ask(fixture.question(.mail, from: "b@from.test"), from: fixture.engine.asker()) { answer = $0 }
        #expect(answer?.verdict == .accept, "at once")
        fixture.pass(301_000)
        answer = nil
        fixture.engine.ask(fixture.question(.mail, from: "b@from.test"), from: fixture.engine.asker()) { answer = $0 }
        #expect(answer == nil, "too old to be believed")
        fixture.wait { answer != nil }
    }

    @Test("a blocking question is answered by the same code, one after the other")
    func blocking() throws {
        let fixture = try EngineFixture()
        let engine = try PolicyEngine(
            try .init(
                .init(values: [
                    "MAILVAR": "\(fixture.scratch.path)/var", "RESOLVERZONES": "\(fixture.scratch.path)/zones",
                    "ACCOUNTS": "file:\(fixture.scratch.path)/var/db/users", "HOSTNAME": "mail.example.test",
                ]), postoffice: "\(fixture.scratch.path)/po"), log: fixture.scratch.log)
        let connect = engine.answer(fixture.question(.connect), AskerSettings())
        #expect(connect.verdict == .accept)
        #expect(connect.clientName == "")
        fixture.state = connect.state
        let answer = engine.answer(fixture.question(.rcpt, from: "a@b.test", to: "x@there.test"), AskerSettings())
        #expect(answer.reply?.code == 550)
    }

    @Test("recipients of stored messages are counted for the sliding hour")
    func rates() throws {
        let fixture = try EngineFixture(
            source: Self.tags + "[203.0.113.0]/24 relaycustnet + ratelimitmsgs 3,5\n[0.0.0.0]/0 relaycustnet -\n"
                + ". relaytarget -\n")
        func code() throws -> Int? { try fixture.recipient("alice@example.test").reply?.code }
        #expect(try code() == nil)
        for _ in 0..<2 { try fixture.ask(fixture.question(.stored, count: 1)) }
        #expect(try code() == nil)
        try fixture.ask(fixture.question(.stored, count: 1))
        #expect(try code() == 451)
        fixture.pass(3_600_000)
        #expect(try code() == nil)
        try fixture.ask(fixture.question(.stored, count: 5))
        #expect(try code() == 451)
    }

    @Test("greylisting makes strangers wait, and a restart forgets nobody")
    func greylist() throws {
        let source =
            Self.tags + "[203.0.113.0]/24 greylist 300\n[0.0.0.0]/0 relaycustnet -\n. relaytarget -\n"
        let scratch = try Scratch()
        var fixture = try EngineFixture(source: source, scratch: scratch)
        func code(_ from: String = "a@from.test") throws -> Int? {
            try fixture.recipient("alice@example.test", from: from).reply?.code
        }
        #expect(try code() == 451)
        fixture.pass(299_000)
        #expect(try code() == 451)
        fixture = try EngineFixture(source: source, scratch: scratch, writesState: false)
        fixture.pass(300_000)
        #expect(try code() == nil, "a second process sees what the first has written")
        #expect(try code("b@from.test") == 451)
        fixture = try EngineFixture(source: source, scratch: scratch)
        fixture.pass(300_000)
        #expect(try code() == nil)
        #expect(try code("b@from.test") == 451)
    }
}
