import MailModel
import Policy
import Testing

@Suite("Policy: attributes of recipients")
struct RecipientAttributeTests {
    private static let denied = "refuse 550 5.7.1"

    private func world(_ source: String) throws -> PolicyWorld {
        let world = try PolicyWorld(source)
        world.facts.exchangers("ours.test", "mx.elsewhere.test", "mx.ours.test")
        world.facts.address("mx.elsewhere.test", "198.51.100.1")
        world.facts.address("mx.ours.test", "192.0.2.25")
        world.facts.exchangers("theirs.test", "mx.elsewhere.test")
        world.facts.address("bare.test", "192.0.2.25")
        world.facts.address("six.test", "2001:db8::25")
        world.facts.address("barether.test", "198.51.100.1")
        world.facts.address("nothing.test")
        world.facts.exchangers("null.test", ".")
        world.facts.exchangers("loop.test", "localhost.test")
        world.facts.address("localhost.test", "127.0.0.1")
        world.facts.exchangers("private.test", "mx.ours.test", "inner.test")
        world.facts.address("inner.test", "10.1.1.1")
        world.facts.exchangers("hostless.test", "gone.test")
        world.facts.fail("broken.test", .mx)
        world.facts.exchangers("half.test", "mx.half.test")
        world.facts.address("mx.half.test")
        world.facts.fail("mx.half.test", .a)
        world.facts.exchangers("halfours.test", "mx.half.test", "mx.ours.test")
        return world
    }

    @Test(
        "acceptifmx",
        arguments: [
            ("ours.test", "-", "accept"), ("bare.test", "-", "accept"), ("six.test", "-", "accept"),
            ("halfours.test", "-", "accept"), ("theirs.test", "-", denied), ("theirs.test", "+", "refuse 451 4.7.1"),
            ("barether.test", "-", denied), ("barether.test", "+", "refuse 451 4.7.1"), ("hostless.test", "-", denied),
            ("null.test", "-", denied), ("nothing.test", "-", "refuse 550 5.4.3"),
            ("nothing.test", "+", "refuse 451 4.4.3"),
            ("gone.test", "-", "refuse 550 5.4.3"), ("gone.test", "+", "refuse 550 5.4.3"),
            ("loop.test", "-", "refuse 451 4.4.3"), ("private.test", "-", "refuse 451 4.4.3"),
            ("broken.test", "-", "refuse 451 4.4.3"), ("half.test", "-", "refuse 451 4.4.3"),
            ("[198.51.100.1]", "-", denied), ("[198.51.100.1]", "+", "refuse 451 4.7.1"),
        ])
    func acceptifmx(domain: String, sign: String, expected: String) throws {
        let world = try world(". acceptifmx \(sign)\n[0.0.0.0]/0 acceptifmx \(sign)")
        #expect(try world.outcome("203.0.113.9", to: "bob@\(domain)") == expected)
    }

    @Test(
        "the local part leads nowhere else, whatever says that we take mail for the domain",
        arguments: [
            ("x%theirs.test@ours.test", denied), ("theirs.test!x@ours.test", denied),
            ("x%ours.test@bare.test", "accept"),
            ("x%theirs.test@bare.test", denied), ("\"x@theirs.test\"@bare.test", denied), ("x%@ours.test", "accept"),
        ])
    func paths(recipient: String, expected: String) throws {
        #expect(try world(". acceptifmx -").outcome("203.0.113.9", to: recipient) == expected)
    }

    @Test("bangs are not read if the operator allows the percent kludge, percents are")
    func kludge() throws {
        var world = try world("backup.test relaytarget +\n. relaytarget -")
        #expect(try world.outcome("203.0.113.9", to: "x.test!y@backup.test") == Self.denied)
        world.settings.rejectsPercentKludge = false
        #expect(try world.outcome("203.0.113.9", to: "x.test!y@backup.test") == "accept")
        #expect(try world.outcome("203.0.113.9", to: "y%x.test@backup.test") == Self.denied)
    }

    @Test(
        "acceptifdns",
        arguments: [
            ("theirs.test", "-", "accept"), ("barether.test", "-", "accept"), ("gone.test", "-", "refuse 550 5.4.3"),
            ("nothing.test", "+", "refuse 451 4.4.3"), ("broken.test", "-", "refuse 451 4.4.3"),
            ("[198.51.100.1]", "-", "refuse 550 5.4.3"),
        ])
    func acceptifdns(domain: String, sign: String, expected: String) throws {
        let world = try world(". acceptifdns \(sign)\n[0.0.0.0]/0 acceptifdns \(sign)")
        #expect(try world.outcome("203.0.113.9", to: "bob@\(domain)") == expected)
    }

    @Test("a sender with sendernorelay gets to domains that we are mail host of, and to no others")
    func sendernorelay() throws {
        let world = try world("x.test sendernorelay +\n. acceptifdns -\nbackup.test relaytarget +")
        #expect(try world.outcome("203.0.113.9", from: "a@x.test", to: "b@theirs.test") == Self.denied)
        #expect(try world.outcome("203.0.113.9", from: "a@x.test", to: "b@ours.test") == "accept")
        #expect(try world.outcome("203.0.113.9", from: "a@x.test", to: "b@backup.test") == "accept")
        #expect(try world.outcome("203.0.113.9", from: "a@y.test", to: "b@theirs.test") == "accept")
        #expect(try world.outcome("203.0.113.9", from: "", to: "b@theirs.test") == "accept")
    }

    @Test(
        "users come before domains, what says nothing about mail for the domain does not open the relay",
        arguments: [
            ("bob@x.test relaytarget +\n. relaytarget -", "bob@x.test", "accept"),
            ("bob@ relaytarget +\n. relaytarget -", "bob@x.test", "accept"),
            ("bob@x.test relaytarget -\nx.test relaytarget +", "bob@x.test", denied),
            ("bob@x.test freeze +\nx.test relaytarget -", "bob@x.test", "accept freeze"),
            ("bob@x.test freeze -\nx.test relaytarget -", "bob@x.test", denied),
            ("x.test freeze +\n. relaytarget -", "bob@x.test", "accept freeze"),
            ("x.test freeze + relaytarget +", "bob@x.test", "accept freeze"),
            ("x.test freeze + relaytarget -", "bob@x.test", denied),
            ("x.test freeze +", "bob%y.test@x.test", "accept freeze"),
            ("x.test rejectsource +", "bob@x.test", "refuse 550 5.7.1"), (". rejectsource -", "bob@x.test", denied),
            ("", "bob@x.test", denied), ("", "bob@[198.51.100.1]", denied),
            ("[0.0.0.0]/0 rejectsource -", "bob@[198.51.100.1]", denied),
            ("[198.51.100.0]/24 relaytarget +", "bob@[198.51.100.1]", "accept"),
            ("[198.51.100.0]/24 spf +", "bob@[198.51.100.1]", denied),
            ("[198.51.100.0]/24 relaycustnet + relaytarget +", "bob@[198.51.100.1]", denied),
            ("[198.51.100.0]/24 relaycustnet - relaytarget +", "bob@[198.51.100.1]", denied),
            ("[198.51.100.0]/24 relaycustnet - relaytarget + localdomain +", "bob@[198.51.100.1]", "accept"),
            ("[198.51.100.0]/24 relaycustnet + relaytarget +", "\"bob%[198.51.100.1]\"@[192.0.2.25]", denied),
            ("[IPv6:2001:db8::]/32 relaytarget +", "bob@[IPv6:2001:db8::9]", "accept"),
            ("postmaster@x.test relaytarget +\nx.test relaytarget -", "Postmaster@x.test", "accept"),
            ("x.test relaytarget -", "postmaster@x.test", denied),
        ])
    func order(source: String, recipient: String, expected: String) throws {
        #expect(try world(source).outcome("203.0.113.9", to: recipient) == expected)
    }

    @Test(
        "what the refused are told",
        arguments: [
            (
                ". relaytarget -", "b@x.test",
                "550 5.7.1 Hello [203.0.113.9], Policy rejection on the target address: <b@x.test>"
            ),
            (
                ". message \"not here\" relaytarget -", "b@x.test",
                "550 5.7.1 Hello [203.0.113.9], Policy analysis reported: not here rcpt=<b@x.test>"
            ),
            (
                ". acceptifmx -", "b@theirs.test",
                "550 5.7.1 Your IP address [203.0.113.9] is not allowed to relay to email address <b@theirs.test> via our server; "
                    + "MX rule"
            ),
            (
                ". acceptifmx +", "b@theirs.test",
                "451 4.7.1 Your IP address [203.0.113.9] is not allowed to relay to email address <b@theirs.test> via our server; "
                    + "MX rule"
            ),
            (
                ". acceptifmx -", "b@gone.test",
                "550 5.4.3 Hello [203.0.113.9], Policy analysis found DNS error on the target domain: <b@gone.test>"
            ),
            (
                ". acceptifmx +", "b@nothing.test",
                "451 4.4.3 Hello [203.0.113.9], Policy analysis found DNS error on the target domain: <b@nothing.test>"
            ),
            (
                ". acceptifmx -", "b@broken.test",
                "451 4.4.3 Hello [203.0.113.9], policy analysis reports temporary DNS error with the target domain: <b@broken.test>"
            ),
            (
                ". message later acceptifmx +", "b@theirs.test",
                "451 4.7.1 Hello [203.0.113.9], for recipient address <b@theirs.test> the policy analysis reported: later"
            ),
            ("example.test relaytarget +", "ghost@example.test", "550 5.1.1 No such user: <ghost@example.test>"),
        ])
    func texts(source: String, recipient: String, expected: String) throws {
        let answer = try #require(world(source).session("203.0.113.9", to: [recipient]).last?.answer)
        #expect(answer.reply?.summary == expected)
        #expect(answer.comment == "policytest() rejected rcptaddr: <\(recipient)>")
    }

    @Test("a frozen recipient freezes the message: all further recipients are taken, until the next MAIL")
    func freezing() throws {
        let world = try world("trap@ freeze +\n. relaytarget -\nexample.test relaytarget +")
        var answers = try world.session("203.0.113.9", to: ["bob@x.test", "trap@example.test"]).map(\.answer)
        #expect(answers.suffix(2).map(summary) == [Self.denied, "accept freeze"])
        #expect(answers.last?.comment == "policytest() reported freeze state 1")
        var question = PolicyQuestion(
            number: 1, verb: .rcpt, session: "s", client: IPAddress("203.0.113.9"), recipient: "bob@x.test",
            state: answers.last?.state ?? "")
        answers.append(try world.decide(question).answer)
        #expect(answers.last.map(summary) == "accept freeze")
        #expect(answers.last?.reason == "freeze + @src:1 via trap@")
        question.verb = .mail
        question.state = try world.decide(question).answer.state
        question.verb = .rcpt
        #expect(summary(try world.decide(question).answer) == Self.denied)
    }

    @Test(
        "greylisting",
        arguments: [
            // seconds since first seen, source, recipient, expected
            (-1, "[0.0.0.0]/0 greylist 300", "alice@example.test", "refuse 451 4.7.1"),
            (0, "[0.0.0.0]/0 greylist 300", "alice@example.test", "refuse 451 4.7.1"),
            (299, "[0.0.0.0]/0 greylist 300", "alice@example.test", "refuse 451 4.7.1"),
            (300, "[0.0.0.0]/0 greylist 300", "alice@example.test", "accept"),
            (-1, "[0.0.0.0]/0 greylist 0", "alice@example.test", "accept"),
            (-1, "[0.0.0.0]/0 greylist 300 relaycustnet +", "alice@example.test", "accept"),
            (-1, "[0.0.0.0]/0 greylist 300 trustrecipients +", "alice@example.test", "accept"),
            (-1, "[0.0.0.0]/0 greylist 300 fulltrustnet +", "alice@example.test", "accept"),
            (-1, "[0.0.0.0]/0 greylist 300 freezenet +", "alice@example.test", "accept freeze"),
            (-1, "[0.0.0.0]/0 greylist 300", "ghost@example.test", "refuse 550 5.1.1"),
            (-1, "[0.0.0.0]/0 greylist 300", "bob@x.test", denied),
            (-1, "[0.0.0.0]/0 greylist 300", "postmaster", "accept"),
            (-1, "example.test greylist 60", "alice@example.test", "refuse 451 4.7.1"),
            (60, "example.test greylist 60\n[0.0.0.0]/0 greylist 300", "alice@example.test", "accept"),
            (-1, "example.test greylist 0\n[0.0.0.0]/0 greylist 300", "alice@example.test", "accept"),
            (-1, "alice@example.test greylist 0\nexample.test greylist 300", "alice@example.test", "accept"),
        ])
    func greylist(age: Int64, source: String, recipient: String, expected: String) throws {
        var world = try world("\(source)\nexample.test relaytarget +\n. relaytarget -")
        let key = try #require(
            GreylistKey(client: .v4(0xcb00_7108), sender: "X@Sender.test", recipient: "Alice@example.test"))
        if age >= 0 { world.counters.seen[key] = world.counters.now - age }
        #expect(try world.outcome("203.0.113.9", to: recipient) == expected)
    }

    @Test("what greylisting leaves behind")
    func effects() throws {
        var world = try world("[0.0.0.0]/0 greylist 300\nexample.test relaytarget +")
        let key = try #require(
            GreylistKey(client: .v4(0xcb00_7100), sender: "x@sender.test", recipient: "alice@example.test"))
        func last() throws -> PolicyDecision? { try world.session("203.0.113.9", to: ["alice@example.test"]).last }
        #expect(try last()?.effects == [.sawGreylist(key)])
        #expect(
            try last()?.answer.reply?.lines == [
                "Hello [203.0.113.9], for recipient address <alice@example.test> the policy analysis reported: "
                    + "You are new here, please try again in 300 seconds"
            ])
        world.counters.seen[key] = world.counters.now - 1000
        #expect(try last()?.effects == [.passedGreylist(key)])
        #expect(try world.session("203.0.113.9", to: ["alice@example.test"], user: "alice").last?.effects == [])
        #expect("\(key)" == "203.0.113.0/24 <x@sender.test> <alice@example.test>")
    }

    @Test("trouble with the tables is a temporary refusal")
    func tables() throws {
        struct Broken: PolicyTables {
            func localDomain(_ domain: MailDomain) throws(PolicyTrouble) -> String? {
                throw PolicyTrouble("localnames:3")
            }
            func localRecipient(_ localPart: String) throws(PolicyTrouble) -> String? { nil }
            func destinations(_ address: String, expanding: Bool) throws(PolicyTrouble) -> [Destination] {
                throw PolicyTrouble("aliases:3")
            }
            func isOwnAddress(_ address: IPAddress) -> Bool { false }
        }
        let world = try world(". relaytarget +")
        let evaluator = PolicyEvaluator(
            settings: world.settings, database: world.database, tables: Broken(), facts: world.facts,
            counters: world.counters)
        for verb in [PolicyQuestion.Verb.rcpt, .verify, .expand] {
            let question = PolicyQuestion(
                number: 1, verb: verb, session: "s", client: .v4(1), recipient: "alice@example.test", state: "1;.")
            #expect(throws: PolicySuspension.self) { try evaluator.decide(question) }
        }
    }
}
