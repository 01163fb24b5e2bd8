import MailModel
import Policy
import Testing

@Suite("Policy: logins")
struct AuthenticationTests {
    private func auth(_ world: PolicyWorld, _ client: String?, as user: String = "", steps: Bool = false) throws
        -> PolicyAnswer
    {
        try world.decide(
            PolicyQuestion(
                number: 1, verb: .auth, session: "s", client: client.flatMap { IPAddress($0) }, authenticatedUser: user,
                wantsSteps: steps)
        ).answer
    }

    @Test(
        "an address with as many failures as the rate may not try again",
        arguments: [
            (0, 20, "accept"), (19, 20, "accept"), (20, 20, "refuse 503 5.5.1"), (1000, 20, "refuse 503 5.5.1"),
            (2, 3, "accept"), (3, 3, "refuse 503 5.5.1"), (2, 1, "accept"), (3, 1, "refuse 503 5.5.1"),
        ])
    func rate(failures: Int, limit: Int, expected: String) throws {
        var world = try PolicyWorld("")
        world.settings.authFailureRate = limit
        world.counters.failures = failures
        #expect(summary(try auth(world, "203.0.113.9")) == expected)
        #expect(summary(try auth(world, nil)) == "accept")
    }

    @Test("the refusal is ZMailer's, and the reason tells both counts")
    func words() throws {
        var world = try PolicyWorld("")
        world.counters.failures = 20
        world.counters.userFailures = ["alice": 7]
        let answer = try auth(world, "2001:db8::9", as: "alice", steps: true)
        #expect(
            answer.reply?.lines == [
                "Hi [IPv6:2001:db8::9], Too many authentication failures from your IP this hour.."
            ])
        #expect(answer.reason == "20 failed logins of 2001:db8::/64 in an hour, auth-failrate 20; 7 as alice")
        #expect(answer.steps.map(\.debugLine).contains("000- count: failed logins as alice in an hour: 7"))
        #expect(answer.trust == .none)
    }

    @Test("failures of a user from elsewhere lock nobody out")
    func noLockOut() throws {
        var world = try PolicyWorld("")
        world.counters.userFailures = ["alice": 10_000]
        #expect(summary(try auth(world, "203.0.113.9", as: "alice")) == "accept")
    }

    // MARK: whose sender it is

    private func world() throws -> PolicyWorld {
        var world = try PolicyWorld(
            """
            [10.1.0.0]/16 rejectnet +
            [10.3.0.0]/16 freezenet +
            [10.4.0.0]/16 fulltrustnet +
            """)
        world.settings.senderTable = "/senders"
        world.tables.senders = ["alice": ["alice@example.test", ""], "bob": ["bob@example.test"], "carol": []]
        return world
    }

    @Test(
        "a login may use the addresses of its line, and none without a line",
        arguments: [
            ("203.0.113.9", "alice", "alice@example.test", "submit"),
            ("203.0.113.9", "alice", "bob@example.test", "refuse 553 5.7.1"), ("203.0.113.9", "alice", "", "submit"),
            ("203.0.113.9", "bob", "bob@example.test", "submit"), ("203.0.113.9", "bob", "", "refuse 553 5.7.1"),
            ("203.0.113.9", "carol", "carol@example.test", "refuse 553 5.7.1"),
            ("203.0.113.9", "mallory", "alice@example.test", "refuse 553 5.7.1"),
            ("203.0.113.9", "mallory", "", "refuse 553 5.7.1"), ("203.0.113.9", "", "alice@example.test", "accept"),
            ("203.0.113.9", "alice", "nonsense", "refuse 553 5.7.1"),
            ("10.4.0.1", "alice", "alice@example.test", "submit"),
            ("10.4.0.1", "alice", "bob@example.test", "refuse 553 5.7.1"),
            ("10.3.0.1", "alice", "bob@example.test", "refuse 553 5.7.1"),
            ("10.3.0.1", "alice", "alice@example.test", "submit freeze"),
            ("10.1.0.1", "alice", "alice@example.test", "refuse 550 5.7.1"),
        ])
    func senders(client: String, user: String, sender: String, expected: String) throws {
        #expect(try world().outcome(client, from: sender, user: user) == expected)
    }

    @Test("without a table every login may use every address")
    func noTable() throws {
        var world = try world()
        world.settings.senderTable = ""
        #expect(try world.outcome("203.0.113.9", from: "bob@example.test", user: "alice") == "submit")
        #expect(try world.outcome("203.0.113.9", from: "bob@example.test", user: "mallory") == "submit")
    }

    @Test("reasons name file and line, replies the address")
    func reasons() throws {
        let world = try world()
        func last(_ user: String, _ sender: String) throws -> PolicyAnswer {
            try #require(world.session("203.0.113.9", from: sender, user: user).last?.answer)
        }
        let denied = try last("alice", "bob@example.test")
        #expect(denied.reason == "senders:1 does not give <bob@example.test> to alice")
        #expect(
            denied.reply?.lines == [
                "Hello [203.0.113.9], your login does not permit the MAIL FROM address <bob@example.test>"
            ])
        #expect(try last("mallory", "a@b.test").reason == "senders has no line for mallory")
        #expect(try last("alice", "alice@example.test").reason == "authenticated; senders:1")
    }

    @Test("a table that cannot be read is trouble: 451, never an accept")
    func trouble() throws {
        var world = try world()
        world.settings.senderTable = "/elsewhere"
        #expect(
            try world.outcome("203.0.113.9", from: "alice@example.test", user: "alice") == "refuse 451 4.3.0")
        #expect(try world.outcome("203.0.113.9", from: "alice@example.test") == "accept")
    }

    @Test(
        "it is looked at with each recipient too, whoever asked about the sender",
        arguments: ["alice@example.test", "postmaster"])
    func recipients(recipient: String) throws {
        let world = try world()
        for client in ["203.0.113.9", "10.4.0.1"] {
            let connected = try #require(world.session(client).first?.answer)
            func ask(_ sender: String) throws -> PolicyAnswer {
                try world.decide(
                    PolicyQuestion(
                        number: 1, verb: .rcpt, session: "s", client: IPAddress(client), sender: sender,
                        recipient: recipient, authenticatedUser: "alice", state: connected.state)
                ).answer
            }
            #expect(try ask("alice@example.test").reply == nil)
            let refused = try ask("bob@example.test")
            #expect(summary(refused) == "refuse 550 5.7.1")
            #expect(refused.reason == "senders:1 does not give <bob@example.test> to alice")
        }
    }

    // MARK: trust

    @Test("whether a client may submit without a login is told at connect, and by HELO again")
    func trust() throws {
        let world = try PolicyWorld(
            """
            [10.4.0.0]/16 fulltrustnet +
            [10.5.0.0]/16 trustrecipients +
            [10.6.0.0]/16 relaycustnet +
            [10.7.0.0]/16 relaycustnet + freezenet +
            .customer.test relaycustnet +
            """)
        world.facts.names("1.113.0.203.in-addr.arpa", "a.customer.test")
        world.facts.address("a.customer.test", "203.0.113.1")
        world.facts.fail("2.113.0.203.in-addr.arpa", .ptr)
        for (client, trust) in [
            ("10.4.0.1", .granted), ("10.5.0.1", .none), ("10.6.0.1", .granted), ("10.7.0.1", .none),
            ("203.0.113.1", .granted), ("203.0.113.2", .unknown), ("203.0.113.3", .none),
        ] as [(String, PolicyAnswer.Trust)] {
            let decisions = try world.session(client, to: ["alice@example.test"])
            #expect(decisions[0].answer.trust == trust, "\(client)")
            #expect(decisions[1].answer.trust == trust, "\(client)")
            #expect(decisions[2].answer.trust == .none)
            for decision in decisions { #expect(PolicyAnswer(line: decision.answer.line) == decision.answer) }
        }
        let dialogue = try world.decide(PolicyQuestion(number: 1, verb: .connect, session: "s", client: nil))
        #expect(dialogue.answer.trust == .granted)
    }

    // MARK: whoson

    private func whoson(_ source: String, _ client: String, from: String, to: String) throws -> [PolicyAnswer] {
        let world = try PolicyWorld("\(source)\n. relaytarget -")
        world.facts.address("sender.test", "198.51.100.1")
        var question = PolicyQuestion(
            number: 1, verb: .connect, session: "s", client: IPAddress(client), helo: "client.test", sender: from,
            recipient: to, hasWhosonLogin: true)
        var answers: [PolicyAnswer] = []
        for verb in [PolicyQuestion.Verb.connect, .helo, .mail, .rcpt] {
            question.verb = verb
            let asked = try #require(PolicyQuestion(line: question.line))
            #expect(asked == question)
            let answer = try world.decide(asked).answer
            answers.append(answer)
            if !answer.state.isEmpty { question.state = answer.state }
        }
        return answers
    }

    @Test(
        "a login that whoson knows gives a right to recipients where trust-whoson + says so",
        arguments: [
            ("[203.0.113.0]/24 trust-whoson +", "x@sender.test", "accept"),
            ("[203.0.113.0]/24 trust-whoson -", "x@sender.test", "refuse 550 5.7.1"),
            ("", "x@sender.test", "refuse 550 5.7.1"), ("sender.test trust-whoson +", "x@sender.test", "accept"),
            ("sender.test trust-whoson +", "x@other.test", "refuse 550 5.7.1"),
            ("sender.test trust-whoson +", "", "refuse 550 5.7.1"),
            ("[203.0.113.0]/24 trust-whoson -\nsender.test trust-whoson +", "x@sender.test", "refuse 550 5.7.1"),
            ("[203.0.113.0]/24 trust-whoson +\nsender.test trust-whoson -", "x@sender.test", "accept"),
            ("sender.test trust-whoson + rejectsource +", "x@sender.test", "refuse 550 5.7.1"),
            ("[203.0.113.0]/24 trust-whoson + greylist 300", "x@sender.test", "accept"),
            ("[203.0.113.0]/24 greylist 300\nsender.test trust-whoson +", "x@sender.test", "accept"),
            ("[203.0.113.0]/24 spf +\nsender.test trust-whoson + senderokwithdns -", "x@sender.test", "accept"),
        ])
    func whosonRights(source: String, sender: String, expected: String) throws {
        let answers = try whoson(source, "203.0.113.9", from: sender, to: "u@elsewhere.test")
        #expect(summary(answers[3]) == expected, "\(answers[3])")
    }

    @Test("the right of one sender is gone with its transaction")
    func whosonTransaction() throws {
        let world = try PolicyWorld("sender.test trust-whoson +\n. relaytarget -")
        var question = PolicyQuestion(
            number: 1, verb: .connect, session: "s", client: IPAddress("203.0.113.9"), sender: "x@sender.test",
            recipient: "u@elsewhere.test", hasWhosonLogin: true)
        func ask(_ verb: PolicyQuestion.Verb) throws -> PolicyAnswer {
            question.verb = verb
            let answer = try world.decide(question).answer
            if !answer.state.isEmpty { question.state = answer.state }
            return answer
        }
        _ = try ask(.connect)
        _ = try ask(.mail)
        #expect(try ask(.rcpt).verdict == .accept)
        question.sender = "x@other.test"
        _ = try ask(.mail)
        #expect(try ask(.rcpt).verdict == .refuse)
    }

    @Test("without a login the attribute gives nothing, whatever the state says")
    func whosonWithoutLogin() throws {
        for source in ["[203.0.113.0]/24 trust-whoson +", "sender.test trust-whoson +"] {
            let world = try PolicyWorld("\(source)\n. relaytarget -")
            #expect(
                try world.outcome("203.0.113.9", from: "x@sender.test", to: "u@elsewhere.test") == "refuse 550 5.7.1")
        }
    }

    // MARK: the protocol

    @Test("questions about logins survive their lines")
    func questionLines() throws {
        for question in [
            PolicyQuestion(number: 7, verb: .auth, session: "s", client: IPAddress("203.0.113.9")),
            PolicyQuestion(
                number: 0, verb: .authFailed, session: "s", client: IPAddress("2001:db8::1"), authenticatedUser: "a b=c"
            ),
            PolicyQuestion(number: 1, verb: .connect, session: "s", client: .v4(1), hasWhosonLogin: true),
        ] {
            #expect(PolicyQuestion(line: question.line) == question)
        }
        #expect(PolicyQuestion(line: "0\tauthfail\tclient=192.0.2.1\tauth=x")?.verb == .authFailed)
        #expect(PolicyQuestion(line: "1\tconnect\twhoson=-")?.hasWhosonLogin == false)
        #expect(PolicyAnswer(line: "1\taccept\t0\t-\tx\ttrusted=+")?.trust == .granted)
        #expect(PolicyAnswer(line: "1\taccept\t0\t-\tx\ttrusted=yes") == nil)
    }

    @Test("the settings of an asker survive their line; rates below the minimum and relative paths do not")
    func settings() {
        var settings = AskerSettings()
        #expect(!settings.line.contains("auth-failrate") && !settings.line.contains("senders"))
        settings.authFailureRate = 3
        settings.senderTable = "/opt/mail/db/smtp-auth-senders"
        settings.accountRateLimit = 100
        #expect(AskerSettings(line: settings.line) == settings)
        for line in [
            "auth-failrate=2", "auth-failrate=x", "auth-failrate=-5", "senders=x", "senders=", "account-ratelimit=-1",
            "account-ratelimit=x",
        ] {
            #expect(AskerSettings(line: "settings\t\(line)") == nil, "\(line)")
        }
    }

    @Test("a failed login is told and not decided")
    func told() throws {
        let question = PolicyQuestion(
            number: 1, verb: .authFailed, session: "s", client: .v4(1), authenticatedUser: "a")
        #expect(summary(try PolicyWorld("").decide(question).answer) == "accept")
    }
}
