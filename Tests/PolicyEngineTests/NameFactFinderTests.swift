import Glibc
import MailModel
import Policy
import Resolver
import Telemetry
import Testing

@testable import PolicyEngine

/// A finder with a clock that the test moves.
private final class FinderFixture {
    let scratch: Scratch
    let metrics = PolicyMetrics()
    let finder: NameFactFinder
    var now: Int64 { clock.now }
    private(set) var found: [(NameQuestion, NameFact.Answer, [UInt64])] = []
    private let clock: Clock

    private final class Clock { var now: Int64 = 1_000_000 }

    init(zones: String = "", forwarder: String? = nil) throws {
        scratch = try Scratch()
        var configuration = ResolverConfiguration()
        configuration.zones = try ZoneData(parsing: zones)
        if let forwarder { configuration.forwarders = [forwarder] }
        let clock = Clock()
        self.clock = clock
        finder = try NameFactFinder(configuration, log: scratch.log, metrics: metrics, clock: { clock.now })
        finder.found = { [unowned self] question, fact, waiters in found.append((question, fact.answer, waiters)) }
    }

    func ask(_ question: NameQuestion, for waiter: UInt64 = 1) -> NameFactFinder.Asked {
        finder.ask(question, for: waiter, now: now)
    }

    func pass(_ milliseconds: Int64) {
        clock.now += milliseconds
        finder.tick(now: now)
    }

    /// Until so many questions are answered, ten real seconds at most.
    func wait(_ count: Int) throws {
        let deadline = ContinuousClock.now + .seconds(10)
        while found.count < count, ContinuousClock.now < deadline {
            var entry = pollfd(fd: try #require(finder.descriptor), events: Int16(POLLIN), revents: 0)
            _ = poll(&entry, 1, 100)
            finder.process()
        }
        #expect(found.count == count)
    }

    func answer(_ question: NameQuestion) -> NameFact.Answer? { finder.known(question, now: now)?.answer }
}

@Suite("Finding names for decisions")
struct NameFactFinderTests {
    private static let zones = """
        zone example.test. static
        data "example.test. 300 IN MX 20 MX2.example.test."
        data "example.test. 300 IN MX 10 mx1.example.test."
        data "null.example.test. 300 IN MX 0 ."
        data example.test. 300 IN TXT "v=spf1" " -all"
        data "mx1.example.test. 60 IN A 192.0.2.1"
        data "mx1.example.test. 9999 IN AAAA 2001:db8::1"
        data "never.example.test. 0 IN A 192.0.2.9"
        zone 2.0.192.in-addr.arpa. static
        data "1.2.0.192.in-addr.arpa. 60 IN PTR MX1.Example.test."
        zone broken.test. refuse
        zone list.test. static
        data "2.0.0.127.list.test. 60 IN A 127.0.0.2"
        data "9.0.0.127.list.test. 60 IN A 127.255.255.254"
        """

    @Test("each kind of record becomes its fact; exchangers by preference, names in lower case")
    func kinds() throws {
        let fixture = try FinderFixture(zones: Self.zones)
        let four = try #require(IPAddress("192.0.2.1"))
        let six = try #require(IPAddress("2001:db8::1"))
        let expected: [(NameQuestion, NameFact.Answer)] = [
            (NameQuestion("mx1.example.test", .a), .addresses([four])),
            (NameQuestion("mx1.example.test", .aaaa), .addresses([six])),
            (
                NameQuestion("example.test", .mx),
                .exchangers([
                    .init(preference: 10, name: "mx1.example.test"), .init(preference: 20, name: "mx2.example.test"),
                ])
            ),
            (NameQuestion("null.example.test", .mx), .exchangers([.init(preference: 0, name: ".")])),
            (NameQuestion("example.test", .txt), .texts([Array("v=spf1 -all".utf8)])),
            (NameQuestion("1.2.0.192.in-addr.arpa", .ptr), .names(["mx1.example.test"])),
            (NameQuestion("example.test", .a), .noData), (NameQuestion("nobody.example.test", .a), .noName),
            (NameQuestion("x.broken.test", .a), .failure("name server answered REFUSED")),
        ]
        for (question, _) in expected { #expect(fixture.ask(question).isOnItsWay) }
        try fixture.wait(expected.count)
        for (question, answer) in expected { #expect(fixture.answer(question) == answer) }
    }

    @Test("a question is on its way once, however many wait for it")
    func once() throws {
        let fixture = try FinderFixture(zones: Self.zones)
        let question = NameQuestion("mx1.example.test", .a)
        for waiter in 1...5 as ClosedRange<UInt64> { #expect(fixture.ask(question, for: waiter).isOnItsWay) }
        fixture.finder.forget(3, [question])
        try fixture.wait(1)
        #expect(fixture.found.first?.2 == [1, 2, 4, 5])
    }

    @Test("answers are kept for their time to live, five minutes at most; absence one minute, failures five seconds")
    func lifetimes() throws {
        let fixture = try FinderFixture(zones: Self.zones)
        let cases: [(NameQuestion, Int64)] = [
            (NameQuestion("mx1.example.test", .a), 60_000), (NameQuestion("mx1.example.test", .aaaa), 300_000),
            (NameQuestion("nobody.example.test", .a), 60_000), (NameQuestion("example.test", .a), 60_000),
            (NameQuestion("x.broken.test", .a), 5_000), (NameQuestion("never.example.test", .a), 0),
        ]
        for (question, _) in cases { _ = fixture.ask(question) }
        try fixture.wait(cases.count)
        let start = fixture.now
        for (question, lifetime) in cases {
            if lifetime > 0 { #expect(fixture.finder.known(question, now: start + lifetime - 1) != nil) }
            #expect(fixture.finder.known(question, now: start + lifetime) == nil)
        }
        let fact = fixture.finder.known(cases[0].0, now: start + 7_900)?.fact(now: start + 7_900)
        #expect(fact?.age == 7)
    }

    @Test(
        "names that cannot exist do not exist, and nobody is asked",
        arguments: [
            "", ".", "a..b", "a.b.", ".a", "a b.test", "a\\.b", "ä.test", "a\u{0}b.test",
            String(repeating: "a", count: 64) + ".test",
            Array(repeating: "abcdefghi", count: 26).joined(separator: "."),
        ])
    func impossible(name: String) throws {
        let fixture = try FinderFixture(zones: Self.zones)
        guard case .answered(let fact) = fixture.ask(NameQuestion(name, .a)) else {
            Issue.record("asked")
            return
        }
        #expect(fact.answer == .noName)
        #expect(fixture.finder.nextDeadline == nil)
    }

    @Test("a server that is silent is a failure at the deadline: 3 s for lists, 12 s for others")
    func deadlines() throws {
        let server = try SilentNameServer()
        let fixture = try FinderFixture(forwarder: server.address)
        let name = NameQuestion("host.test", .a)
        let listed = NameQuestion("2.0.0.127.list.test", .a, list: "list.test")
        #expect(fixture.ask(name).isOnItsWay)
        #expect(fixture.ask(listed).isOnItsWay)
        #expect(fixture.finder.nextDeadline == fixture.now + 3000)
        fixture.pass(2999)
        #expect(fixture.found.isEmpty)
        fixture.pass(1)
        #expect(fixture.found.map(\.0) == [listed])
        #expect(fixture.answer(listed) == .failure("no answer in 3 s"))
        fixture.pass(8999)
        #expect(fixture.found.count == 1)
        fixture.pass(1)
        #expect(fixture.found.map(\.0) == [listed, name])
        #expect(fixture.answer(name) == .failure("no answer in 12 s"))
        #expect(fixture.finder.nextDeadline == nil)
    }

    @Test("a dead list delays nobody after its third failure; others are asked as before")
    func deadList() throws {
        let server = try SilentNameServer()
        let fixture = try FinderFixture(forwarder: server.address)
        for number in 1...3 {
            #expect(fixture.ask(NameQuestion("\(number).0.0.127.dead.test", .a, list: "dead.test")).isOnItsWay)
            fixture.pass(3000)
        }
        #expect(fixture.scratch.logLines("list-dead").count == 1)
        let told = fixture.metrics.metrics.text
        for line in [
            "questions_total{kind=\"list\"} 3", "answers_total{result=\"failure\"} 3", "seconds_count 3",
        ] {
            #expect(told.contains("zmailer_policy_dns_\(line)\n"), "\(told)")
        }
        let next = NameQuestion("4.0.0.127.dead.test", .a, list: "dead.test")
        #expect(!fixture.ask(next).isOnItsWay)
        #expect(fixture.finder.nextDeadline == nil)
        #expect(fixture.ask(NameQuestion("4.0.0.127.other.test", .a, list: "other.test")).isOnItsWay)
        fixture.pass(60_000)
        // The probe: on its way, but nobody waits.
        #expect(!fixture.ask(next).isOnItsWay)
        #expect(fixture.finder.nextDeadline == fixture.now + 3000)
        fixture.pass(3000)
        #expect(fixture.found.last?.2 == [])
    }

    @Test("list answers that are none are logged and still told")
    func listErrors() throws {
        let fixture = try FinderFixture(zones: Self.zones)
        _ = fixture.ask(NameQuestion("2.0.0.127.list.test", .a, list: "list.test"))
        _ = fixture.ask(NameQuestion("9.0.0.127.list.test", .a, list: "list.test"))
        try fixture.wait(2)
        #expect(fixture.scratch.logLines("list-error").count == 1)
        #expect(fixture.scratch.logText.contains("name=9.0.0.127.list.test"))
    }

    @Test("names below test. do not exist, unless the zone is opened")
    func specialNames() throws {
        let server = try SilentNameServer()
        let closed = try FinderFixture(forwarder: server.address)
        _ = closed.ask(NameQuestion("host.test", .a))
        try closed.wait(1)
        #expect(closed.found.first?.1 == .noName)
        let open = try FinderFixture(zones: "zone test. nodefault\n", forwarder: server.address)
        _ = open.ask(NameQuestion("host.test", .a))
        try server.receive()
        #expect(open.found.isEmpty)
    }

    @Test("there is an end to what may be on its way")
    func bound() throws {
        let server = try SilentNameServer()
        let fixture = try FinderFixture(forwarder: server.address)
        for number in 0..<NameFactFinder.outstandingLimit {
            #expect(fixture.ask(NameQuestion("n\(number).test", .a)).isOnItsWay)
        }
        #expect(!fixture.ask(NameQuestion("one-more.test", .a)).isOnItsWay)
        fixture.pass(12_000)
        #expect(fixture.found.count == NameFactFinder.outstandingLimit)
        #expect(fixture.ask(NameQuestion("one-more.test", .a)).isOnItsWay)
    }
}

extension NameFactFinder.Asked {
    fileprivate var isOnItsWay: Bool {
        switch self {
        case .onItsWay: true
        case .answered: false
        }
    }
}
