import MailModel
import Policy
import Testing

@Suite("Policy: VRFY and EXPN")
struct VerifyPolicyTests {
    @Test(
        "answers",
        arguments: [
            (.verify, "alice", "250 2.1.5 <alice@mx.example.test>"),
            (.verify, "<alice@example.test>", "250 2.1.5 <alice@example.test>"),
            (.verify, "Alice <alice@example.test>", "250 2.1.5 <alice@example.test>"),
            (.verify, "team", "250 2.1.5 <team@mx.example.test>"),
            (.verify, "ghost", "550 5.1.1 no such user: <ghost>"),
            (.expand, "ghost@example.test", "550 5.1.1 no such user: <ghost@example.test>"),
            (.expand, "broken", "550 5.0.0 Error expansion <broken>"),
            (.verify, "bob@there.test", "252 2.5.2 smtp delivery to there.test for <bob@there.test>"),
            (
                .expand, "team",
                "250 2.1.5 <alice@mx.example.test> smtp delivery to there.test for <bob@there.test> local delivery for <team>"
            ),
            (.verify, "", "501 5.1.3 illegal address syntax: <>"),
            (.verify, "a b", "501 5.1.3 illegal address syntax: <a b>"),
        ] as [(PolicyQuestion.Verb, String, String)])
    func answers(verb: PolicyQuestion.Verb, argument: String, expected: String) throws {
        let question = PolicyQuestion(number: 1, verb: verb, session: "s", client: nil, recipient: argument)
        let answer = try PolicyWorld("").decide(question).answer
        #expect(answer.reply?.summary == expected)
        #expect(!answer.line.contains("secret"))
    }

    @Test("a long list is cut")
    func long() throws {
        let question = PolicyQuestion(number: 1, verb: .expand, session: "s", client: nil, recipient: "crowd")
        let lines = try PolicyWorld("").decide(question).answer.reply?.lines ?? []
        #expect(lines.count == 101)
        #expect(lines.last == "... and 50 more")
    }
}

@Suite("Policy: connections")
struct ConnectionPolicyTests {
    /// The answer for the `count`-th session of one address while `others` of other addresses live.
    private func verdict(
        _ count: Int, others: Int = 0, perAddress: Int = 0, total: Int = 0, source: String = ""
    ) throws -> PolicyAnswer {
        var world = try PolicyWorld(source)
        world.counters.ofAddress = count
        world.counters.totalConnections = count + others
        world.settings.limits = ConnectionLimits(perAddress: perAddress, total: total)
        let question = PolicyQuestion(number: 1, verb: .connect, session: "s", client: .v4(1))
        return try world.decide(question).answer
    }

    @Test(
        "sessions of one address",
        arguments: [
            (1, 10, "accept"), (10, 10, "accept"), (11, 10, "refuse 450 4.7.0"), (40, 10, "refuse 450 4.7.0"),
            (41, 10, "drop"), (1, 1, "accept"), (2, 1, "refuse 450 4.7.0"), (5, 1, "drop"), (100_000, 0, "accept"),
        ])
    func perAddress(count: Int, limit: Int, expected: String) throws {
        #expect(summary(try verdict(count, perAddress: limit)) == expected)
    }

    @Test(
        "sessions of all addresses",
        arguments: [
            (99, 100, "accept"), (100, 100, "refuse 450 4.7.0"), (199, 100, "refuse 450 4.7.0"), (200, 100, "drop"),
            (5000, 0, "accept"),
        ])
    func total(others: Int, limit: Int, expected: String) throws {
        #expect(summary(try verdict(1, others: others, total: limit)) == expected)
    }

    @Test("a refusal names count and limit")
    func text() throws {
        #expect(
            try verdict(11, perAddress: 10).reply?.lines.last
                == "Too many simultaneous connections from same IP address (11 max 10)")
        #expect(
            try verdict(1, others: 10, total: 10).reply?.lines.last
                == "Too many simultaneous connections to this server (11 max 10)")
    }

    @Test(
        "sessions of one network's address",
        arguments: [
            (1, "1", "accept"), (2, "1", "refuse 450 4.7.0"), (50, "1", "refuse 450 4.7.0"),
            (1, "0", "refuse 450 4.7.0"),
            (7, "7", "accept"),
        ])
    func perNetwork(count: Int, limit: String, expected: String) throws {
        #expect(summary(try verdict(count, source: "[0.0.0.0]/0 maxsameipsource \(limit)")) == expected)
    }

    @Test("the refusal of maxsameipsource names host, count and limit")
    func networkText() throws {
        let answer = try verdict(3, source: "[0.0.0.0]/8 maxsameipsource 2")
        #expect(
            answer.reply?.lines == [
                "mx.example.test - Come again later, too many simultaneous connections from this IP address /ms(3 of 2)"
            ])
        #expect(answer.reason == "maxsameipsource 2 @src:1 via [0.0.0.0]/8")
    }

    @Test("what is added is removed, and nothing more")
    func counting() {
        var counts = ConnectionCounts()
        counts.add(.v4(1))
        counts.add(.v4(1))
        counts.add(.v4(2))
        counts.remove(.v4(1))
        counts.remove(.v4(3))
        #expect(counts.total == 2)
        #expect(counts.count(.v4(1)) == 1)
        counts.remove(.v4(1))
        counts.remove(.v4(1))
        #expect(counts.count(.v4(1)) == 0)
        #expect(counts.total == 1)
    }

    @Test("a session is counted once")
    func sessions() {
        var sessions = AskerSessions()
        let begins = [sessions.begin("a", .v4(1)), sessions.begin("a", .v4(2))]
        #expect(begins == [true, false])
        let ends = [sessions.end("a"), sessions.end("a")]
        #expect(ends == [.v4(1), nil])
    }
}
