import MailModel
import Testing

@testable import Resolver

/// Answers that a test names; every other name does not exist.
struct FixedNames: NameService {
    var mx: [String: Lookup<MXRecord>] = [:]
    var a: [String: Lookup<String>] = [:]
    var aaaa: [String: Lookup<String>] = [:]

    func lookUp(_ questions: [Question]) -> [Lookup<[UInt8]>] {
        questions.map { question in
            switch question.type {
            case .mx:
                (mx[question.name] ?? exists(question.name)).decoded { record in
                    [UInt8(record.preference >> 8), UInt8(record.preference & 255)] + Self.wire(record.exchange)
                }
            case .a: (a[question.name] ?? exists(question.name)).decoded { IPAddress($0)?.octets }
            case .aaaa: (aaaa[question.name] ?? exists(question.name)).decoded { IPAddress($0)?.octets }
            case .cname, .ptr, .txt: .nxDomain
            }
        }
    }

    private func exists<Record>(_ name: String) -> Lookup<Record> {
        mx[name] != nil || a[name] != nil || aaaa[name] != nil ? .noData : .nxDomain
    }

    private static func wire(_ name: String) -> [UInt8] {
        name.split(separator: ".").flatMap { [UInt8($0.utf8.count)] + Array($0.utf8) } + [0]
    }
}

extension Lookup {
    static func of(_ records: Record...) -> Lookup { .answer(Answer(records: records)) }
}

@Suite("Mail exchangers (RFC 5321 §5.1, RFC 7505)")
struct ResolverMailHostsTests {
    var names = FixedNames()

    init() {
        names.a = [
            "a.test": .of("192.0.2.1"), "b.test": .of("192.0.2.2"), "c.test": .of("192.0.2.3"),
            "us.test": .of("192.0.2.99"), "self.test": .of("192.0.2.98"),
            "lame.test": .temporaryFailure("SERVFAIL"), "both.test": .of("192.0.2.4"),
        ]
        names.aaaa = ["both.test": .of("2001:db8::4")]
    }

    static let ourselves = OwnIdentity(
        names: ["self.test"], addresses: [IPAddress("192.0.2.99")].compactMap { $0 })

    func find(
        _ records: Lookup<MXRecord>, own: OwnIdentity? = Self.ourselves, prefersIPv6: Bool = false, seed: UInt64 = 1
    ) -> MailHosts {
        var names = self.names
        names.mx["domain.test"] = records
        var generator = SplitMix(state: seed)
        return MailRouting(names, ownIdentity: own, prefersIPv6: prefersIPv6)
            .mailHosts(for: "domain.test", using: &generator)
    }

    func names(_ hosts: MailHosts) -> [String]? {
        if case .hosts(let hosts) = hosts { hosts.map(\.name) } else { nil }
    }

    @Test("hosts are tried by preference")
    func preference() {
        let hosts = find(
            .of(
                MXRecord(preference: 30, exchange: "c.test"), MXRecord(preference: 10, exchange: "a.test"),
                MXRecord(preference: 20, exchange: "b.test")))
        #expect(names(hosts) == ["a.test", "b.test", "c.test"])
    }

    @Test("equal preferences come in random order")
    func random() {
        let orders = (0..<64).map { seed in
            names(
                find(
                    .of(
                        MXRecord(preference: 10, exchange: "a.test"), MXRecord(preference: 10, exchange: "b.test"),
                        MXRecord(preference: 20, exchange: "c.test")), seed: UInt64(seed)))
        }
        #expect(Set(orders) == [["a.test", "b.test", "c.test"], ["b.test", "a.test", "c.test"]])
    }

    @Test("without MX the domain's own address is its exchanger")
    mutating func implicit() {
        names.a["domain.test"] = .of("192.0.2.7")
        #expect(names(find(.noData)) == ["domain.test"])
    }

    @Test("a null MX is permanent, and ignored beside others")
    func nullExchanger() {
        guard case .permanentFailure(let status, _) = find(.of(MXRecord(preference: 0, exchange: "."))) else {
            Issue.record("not permanent")
            return
        }
        #expect(status == EnhancedStatusCode(5, 1, 10))
        #expect(
            names(find(.of(MXRecord(preference: 0, exchange: "."), MXRecord(preference: 9, exchange: "a.test"))))
                == ["a.test"])
    }

    @Test("no such domain is permanent, DNS trouble is not")
    func missing() {
        guard case .permanentFailure(let status, _) = find(.nxDomain) else {
            Issue.record("not permanent")
            return
        }
        #expect(status == EnhancedStatusCode(5, 1, 2))
        #expect(find(.temporaryFailure("SERVFAIL")) == .temporaryFailure("MX of domain.test: SERVFAIL"))
    }

    @Test(
        "of ourselves and what is not better than us nothing is left",
        arguments: [
            ([("a.test", 10), ("self.test", 20), ("b.test", 20), ("c.test", 30)], ["a.test"]),
            ([("a.test", 10), ("us.test", 20), ("c.test", 30)], ["a.test"]),
            ([("SELF.test", 20), ("c.test", 10)], ["c.test"]),
            ([("self.test", 10), ("a.test", 20)], nil),
            ([("us.test", 10)], nil),
        ] as [([(String, Int)], [String]?)])
    func loop(records: [(String, Int)], expected: [String]?) {
        let hosts = find(
            .answer(Answer(records: records.map { MXRecord(preference: $0.1, exchange: $0.0) })))
        #expect(names(hosts) == expected)
        if expected == nil {
            #expect(
                hosts
                    == .permanentFailure(
                        EnhancedStatusCode(5, 4, 4),
                        "configuration inconsistency, we are lowest MX, but this is not our local domain!"))
        }
    }

    @Test("without an identity ourselves is a host like others")
    func noLoopRule() {
        #expect(names(find(.of(MXRecord(preference: 10, exchange: "us.test")), own: nil)) == ["us.test"])
    }

    @Test("hosts without address are dropped; if all are, that is permanent unless a lookup failed")
    func addressless() {
        #expect(
            names(
                find(.of(MXRecord(preference: 1, exchange: "none.test"), MXRecord(preference: 2, exchange: "a.test"))))
                == ["a.test"])
        #expect(
            names(
                find(.of(MXRecord(preference: 1, exchange: "lame.test"), MXRecord(preference: 2, exchange: "a.test"))))
                == ["a.test"])
        guard case .permanentFailure(let status, _) = find(.of(MXRecord(preference: 1, exchange: "none.test"))) else {
            Issue.record("not permanent")
            return
        }
        #expect(status == EnhancedStatusCode(5, 4, 4))
        #expect(
            find(.of(MXRecord(preference: 1, exchange: "none.test"), MXRecord(preference: 2, exchange: "lame.test")))
                == .temporaryFailure("address of lame.test: SERVFAIL"))
    }

    @Test("a better host that cannot be resolved now keeps the loop rule from bouncing")
    func loopAndTrouble() {
        #expect(
            find(.of(MXRecord(preference: 1, exchange: "lame.test"), MXRecord(preference: 2, exchange: "self.test")))
                == .temporaryFailure("address of lame.test: SERVFAIL"))
    }

    @Test("each address is an entry, in the preferred family's order")
    func families() throws {
        let six = try #require(IPAddress("2001:db8::4"))
        let four = try #require(IPAddress("192.0.2.4"))
        let records = Lookup.of(MXRecord(preference: 5, exchange: "both.test"))
        let entry = { MailHost(name: "both.test", address: $0, preference: 5) }
        #expect(find(records) == .hosts([entry(four), entry(six)]))
        #expect(find(records, prefersIPv6: true) == .hosts([entry(six), entry(four)]))
    }

    @Test("an exchanger named twice is tried once, and the list is bounded")
    func bounds() {
        #expect(
            names(find(.of(MXRecord(preference: 1, exchange: "a.test"), MXRecord(preference: 2, exchange: "A.test"))))
                == ["a.test"])
        var names = self.names
        names.mx["domain.test"] = .answer(
            Answer(records: (0..<60).map { MXRecord(preference: $0, exchange: "h\($0).test") }))
        for number in 0..<60 { names.a["h\(number).test"] = .of("198.51.100.\(number)") }
        var generator = SplitMix(state: 1)
        let found = MailRouting(names, ownIdentity: nil).mailHosts(for: "domain.test", using: &generator)
        guard case .hosts(let hosts) = found else {
            Issue.record("no hosts")
            return
        }
        #expect(hosts.map(\.name) == (0..<20).map { "h\($0).test" })
    }

    @Test("a host's own addresses are found without its MX")
    mutating func withoutExchangers() {
        names.mx["a.test"] = .of(MXRecord(preference: 1, exchange: "b.test"))
        var generator = SplitMix(state: 1)
        let routing = MailRouting(names, ownIdentity: Self.ourselves)
        #expect(names(routing.addresses(ofHost: "a.test", using: &generator)) == ["a.test"])
        #expect(names(routing.addresses(ofHost: "us.test", using: &generator)) == nil)
        guard case .permanentFailure(let status, _) = routing.addresses(ofHost: "nowhere.test", using: &generator)
        else {
            Issue.record("not permanent")
            return
        }
        #expect(status == EnhancedStatusCode(5, 1, 2))
    }
}

/// A reproducible source of randomness.
struct SplitMix: RandomNumberGenerator {
    var state: UInt64

    mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var value = state
        value = (value ^ (value >> 30)) &* 0xbf58_476d_1ce4_e5b9
        value = (value ^ (value >> 27)) &* 0x94d0_49bb_1331_11eb
        return value ^ (value >> 31)
    }
}
