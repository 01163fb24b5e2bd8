import MailModel
import Policy
import Testing

/// Programs of this host's accounts: the system says whose they are, and there is no client address.
@Suite("Policy: accounts of this host")
struct AccountTests {
    private func world(senders: Bool) throws -> PolicyWorld {
        var world = try PolicyWorld("elsewhere.test rejectsource +\nplace.test relaytarget -")
        world.settings.senderTable = senders ? "/senders" : ""
        world.tables.senders = ["alice": ["sales@example.test"], "carol": []]
        return world
    }

    private func last(
        _ world: PolicyWorld, _ user: String, _ sender: String, _ identity: PolicyQuestion.Identity = .account,
        to recipients: [String] = []
    ) throws -> PolicyAnswer {
        try #require(
            world.session("none", from: sender, to: recipients, user: user, identity: identity).last?.answer)
    }

    @Test(
        "an account has the addresses of its name, the null sender, and what the table gives it",
        arguments: [
            ("alice", "alice@example.test", false, true), ("alice", "ALICE@Example.Test", false, true),
            ("alice", "alice+list@example.test", false, true), ("alice", "alice@[192.0.2.25]", false, true),
            ("alice", "alice@mx.example.test", false, true), ("alice", "", false, true), ("alice", "", true, true),
            ("alice", "bob@example.test", false, false), ("alice", "alice@elsewhere.test", false, false),
            ("alice", "alicex@example.test", false, false), ("alice", "al@example.test", false, false),
            ("alice", "root@example.test", false, false), ("alice", "nonsense", false, false),
            ("alice", "sales@example.test", false, false), ("alice", "sales@example.test", true, true),
            ("alice", "alice@example.test", true, true), ("alice", "bob@example.test", true, false),
            ("bob", "bob@example.test", true, true), ("bob", "sales@example.test", true, false),
            ("carol", "carol@example.test", true, true), ("uid-4711", "uid-4711@example.test", false, true),
            ("uid-4711", "alice@example.test", false, false),
        ])
    func senders(user: String, sender: String, hasTable: Bool, isPermitted: Bool) throws {
        let answer = try last(world(senders: hasTable), user, sender)
        #expect(summary(answer) == (isPermitted ? "submit" : "refuse 553 5.7.1"), "\(answer.reason)")
    }

    @Test(
        "a trusted account may use every address",
        arguments: ["ceo@elsewhere.test", "bob@example.test", "", "x@y.test"])
    func trusted(sender: String) throws {
        #expect(summary(try last(world(senders: true), "root", sender, .trustedAccount)) == "submit")
    }

    @Test(
        "account-ratelimit makes an account wait, and no trusted one",
        arguments: [(0, 1000, false), (10, 9, false), (10, 10, true), (10, 11, true), (1, 0, false)])
    func rate(limit: Int, count: Int, waits: Bool) throws {
        var world = try world(senders: false)
        world.settings.accountRateLimit = limit
        world.counters.accountMessages = ["alice": count, "root": count]
        let answer = try last(world, "alice", "alice@example.test")
        #expect(summary(answer) == (waits ? "refuse 451 4.7.1" : "submit"), "\(answer.reason)")
        #expect(
            !waits || answer.reason == "rate: \(count) messages of the account alice, account-ratelimit \(limit)",
            "\(answer.reason)")
        #expect(summary(try last(world, "bob", "bob@example.test")) == "submit")
        #expect(summary(try last(world, "root", "root@example.test", .trustedAccount)) == "submit")
        // Of strangers it says nothing.
        #expect(summary(try last(world, "alice", "alice@example.test", .login)) == "submit")
    }

    @Test("an account may send to everybody, but not to a user who is not there")
    func recipients() throws {
        let world = try world(senders: false)
        func outcome(_ recipient: String) throws -> String {
            summary(try last(world, "alice", "alice@example.test", to: [recipient]))
        }
        #expect(try outcome("anybody@place.test") == "submit")
        #expect(try outcome("alice@example.test") == "submit")
        #expect(try outcome("ghost@example.test") == "refuse 550 5.1.1")
    }

    @Test("RCPT is asked about the sender too, whoever asked about it before")
    func late() throws {
        let world = try world(senders: false)
        let connected = try #require(world.session("none", user: "alice", identity: .account).first?.answer)
        let answer = try world.decide(
            PolicyQuestion(
                number: 1, verb: .rcpt, session: "s", client: nil, sender: "bob@example.test",
                recipient: "alice@example.test", authenticatedUser: "alice", identity: .account,
                state: connected.state)
        ).answer
        #expect(summary(answer) == "refuse 550 5.7.1")
    }

    @Test("the refusal says whose program it is and what would be valid, the reason why")
    func words() throws {
        let answer = try last(world(senders: false), "alice", "bob@example.test")
        #expect(
            answer.reply?.lines == [
                "The account alice may not send as <bob@example.test>; its own name at a domain of this host, or <>, is valid"
            ])
        #expect(answer.reason == "<bob@example.test> is no address of the account alice")
        #expect(
            try last(world(senders: true), "alice", "bob@example.test").reason
                == "senders:1 does not give <bob@example.test> to the account alice")
        #expect(
            try last(world(senders: true), "bob", "x@example.test").reason
                == "<x@example.test> is no address of the account bob; senders has no line")
        #expect(
            try last(world(senders: false), "alice", "alice@example.test").reason
                == "account alice; localnames:1")
    }

    @Test("an account without an address is no dialogue on standard input: nothing is trusted")
    func noFullTrust() throws {
        let world = try world(senders: false)
        let account = try #require(world.session("none", user: "alice", identity: .account).first?.answer)
        let dialogue = try #require(world.session("none").first?.answer)
        #expect(dialogue.needless.contains(.mail))
        #expect(!account.needless.contains(.mail) && account.needless.contains(.helo))
        #expect(account.trust == .none)
    }

    @Test("the question's line tells how the user was made sure of", arguments: ["", "user", "trusted"])
    func line(value: String) throws {
        let identity = try #require(PolicyQuestion.Identity(rawValue: value))
        let question = PolicyQuestion(
            number: 7, verb: .mail, session: "s", client: nil, authenticatedUser: "alice", identity: identity)
        #expect(question.line.contains("\tlocal=") == !value.isEmpty)
        #expect(PolicyQuestion(line: question.line) == question)
        #expect(PolicyQuestion(line: "7\tmail\tlocal=other") == nil)
    }
}
