import MailModel
import Policy
import Testing

@Suite("Policy: senders")
struct SenderChainTests {
    private static let ok = "accept"
    private static let rejected = "refuse 553 5.7.1"

    private func world(_ source: String) throws -> PolicyWorld {
        let world = try PolicyWorld(source)
        world.facts.address("bare.test", "198.51.100.1")
        world.facts.address("six.test", "2001:db8::7")
        world.facts.exchangers("mx.test", "gone.test")
        world.facts.exchangers("null.test", ".")
        world.facts.address("nothing.test")
        world.facts.fail("broken.test", .mx)
        world.facts.address("xn--bcher-kva.test", "198.51.100.1")
        world.facts.address("half.test")
        world.facts.fail("half.test", .a)
        world.facts.address("both.test", "198.51.100.1")
        world.facts.fail("both.test", .aaaa)
        return world
    }

    @Test(
        "a tag of senders counts whatever used it before",
        arguments: [
            "_bulk rejectsource +\n_unused = _bulk\nspammer@ = _bulk",
            "_bulk rejectsource +\n_unused = _bulk\nsender.test = _bulk",
            "_bulk rejectsource +\n_unused = _bulk\n[0.0.0.0]/0 = _bulk\nspammer@sender.test = _bulk",
        ])
    func tagUsedTwice(source: String) throws {
        let world = try PolicyWorld(source)
        #expect(try world.database.metadata().judgesSenders)
        let connected = try #require(world.session("203.0.113.9").first?.answer)
        #expect(!connected.needless.contains(.mail))
        #expect(try world.outcome("203.0.113.9", from: "spammer@sender.test") == "refuse 553 5.7.1")
    }

    @Test(
        "rejectsource and freezesource of users and domains",
        arguments: [
            ("x.test rejectsource +", "a@x.test", rejected), ("x.test rejectsource +", "a@y.x.test", ok),
            (".x.test rejectsource +", "a@y.x.test", rejected), ("x.test freezesource +", "a@x.test", "accept freeze"),
            ("a@ rejectsource +", "A@y.test", rejected), ("a@x.test rejectsource +", "a@x.test", rejected),
            ("a@x.test rejectsource +", "b@x.test", ok),
            ("a@x.test rejectsource -\nx.test rejectsource +", "a@x.test", ok),
            ("a@x.test freezesource -\nx.test rejectsource +", "a@x.test", rejected),
            ("a@x.test freezesource -\nx.test freezesource +", "a@x.test", ok),
            ("a@x.test freezesource +\nx.test rejectsource +", "a@x.test", "accept freeze"),
            ("a@x.test rejectsource + freezesource +", "a@x.test", "accept freeze"),
            ("x.test rejectsource + freezesource +", "a@x.test", rejected),
            (". rejectsource +", "", rejected), (". freezesource +", "", "accept freeze"),
            ("x.test rejectsource +", "", ok),
            (". rejectsource +", "a@x.test", rejected), ("", "no address", rejected), ("", "nodomain", rejected),
            ("xn--bcher-kva.test rejectsource +", "a@b\u{fc}cher.test", rejected),
            ("b\u{fc}cher.test rejectsource +", "a@XN--bcher-kva.test", rejected),
            ("[198.51.100.0]/24 rejectsource +", "a@[198.51.100.9]", rejected),
            ("[198.51.100.0]/24 rejectsource +", "a@[198.51.101.9]", ok),
            ("[IPv6:2001:db8::]/32 rejectsource +", "a@[IPv6:2001:db8::1]", rejected),
        ])
    func sources(source: String, sender: String, expected: String) throws {
        #expect(try world(source).outcome("203.0.113.9", from: sender) == expected)
    }

    @Test(
        "senderokwithdns",
        arguments: [
            ("a@bare.test", "-", ok), ("a@six.test", "-", ok), ("a@mx.test", "-", ok), ("a@both.test", "-", ok),
            ("a@gone.test", "-", "refuse 553 5.4.3"), ("a@gone.test", "+", "refuse 553 5.4.3"),
            ("a@nothing.test", "-", "refuse 553 5.4.3"), ("a@nothing.test", "+", "refuse 451 4.4.3"),
            ("a@null.test", "-", "refuse 553 5.4.3"), ("a@null.test", "+", "refuse 451 4.4.3"),
            ("a@broken.test", "-", "refuse 451 4.4.3"), ("a@broken.test", "+", "refuse 451 4.4.3"),
            ("a@half.test", "-", "refuse 451 4.4.3"), ("a@[198.51.100.1]", "-", ok), ("", "-", ok),
            ("a@b\u{fc}cher.test", "-", ok), ("a@g\u{fc}cher.test", "-", "refuse 553 5.4.3"),
        ])
    func existence(sender: String, sign: String, expected: String) throws {
        #expect(try world(". senderokwithdns \(sign)").outcome("203.0.113.9", from: sender) == expected)
    }

    @Test(
        "what the refused are told",
        arguments: [
            (
                "x.test rejectsource +", "a@x.test",
                "553 5.7.1 Hello [203.0.113.9], for MAIL FROM address <a@x.test> access is denied by the policy analysis functions."
            ),
            (
                "x.test message \"no spam\" rejectsource +", "a@x.test",
                "553 5.7.1 Hello [203.0.113.9], for your MAIL FROM address <a@x.test> policy analysis reported: no spam"
            ),
            (
                ". senderokwithdns -", "a@gone.test",
                "553 5.4.3 Hello [203.0.113.9], for MAIL FROM address <a@gone.test> the policy analysis reports DNS error with "
                    + "your source domain."
            ),
            (
                ". senderokwithdns +", "a@nothing.test",
                "451 4.4.3 Hello [203.0.113.9], for your input: <a@nothing.test> policy analysis reports DNS error with your "
                    + "source domain."
            ),
            (
                ". senderokwithdns +", "a@broken.test",
                "451 4.4.3 Hello [203.0.113.9], for your input: <a@broken.test> policy analysis reports temporary DNS error with "
                    + "your source domain."
            ),
            (
                ". message \"who are you?\" senderokwithdns -", "a@broken.test",
                "451 4.7.1 Hello [203.0.113.9], for your MAIL FROM address <a@broken.test> policy analysis reported: who are you?"
            ),
        ])
    func texts(source: String, sender: String, expected: String) throws {
        #expect(try world(source).session("203.0.113.9", from: sender).last?.answer.reply?.summary == expected)
    }

    @Test("RCPT after a rejected sender is refused by the earlier rejection, but for magic postmasters")
    func afterwards() throws {
        let world = try PolicyWorld(
            "x.test rejectsource +\nexample.test relaytarget +\npostmaster@example.test relaytarget +")
        let state = try #require(world.session("203.0.113.9", from: "a@x.test").last?.answer.state)
        func rcpt(_ recipient: String) throws -> PolicyAnswer {
            try world.decide(
                PolicyQuestion(
                    number: 1, verb: .rcpt, session: "s", client: IPAddress("203.0.113.9"), recipient: recipient,
                    state: state)
            ).answer
        }
        #expect(
            try rcpt("alice@example.test").reply?.summary
                == "550 5.7.1 Hello [203.0.113.9], access denied by the policy analysis functions by earlier rejection")
        #expect(try rcpt("alice@example.test").reason == "rejectsource + @src:1 via x.test")
        #expect(try rcpt("postmaster@example.test").verdict == .accept)
        #expect(try rcpt("postmaster@other.test").verdict == .refuse)
        #expect(try rcpt("postmaster").verdict == .accept)
    }

    @Test("a new MAIL forgets what the last sender was")
    func again() throws {
        let world = try PolicyWorld("x.test rejectsource +\ny.test freezesource + sendernorelay +")
        for sender in ["a@x.test", "a@y.test"] {
            let state = try #require(world.session("203.0.113.9", from: sender).last?.answer.state)
            let answer = try world.decide(
                PolicyQuestion(
                    number: 1, verb: .mail, session: "s", client: IPAddress("203.0.113.9"), sender: "a@z.test",
                    state: state)
            ).answer
            #expect(summary(answer) == "accept")
            #expect(answer.state == "1;f=HM;.")
        }
    }

    @Test(
        "authenticated users and trusted clients are not looked at",
        arguments: [
            ("", "alice", "submit"), ("fulltrustnet +", "", ok), ("freezenet +", "", "accept freeze"),
            ("freezenet +", "alice", "submit freeze"), ("relaycustnet +", "", rejected),
            ("trustrecipients +", "", rejected),
        ])
    func rights(attributes: String, user: String, expected: String) throws {
        let world = try PolicyWorld("[0.0.0.0]/0 spf - \(attributes)\nx.test rejectsource +")
        #expect(try world.outcome("203.0.113.9", from: "a@x.test", user: user) == expected)
    }

    @Test(
        "rates of those who may relay",
        arguments: [
            // messages and recipients of the hour, limit, user, expected
            (9, 0, "10", "", ok), (10, 0, "10", "", "refuse 451 4.7.1"), (10, 0, "-10", "", rejected),
            (9, 0, "-10", "", ok),
            (0, 99, "10,100", "", ok), (0, 100, "10,100", "", "refuse 451 4.7.1"), (0, 100, "10,-100", "", rejected),
            (1000, 0, "0,100", "", ok), (99, 0, "10", "alice", "submit"), (100, 0, "10", "alice", "refuse 451 4.7.1"),
            (100, 0, "-10", "alice", rejected),
        ])
    func rates(messages: Int, recipients: Int, limit: String, user: String, expected: String) throws {
        var world = try PolicyWorld("[0.0.0.0]/0 relaycustnet + ratelimitmsgs \(limit)")
        world.counters.messages = messages
        world.counters.recipients = recipients
        #expect(try world.outcome("203.0.113.9", user: user) == expected)
    }

    @Test("rates of strangers and of the fully trusted are not limited; the text can be chosen")
    func moreRates() throws {
        for (source, expected) in [
            ("ratelimitmsgs 1", Self.ok), ("fulltrustnet + ratelimitmsgs 1", Self.ok),
            ("relaycustnet + message slowly ratelimitmsgs 1", "refuse 451 4.7.1"),
        ] {
            var world = try PolicyWorld("[0.0.0.0]/0 \(source)")
            world.counters.messages = 50
            #expect(try world.outcome("203.0.113.9") == expected)
        }
        var world = try PolicyWorld("[0.0.0.0]/0 relaycustnet + ratelimitmsgs 1")
        world.counters.messages = 50
        let answer = try #require(world.session("203.0.113.9").last?.answer)
        #expect(
            answer.reply?.lines == [
                "Hello [203.0.113.9], for your MAIL FROM address <x@sender.test> policy analysis reported: "
                    + "You are sending too much mail/rcpts per time interval.  Try again later."
            ])
        #expect(answer.reason == "ratelimitmsgs 1 @src:1 via [0.0.0.0]/0: 50 messages of 203.0.113.9/32")
    }
}

@Suite("Policy: SPF verdicts")
struct SPFVerdictTests {
    private func world(_ threshold: AskerSettings.SPFThreshold) throws -> PolicyWorld {
        var world = try PolicyWorld("[0.0.0.0]/0 spf +\n[10.0.0.0]/8 spf + relaycustnet +")
        world.settings.spfThreshold = threshold
        world.facts.text("fail.test", "v=spf1 -all")
        world.facts.text("softfail.test", "v=spf1 ~all")
        world.facts.text("neutral.test", "v=spf1 ?all")
        world.facts.text("pass.test", "v=spf1 +all")
        world.facts.text("error.test", "v=spf1 nonsense")
        world.facts.fail("trouble.test", .txt)
        return world
    }

    @Test("levels below the threshold are refused", arguments: AskerSettings.SPFThreshold.allCases)
    func thresholds(threshold: AskerSettings.SPFThreshold) throws {
        let order = ["fail", "softfail", "none", "neutral", "pass", "error"]
        let refused = ["fail": 0, "softfail": 1, "none": 2, "neutral": 3, "pass": 4][threshold.rawValue] ?? 0
        for (index, level) in order.enumerated() {
            #expect(
                try world(threshold).outcome("203.0.113.9", from: "a@\(level).test")
                    == (index < refused ? "refuse 553 5.7.1" : "accept"), "\(level)")
        }
        #expect(
            try world(threshold).outcome("203.0.113.9", from: "a@trouble.test")
                == (threshold == .fail ? "accept" : "refuse 451 4.4.3"))
    }

    @Test("who may relay is not checked, own addresses neither")
    func exempt() throws {
        #expect(try world(.pass).outcome("10.1.1.1", from: "a@fail.test") == "accept")
        #expect(try world(.pass).outcome("192.0.2.25", from: "a@fail.test") == "accept")
        #expect(try world(.pass).outcome("203.0.113.9", from: "a@fail.test", user: "alice") == "submit")
        var other = try world(.pass)
        other.database = try PolicyMemoryDatabase(sources: [(file: "src", text: "[0.0.0.0]/0 spf -")])
        #expect(try other.outcome("203.0.113.9", from: "a@fail.test") == "accept")
    }

    @Test("the field is added if wanted, the null sender is checked by the HELO name")
    func field() throws {
        var world = try world(.softfail)
        #expect(try world.session("203.0.113.9", from: "a@pass.test").last?.answer.headerField == "")
        world.settings.addsReceivedSPF = true
        let field = try world.session("203.0.113.9", from: "a@pass.test").last?.answer.headerField
        #expect(field?.hasPrefix("Received-SPF: pass (") == true)
        #expect(try world.outcome("203.0.113.9", helo: "fail.test", from: "") == "refuse 553 5.7.1")
        let lines = try world.session("203.0.113.9", from: "a@fail.test").last?.answer.reply?.lines
        #expect(
            lines?.first?.hasPrefix(
                "Hello [203.0.113.9], for your MAIL FROM address <a@fail.test> policy analysis reported: ") == true)
    }
}
