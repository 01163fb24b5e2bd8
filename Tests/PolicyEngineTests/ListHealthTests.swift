import MailModel
import Policy
import Telemetry
import Testing

@testable import PolicyEngine

@Suite("Block and allow lists that do not answer")
struct ListHealthTests {
    private let question = NameQuestion("1.2.0.192.list.test", .a, list: "list.test")
    private let failure = NameFact.Answer.failure("no answer in 3 s")

    @Test("three failures in a row make a list dead; it is skipped, and asked once a minute until it answers")
    func dead() throws {
        let scratch = try Scratch()
        let metrics = PolicyMetrics()
        let lists = ListHealth(log: scratch.log, metrics: metrics)
        for _ in 0..<2 { lists.answered(question, failure, now: 0) }
        #expect(lists.admit("list.test", now: 0) == .ask)
        lists.answered(question, failure, now: 0)
        #expect(metrics.metrics.text.contains("zmailer_policy_dead_lists 1\n"))
        let reason = "list does not answer, skipped"
        #expect(lists.admit("list.test", now: 1) == .skip(reason))
        #expect(lists.admit("other.test", now: 1) == .ask)
        #expect(lists.admit("list.test", now: 59_999) == .skip(reason))
        #expect(lists.admit("list.test", now: 60_000) == .probe(reason))
        #expect(lists.admit("list.test", now: 60_001) == .skip(reason))
        lists.answered(question, failure, now: 63_000)
        #expect(lists.admit("list.test", now: 119_000) == .skip(reason))
        #expect(lists.admit("list.test", now: 120_000) == .probe(reason))
        lists.answered(question, .noName, now: 120_100)
        #expect(lists.admit("list.test", now: 120_100) == .ask)
        #expect(scratch.logLines("list-dead").count == 1)
        #expect(scratch.logLines("list-back").count == 1)
        #expect(metrics.metrics.text.contains("zmailer_policy_dead_lists 0\n"))
    }

    @Test("an answer in between begins the count anew")
    func between() throws {
        let lists = ListHealth(log: try Scratch().log, metrics: PolicyMetrics())
        for answer in [failure, failure, .noName, failure, failure] { lists.answered(question, answer, now: 0) }
        #expect(lists.admit("list.test", now: 0) == .ask)
    }

    @Test(
        "answers outside 127.0.0.0/8, and in 127.255.255.0/24, are errors of the list",
        arguments: [
            ("127.0.0.2", false), ("127.0.1.4", false), ("127.255.254.1", false), ("127.255.255.0", true),
            ("127.255.255.254", true), ("192.0.2.1", true), ("10.0.0.1", true), ("2001:db8::1", true),
            ("::ffff:127.0.0.2", false),
        ])
    func errors(address: String, isError: Bool) throws {
        #expect(ListHealth.isError(try #require(IPAddress(address))) == isError)
    }

    @Test("a list that answers nonsense is named, not more than once in ten minutes")
    func complaints() throws {
        let scratch = try Scratch()
        let lists = ListHealth(log: scratch.log, metrics: PolicyMetrics())
        let strange = NameFact.Answer.addresses([try #require(IPAddress("127.255.255.254"))])
        for now in stride(from: 0, to: 1_200_000, by: 1000) as StrideTo<Int64> {
            lists.answered(question, strange, now: now)
        }
        let lines = scratch.logLines("list-error")
        #expect(lines.count == 2)
        #expect(lines.first?.contains("list=list.test") == true)
        #expect(lines.first?.contains("127.255.255.254") == true)
        #expect(lists.admit("list.test", now: 0) == .ask)
    }
}
