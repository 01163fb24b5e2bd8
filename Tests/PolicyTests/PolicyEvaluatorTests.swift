import MailModel
import Policy
import Testing

struct Row: Sendable, CustomTestStringConvertible {
    let client: String
    let recipient: String
    let expected: String
    var user = ""

    init(_ client: String, _ recipient: String, _ expected: String, user: String = "") {
        self.client = client
        self.recipient = recipient
        self.expected = expected
        self.user = user
    }

    var testDescription: String { "\(client) → \(recipient)" }
}

private func summary(_ answer: PolicyAnswer) -> String {
    let reply = answer.reply.map { " \($0.code) \($0.status.map { "\($0)" } ?? "-")" } ?? ""
    return "\(answer.verdict.rawValue)\(reply)"
}

@Suite("Policy: recipients")
struct RecipientPolicyTests {
    private static let stranger = "203.0.113.9"
    private static let denied = "refuse 550 5.7.1"
    private static let unknown = "refuse 550 5.1.1"

    @Test(
        "who may mail whom",
        arguments: [
            // Strangers reach the mailboxes and aliases of our domains.
            Row(stranger, "alice@example.test", "accept"), Row(stranger, "ALICE@Example.Test", "accept"),
            Row(stranger, "alice+lists@example.test", "accept"), Row(stranger, "team@example.test", "accept"),
            Row(stranger, "\"john doe\"@example.test", "accept"), Row(stranger, "alice@example.test.", "accept"),
            Row(stranger, "ghost@example.test", unknown), Row(stranger, "+@example.test", unknown),
            Row(stranger, "ghost+alice@example.test", unknown), Row(stranger, "\"|/bin/sh\"@example.test", unknown),
            Row(stranger, "/etc/passwd@example.test", unknown),
            Row(stranger, ":include:@example.test", "refuse 553 5.1.3"),
            Row(stranger, "alice@[192.0.2.25]", "accept"), Row(stranger, "ghost@[192.0.2.25]", unknown),
            // There is always a postmaster, of each of our domains.
            Row(stranger, "postmaster", "accept"), Row(stranger, "PostMaster", "accept"),
            Row(stranger, "postmaster@example.test", "accept"), Row(stranger, "POSTMASTER@[192.0.2.25]", "accept"),
            Row(stranger, "postmaster@elsewhere.test", denied),
            // Strangers do not relay.
            Row(stranger, "bob@elsewhere.test", denied), Row(stranger, "bob@[198.51.100.1]", denied),
            Row(stranger, "bob@sub.example.test", denied), Row(stranger, "bob@notexample.test", denied),
            Row(stranger, "bob@gateway.test", denied), Row("127.0.0.1", "bob@elsewhere.test", denied),
            Row("::1", "bob@elsewhere.test", denied), Row("", "bob@elsewhere.test", denied),
            Row("192.0.2.25", "bob@elsewhere.test", denied),
            // Domains that we are a relay for.
            Row(stranger, "bob@backup.test", "accept"), Row(stranger, "bob@x.gateway.test", "accept"),
            Row(stranger, "nobody.known@backup.test", "accept"),
            // The ways around: percent, bang, quoted at.
            Row(stranger, "bob%elsewhere.test@example.test", denied),
            Row(stranger, "elsewhere.test!bob@example.test", denied),
            Row(stranger, "\"bob@elsewhere.test\"@example.test", denied),
            Row(stranger, "bob%elsewhere.test%example.test@example.test", denied),
            Row(stranger, "example.test!elsewhere.test!bob@example.test", denied),
            Row(stranger, "bob%elsewhere.test@backup.test", denied),
            Row(stranger, "elsewhere.test!bob@backup.test", denied),
            Row(stranger, "bob%[198.51.100.1]@example.test", "refuse 553 5.1.3"),
            Row(stranger, "\"bob%[198.51.100.1]\"@example.test", denied),
            Row(stranger, "bob%example.test@backup.test", "accept"),
            Row(stranger, "bob%backup.test@x.gateway.test", "accept"),
            Row(stranger, "alice%example.test@example.test", unknown), Row(stranger, "a%b@example.test", "accept"),
            Row(stranger, "100%@backup.test", "accept"), Row(stranger, "bob%@backup.test", "accept"),
            Row(stranger, String(repeating: "example.test!", count: 15) + "u@backup.test", "accept"),
            Row(stranger, String(repeating: "a.b!", count: 30) + "u@backup.test", denied),
            Row(stranger, String(repeating: "!", count: 40) + "u@backup.test", denied),
            // Listed clients and authenticated users relay.
            Row("10.0.0.1", "bob@elsewhere.test", "accept"), Row("10.0.0.2", "bob@elsewhere.test", "submit"),
            Row("10.0.0.3", "bob@elsewhere.test", denied), Row(stranger, "bob@elsewhere.test", "submit", user: "alice"),
            Row("10.0.0.1", "bob%elsewhere.test@backup.test", "accept"),
            Row("10.0.0.2", "alice@example.test", "submit"),
            Row("10.0.0.2", "postmaster", "submit"), Row("10.0.0.1", "ghost@example.test", unknown),
            Row("10.0.0.2", "ghost@example.test", unknown),
            // What is no address.
            Row(stranger, "", "refuse 553 5.1.3"), Row(stranger, "alice", "refuse 553 5.1.3"),
            Row(stranger, "@example.test", "refuse 553 5.1.3"), Row(stranger, "alice@", "refuse 553 5.1.3"),
            Row(stranger, "alice@example.test@elsewhere.test", "refuse 553 5.1.3"),
        ])
    func recipients(row: Row) {
        let question = PolicyQuestion(
            number: 7, verb: .rcpt, session: "s", client: IPAddress(row.client), sender: "x@y.test",
            recipient: row.recipient, authenticatedUser: row.user)
        let answer = LegacyPolicyEvaluator(tables: FakeTables()).answer(question)
        #expect(summary(answer) == row.expected, "\(answer)")
        #expect(answer.number == 7)
        #expect(!answer.reason.isEmpty)
    }

    @Test("a refusal says what ZMailer said")
    func text() {
        let question = PolicyQuestion(
            number: 1, verb: .rcpt, session: "s", client: IPAddress("203.0.113.9"), recipient: "bob@elsewhere.test")
        #expect(
            LegacyPolicyEvaluator(tables: FakeTables()).answer(question).reply?.lines == [
                "Your IP address 203.0.113.9 is not allowed to relay to email address <bob@elsewhere.test> via our server"
            ])
    }

    @Test(
        "the reason names table and line",
        arguments: [
            ("203.0.113.9", "alice@example.test", "localnames:1 users:1"),
            ("203.0.113.9", "team@example.test", "localnames:1 aliases:1"),
            ("203.0.113.9", "bob@backup.test", "smtp-policy.mx:1"), ("10.0.0.1", "bob@e.test", "smtp-policy.relay:1"),
        ])
    func reason(client: String, recipient: String, reason: String) {
        let question = PolicyQuestion(
            number: 1, verb: .rcpt, session: "s", client: IPAddress(client), recipient: recipient)
        #expect(LegacyPolicyEvaluator(tables: FakeTables()).answer(question).reason == reason)
    }

    @Test("a table that cannot be read is a temporary refusal of everything", arguments: PolicyQuestion.Verb.allCases)
    func trouble(verb: PolicyQuestion.Verb) {
        let question = PolicyQuestion(
            number: 1, verb: verb, session: "s", client: IPAddress("203.0.113.9"), recipient: "alice@example.test")
        let answer = LegacyPolicyEvaluator(tables: FakeTables(isBroken: true)).answer(question)
        switch verb {
        case .connect, .disconnect, .helo, .stored: #expect(summary(answer) == "accept")
        case .mail, .rcpt, .verify, .expand: #expect(summary(answer) == "refuse 451 4.3.0")
        }
        #expect(PolicyAnswer(line: answer.line) == answer)
    }

    @Test(
        "MAIL is accepted from everybody, and is a submission from those who submit",
        arguments: [("203.0.113.9", "accept"), ("10.0.0.1", "accept"), ("10.0.0.2", "submit")])
    func mail(client: String, expected: String) {
        let question = PolicyQuestion(number: 1, verb: .mail, session: "s", client: IPAddress(client), sender: "")
        #expect(summary(LegacyPolicyEvaluator(tables: FakeTables()).answer(question)) == expected)
    }
}

@Suite("Policy: VRFY and EXPN")
struct VerifyPolicyTests {
    @Test(
        "answers",
        arguments: [
            (.verify, "alice", "250 2.1.5 <alice>"), (.verify, "<alice@example.test>", "250 2.1.5 <alice>"),
            (.verify, "Alice <alice@example.test>", "250 2.1.5 <alice>"), (.verify, "team", "250 2.1.5 <team>"),
            (.verify, "ghost", "550 5.1.1 no such user: <ghost>"),
            (.expand, "ghost@example.test", "550 5.1.1 no such user: <ghost@example.test>"),
            (.expand, "broken", "550 5.0.0 Error expansion <broken>"),
            (.verify, "bob@there.test", "250 2.0.0 smtp delivery to there.test for <bob@there.test>"),
            (
                .expand, "team",
                "250 2.1.5 <alice> smtp delivery to there.test for <bob@there.test> local delivery for <team>"
            ),
            (.verify, "", "554 5.1.7 illegal address syntax: <>"),
            (.verify, "a b", "554 5.1.7 illegal address syntax: <a b>"),
        ] as [(PolicyQuestion.Verb, String, String)])
    func answers(verb: PolicyQuestion.Verb, argument: String, expected: String) {
        let question = PolicyQuestion(number: 1, verb: verb, session: "s", client: nil, recipient: argument)
        let answer = LegacyPolicyEvaluator(tables: FakeTables()).answer(question)
        #expect(answer.reply?.summary == expected)
        #expect(!answer.line.contains("secret"))
    }

    @Test("a long list is cut")
    func long() {
        let question = PolicyQuestion(number: 1, verb: .expand, session: "s", client: nil, recipient: "crowd")
        let lines = LegacyPolicyEvaluator(tables: FakeTables()).answer(question).reply?.lines ?? []
        #expect(lines.count == 101)
        #expect(lines.last == "… and 50 more")
    }
}

@Suite("Policy: connections")
struct ConnectionPolicyTests {
    /// The answer for the `count`-th session of one address while `others` of other addresses live.
    private func verdict(_ count: Int, others: Int = 0, perAddress: Int = 0, total: Int = 0) -> PolicyAnswer {
        var counts = ConnectionCounts()
        for _ in 0..<count { counts.add(.v4(1)) }
        for index in 0..<others { counts.add(.v4(UInt32(index + 10))) }
        let question = PolicyQuestion(number: 1, verb: .connect, session: "s", client: .v4(1))
        return LegacyPolicyEvaluator.connect(question, counts, ConnectionLimits(perAddress: perAddress, total: total))
    }

    @Test(
        "sessions of one address",
        arguments: [
            (1, 10, "accept"), (10, 10, "accept"), (11, 10, "refuse 450 4.7.0"), (40, 10, "refuse 450 4.7.0"),
            (41, 10, "drop"), (1, 1, "accept"), (2, 1, "refuse 450 4.7.0"), (5, 1, "drop"), (100_000, 0, "accept"),
        ])
    func perAddress(count: Int, limit: Int, expected: String) {
        #expect(summary(verdict(count, perAddress: limit)) == expected)
    }

    @Test(
        "sessions of all addresses",
        arguments: [
            (99, 100, "accept"), (100, 100, "refuse 450 4.7.0"), (199, 100, "refuse 450 4.7.0"), (200, 100, "drop"),
            (5000, 0, "accept"),
        ])
    func total(others: Int, limit: Int, expected: String) {
        #expect(summary(verdict(1, others: others, total: limit)) == expected)
    }

    @Test("a refusal names count and limit")
    func text() {
        #expect(
            verdict(11, perAddress: 10).reply?.lines.last
                == "Too many simultaneous connections from same IP address (11 max 10)")
        #expect(
            verdict(1, others: 10, total: 10).reply?.lines.last
                == "Too many simultaneous connections to this server (11 max 10)")
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

    @Test(
        "the line of limits",
        arguments: [
            ("limits\t10\t800", ConnectionLimits(perAddress: 10, total: 800)), ("limits\t0\t0", ConnectionLimits()),
            ("limits\t-1\t0", nil), ("limits\t1", nil), ("limits\t1\t2\t3", nil), ("1\tconnect", nil),
            ("limits\tx\t1", nil),
        ] as [(String, ConnectionLimits?)])
    func limits(line: String, expected: ConnectionLimits?) {
        #expect(ConnectionLimits(line: line) == expected)
        if let expected { #expect(expected.line == line) }
    }
}
