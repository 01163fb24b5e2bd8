import MailModel
import Policy
import Testing

@Suite("Policy: connect")
struct ConnectChainTests {
    @Test(
        "what the address's entry says",
        arguments: [
            ("rejectnet +", "refuse 550 5.7.1"), ("rejectnet -", "accept"), ("freezenet +", "accept freeze"),
            ("freezenet -", "accept"), ("rejectnet + freezenet +", "refuse 550 5.7.1"), ("fulltrustnet +", "accept"),
            ("fulltrustnet + rejectnet +", "refuse 550 5.7.1"), ("relaytarget -", "accept"),
            ("trust-whoson +", "accept"),
            ("maxsameipsource 0", "refuse 450 4.7.0"), ("rejectnet + maxsameipsource 0", "refuse 550 5.7.1"),
        ])
    func address(attributes: String, expected: String) throws {
        let world = try PolicyWorld("[203.0.113.0]/24 \(attributes)")
        #expect(summary(try #require(world.session("203.0.113.9").first?.answer)) == expected)
        #expect(summary(try #require(world.session("198.51.100.1").first?.answer)) == "accept")
    }

    @Test("a rejected client is told where to complain, and gets the same for each command")
    func rejection() throws {
        let world = try PolicyWorld("[203.0.113.0]/24 message \"Not \u{e4}gain\" rejectnet +")
        let answer = try #require(world.session("203.0.113.9").last?.answer)
        let lines = [
            "Hello [203.0.113.9]; If you feel we mistreat you, do contact us.",
            "Hello [203.0.113.9]; see https://example.test/postmaster", "Hello [203.0.113.9]; Not   gain",
        ]
        #expect(answer.reply == Reply(550, EnhancedStatusCode(5, 7, 1), lines))
        #expect(answer.reason == "rejectnet + @src:1 via [203.0.113.0]/24")
        for verb in [PolicyQuestion.Verb.helo, .mail, .rcpt] {
            let question = PolicyQuestion(
                number: 2, verb: verb, session: "s", client: IPAddress("203.0.113.9"), recipient: "a@b.test",
                authenticatedUser: "alice", state: answer.state)
            let later = try world.decide(question).answer
            #expect(later.reply == answer.reply)
            #expect(later.reason == answer.reason)
            #expect(!later.runsFilter)
        }
    }

    @Test("without a text of its own the network is on static tables")
    func standardTexts() throws {
        var world = try PolicyWorld("[203.0.113.0]/24 rejectnet +\nbad.test rejectnet +")
        world.settings.contactPointer = ""
        let lines = try world.session("203.0.113.9").last?.answer.reply?.lines
        #expect(lines?.count == 2)
        #expect(lines?.last == "Hello [203.0.113.9]; Your network address is blackholed in our static tables")
    }

    @Test(
        "who is trusted",
        arguments: [
            // Recipient of nobody here, sender without a domain in the DNS.
            ("fulltrustnet +", "x@nowhere.test", "accept"), ("fulltrustnet + submit +", "x@nowhere.test", "submit"),
            ("trustrecipients +", "x@nowhere.test", "refuse 553 5.4.3"), ("trustrecipients +", "x@real.test", "accept"),
            ("trustrecipients + submit +", "x@real.test", "submit"),
            ("relaycustnet +", "x@nowhere.test", "refuse 553 5.4.3"),
            ("relaycustnet +", "x@real.test", "refuse 550 5.4.3"),
            ("submit +", "x@real.test", "refuse 550 5.7.1"), ("relaycustomer +", "x@real.test", "refuse 550 5.7.1"),
            ("", "x@real.test", "refuse 550 5.7.1"),
        ])
    func trust(attributes: String, sender: String, expected: String) throws {
        let world = try PolicyWorld("[203.0.113.0]/24 \(attributes)\n. senderokwithdns - relaytarget -")
        world.facts.address("real.test", "198.51.100.1")
        #expect(try world.outcome("203.0.113.9", from: sender, to: "bob@elsewhere.test") == expected)
    }

    @Test("nobody's address is a dialogue on standard input: full trust")
    func interactive() throws {
        let world = try PolicyWorld("[0.0.0.0]/0 rejectnet +")
        let question = PolicyQuestion(number: 1, verb: .connect, session: "s", client: nil)
        let answer = try world.decide(question).answer
        #expect(answer.verdict == .accept)
        #expect(answer.needless == [.helo, .mail])
        var next = PolicyQuestion(number: 1, verb: .rcpt, session: "s", client: nil, recipient: "a@b.test")
        next.state = answer.state
        #expect(try world.decide(next).answer.verdict == .accept)
    }

    @Test(
        "what need not be asked",
        arguments: [
            ("fulltrustnet +", [.helo, .mail]), ("fulltrustnet + submit +", [.helo]),
            ("relaycustnet +", [.helo, .mail]),
            ("trustrecipients +", [.helo, .mail]), ("", [.helo, .mail]), ("freezenet +", [.helo]),
            ("relaycustnet + ratelimitmsgs 5", [.helo]), ("spf +", [.helo]), ("submit +", [.helo]),
            ("relaycustnet +\na.test rejectsource +", [.helo]), ("\na.test rejectnet +", [.helo]),
            ("\na@ senderokwithdns -", [.helo]), ("\na.test rejectsource - rejectnet -", [.helo, .mail]),
            ("\na.test = _x\n_x = _y\n_y freezesource +", [.helo]), ("\n_y freezesource +", [.helo, .mail]),
            ("\n[10.0.0.0]/8 rejectnet +", [.helo, .mail]),
        ] as [(String, Set<PolicyQuestion.Verb>)])
    func needless(attributes: String, expected: Set<PolicyQuestion.Verb>) throws {
        let first = try PolicyWorld("[0.0.0.0]/0 maxinsize 9 \(attributes)").session("203.0.113.9").first
        #expect(first?.answer.needless == expected)
    }

    @Test("a database that begins to judge senders in the middle of a session does so at RCPT")
    func late() throws {
        let state = try #require(
            PolicyWorld("b.test relaytarget +").session("203.0.113.9").first?.answer.state)
        for (sender, expected) in [("x@bad.test", "refuse 553 5.7.1"), ("x@good.test", "accept")] {
            let answer = try PolicyWorld("b.test relaytarget +\nbad.test rejectsource +").decide(
                PolicyQuestion(
                    number: 1, verb: .rcpt, session: "s", client: IPAddress("203.0.113.9"), sender: sender,
                    recipient: "a@b.test", state: state)
            ).answer
            #expect(summary(answer) == expected)
        }
    }

    @Test(
        "whether content filters run",
        arguments: [
            ("", true), ("filtering +", true), ("filtering -", false), ("relaycustnet +", false),
            ("relaycustnet + filtering +", true), ("relaycustnet + filtering -", false), ("freezenet +", false),
            ("rejectnet +", false), ("fulltrustnet +", true), ("trustrecipients +", true),
        ])
    func filters(attributes: String, expected: Bool) throws {
        let answers = try PolicyWorld("[0.0.0.0]/0 spf - \(attributes)").session(
            "203.0.113.9", to: ["alice@example.test"])
        for decision in answers { #expect(decision.answer.runsFilter == expected) }
    }

    @Test("a sender that is frozen is not filtered")
    func senderFilters() throws {
        let answers = try PolicyWorld("x.test freezesource +").session("203.0.113.9", from: "a@x.test")
        #expect(answers.map(\.answer.runsFilter) == [true, true, false])
    }

    @Test("the size limit of the network is told in all answers")
    func size() throws {
        let answers = try PolicyWorld("[0.0.0.0]/0 maxinsize 5000").session("203.0.113.9", to: ["alice@example.test"])
        #expect(answers.map(\.answer.maximumSize) == [5000, 5000, 5000, 5000])
    }

    @Test("trouble with the database is a temporary refusal, whatever is asked")
    func trouble() throws {
        struct Broken: PolicyDatabase {
            func value(for key: [UInt8]) throws(PolicyTrouble) -> [UInt8]? { throw PolicyTrouble("cut") }
        }
        struct Wrong: PolicyDatabase {
            func value(for key: [UInt8]) throws(PolicyTrouble) -> [UInt8]? {
                key == PolicyKey.metadata ? PolicyMetadata().octets : [1]
            }
        }
        let world = try PolicyWorld("")
        for database in [Broken() as any PolicyDatabase, Wrong()] {
            let evaluator = PolicyEvaluator(
                settings: world.settings, database: database, tables: world.tables, facts: world.facts,
                counters: world.counters)
            for verb in [PolicyQuestion.Verb.helo, .mail, .rcpt] {
                var question = PolicyQuestion(
                    number: 1, verb: verb, session: "s", client: IPAddress("203.0.113.9"), helo: "a.test",
                    sender: "a@b.test",
                    recipient: "a@b.test", state: "1;.")
                #expect(throws: PolicySuspension.self) { try evaluator.decide(question) }
                question.client = nil
                #expect(throws: PolicySuspension.self) { try evaluator.decide(question) }
            }
        }
    }
}

@Suite("Policy: reverse names")
struct ReverseNameTests {
    private func world(_ source: String) throws -> PolicyWorld {
        let world = try PolicyWorld(source)
        world.facts.names("9.113.0.203.in-addr.arpa", "Host.Good.Test", "other.test")
        world.facts.address("host.good.test", "203.0.113.9")
        world.facts.address("other.test", "198.51.100.1")
        world.facts.address("real.test", "198.51.100.2")
        return world
    }

    @Test(
        "rights need a name that has the address, rejections do not",
        arguments: [
            (".good.test relaycustnet +", "accept"), ("other.test relaycustnet +", "refuse 550 5.7.1"),
            ("other.test rejectnet +", "refuse 550 5.7.1"), ("host.good.test rejectnet +", "refuse 550 5.7.1"),
            ("other.test freezenet +", "accept freeze"), (".good.test fulltrustnet +", "refuse 550 5.7.1"),
            (".good.test trustrecipients +", "refuse 550 5.7.1"),
            (".good.test relaycustnet + rejectnet +", "refuse 550 5.7.1"),
            ("other.test rejectnet +\n.good.test relaycustnet +", "refuse 550 5.7.1"),
        ])
    func rights(source: String, expected: String) throws {
        let world = try world(source + "\n. relaytarget -")
        #expect(try world.outcome("203.0.113.9", to: "bob@real.test") == expected)
    }

    @Test("the confirmed name is the client's name")
    func name() throws {
        var answer = try world("").session("203.0.113.9").first?.answer
        #expect(answer?.clientName == "host.good.test")
        #expect(answer?.reverseFlags == "OK-OK")
        answer = try world("").session("203.0.113.8").first?.answer
        #expect(answer?.clientName.isEmpty == true)
        #expect(answer?.reverseFlags == "FAIL-FAIL")
        let other = try world("")
        other.facts.fail("8.113.0.203.in-addr.arpa", .ptr)
        #expect(try other.session("203.0.113.8").first?.answer.reverseFlags == "??-??")
        other.facts.forget()
        other.facts.fail("host.good.test", .a)
        #expect(try other.session("203.0.113.9").first?.answer.reverseFlags == "OK-??")
    }

    @Test("while one of several names is not known, what rights by name would change is refused for the time being")
    func lacksName() throws {
        var world = try PolicyWorld(".good.test relaycustnet +\n[0.0.0.0]/0 spf +\n. relaytarget -")
        world.settings.spfThreshold = .softfail
        world.facts.names("9.113.0.203.in-addr.arpa", "a.plain.test", "host.good.test")
        world.facts.address("a.plain.test", "203.0.113.9")
        world.facts.fail("host.good.test", .a)
        #expect(try world.outcome("203.0.113.9", to: "bob@real.test") == "refuse 451 4.4.3")
        world.facts.text("sender.test", "v=spf1 -all")
        #expect(try world.outcome("203.0.113.9", to: "bob@real.test") == "refuse 451 4.4.3")
        world.facts.address("host.good.test", "198.51.100.1")
        world.facts.forget()
        #expect(try world.outcome("203.0.113.9", to: "bob@real.test") == "refuse 553 5.7.1")
        world.facts.text("sender.test", "v=spf1 +all")
        world.facts.forget()
        #expect(try world.outcome("203.0.113.9", to: "bob@real.test") == "refuse 550 5.7.1")
    }

    @Test("IPv6 clients are looked up by their 32 digits and confirmed by AAAA")
    func v6() throws {
        let world = try PolicyWorld(".good.test relaycustnet +\n. relaytarget -")
        world.facts.names("1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa", "six.good.test")
        world.facts.address("six.good.test", "2001:db8::1", "203.0.113.9")
        #expect(try world.session("2001:db8::1").first?.answer.clientName == "six.good.test")
        #expect(try world.outcome("2001:db8::1", to: "a@six.good.test") == "accept")
    }

    @Test("a DNS failure takes no right for good: what the name could allow is refused for the time being")
    func failure() throws {
        for (source, expected) in [
            (".good.test relaycustnet +\n. relaytarget -", "refuse 451 4.4.3"),
            (".good.test = _t\n_t relaycustnet +\n. acceptifmx -", "refuse 451 4.4.3"),
            (". relaytarget -", "refuse 550 5.7.1"),
            (".good.test relaycustnet +\n. relaytarget -\nbob.test relaytarget -", "refuse 451 4.4.3"),
        ] {
            let world = try PolicyWorld(source)
            world.facts.fail("9.113.0.203.in-addr.arpa", .ptr)
            world.facts.exchangers("other.test", "mx.other.test")
            world.facts.address("mx.other.test", "198.51.100.1")
            #expect(try world.outcome("203.0.113.9", to: "bob@other.test") == expected)
            #expect(try world.outcome("203.0.113.9", to: "postmaster") == "accept")
        }
        let world = try PolicyWorld(".good.test relaycustnet +\n. relaytarget -\nbob.test message no relaytarget -")
        world.facts.fail("9.113.0.203.in-addr.arpa", .ptr)
        #expect(try world.outcome("203.0.113.9", to: "a@bob.test") == "refuse 550 5.7.1")
    }

    @Test("the smaller of the limits of network and name holds; a text of the name is remembered for RCPT")
    func more() throws {
        var world = try world("[203.0.113.0]/24 maxinsize 5000\nother.test maxinsize 300")
        #expect(try world.session("203.0.113.9").last?.answer.maximumSize == 300)
        world = try self.world("other.test rcpt-dns-rbl \"_Dialup\"\nexample.test test-rcpt-dns-rbl + relaytarget +")
        let answer = try world.session("203.0.113.9", to: ["alice@example.test"]).last?.answer
        #expect(
            answer?.reply?.summary
                == "550 5.7.1 Hello [203.0.113.9], Policy analysis reported: Dialup rcpt=<alice@example.test>")
    }

    @Test("names are asked for with the lists, all forward names together")
    func rounds() throws {
        let world = try world("[203.0.113.0]/24 test-dns-rbl a.zone:b.zone")
        _ = try world.session("203.0.113.9")
        #expect(world.facts.rounds.first?.count == 3)
        #expect(world.facts.rounds.dropFirst().first?.count == 2)
    }
}

@Suite("Policy: HELO")
struct HeloChainTests {
    @Test(
        "names",
        arguments: [
            ("bad.test", "refuse 553 5.7.1"), ("BAD.test", "refuse 553 5.7.1"), ("x.bad.test", "accept"),
            ("cold.test", "accept freeze"), ("[203.0.113.9]", "accept"), ("", "accept"), ("not a name!", "accept"),
            (String(repeating: "a.", count: 300), "accept"),
        ])
    func names(helo: String, expected: String) throws {
        let source = "bad.test rejectnet +\ncold.test freezenet +\n[0.0.0.0]/0 maxinsize 1\n[203.0.113.9]/32 spf -"
        #expect(try PolicyWorld(source).outcome("203.0.113.9", helo: helo) == expected)
    }

    @Test(
        "who may relay says what he likes",
        arguments: [
            ("relaycustnet +", "accept"), ("fulltrustnet +", "accept"), ("trustrecipients +", "refuse 553 5.7.1"),
        ])
    func trusted(attributes: String, expected: String) throws {
        #expect(
            try PolicyWorld("[0.0.0.0]/0 \(attributes)\nbad.test rejectnet +").outcome("203.0.113.9", helo: "bad.test")
                == expected)
    }

    @Test("a rejected name rejects at MAIL, a frozen one freezes, whether HELO was asked about or not")
    func session() throws {
        let world = try PolicyWorld("bad.test message never rejectnet +\ncold.test freezenet +")
        let rejected = try world.session("203.0.113.9", helo: "bad.test").last?.answer
        #expect(rejected?.reply?.lines.last?.hasSuffix("policy analysis reported: never") == true)
        #expect(rejected?.reason.hasSuffix("via bad.test") == true)
        let unasked = try world.decide(
            PolicyQuestion(
                number: 1, verb: .mail, session: "s", client: IPAddress("203.0.113.9"), helo: "bad.test",
                sender: "x@sender.test", state: "1;.")
        ).answer
        #expect(unasked.reply == rejected?.reply)
        #expect(unasked.reason == rejected?.reason)
        let answers = try world.session("203.0.113.9", helo: "cold.test", to: ["bob@elsewhere.test"])
        #expect(answers.map { summary($0.answer) } == ["accept", "accept", "accept freeze", "accept freeze"])
        #expect(answers.last?.answer.comment == "policytest() reported freeze state 1")
    }
}
