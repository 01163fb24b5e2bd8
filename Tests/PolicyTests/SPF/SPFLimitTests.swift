import Policy
import Testing

/// RFC 7208 §4.6.4.
@Suite struct SPFLimitTests {
    static func repeated(_ count: Int, _ line: (Int) -> String) -> String {
        (1...count).map(line).joined(separator: "\n") + "\n"
    }

    static let zone = SPFZone(
        """
        h.example A 192.0.2.100
        h.example AAAA 2001:db8::100
        h.example MX 10 h.example
        loop.example TXT v=spf1 redirect=loop.example
        ring.example TXT v=spf1 include:ring2.example
        ring2.example TXT v=spf1 include:ring.example
        ten.example TXT v=spf1 \(String(repeating: "a:h.example ", count: 10))ip4:192.0.2.1 -all
        eleven.example TXT v=spf1 \(String(repeating: "a:h.example ", count: 11))ip4:192.0.2.1 -all
        early.example TXT v=spf1 \(String(repeating: "a:h.example ", count: 30))-all
        kinds.example TXT v=spf1 a:h.example mx:h.example exists:h.example.none a:h.example mx:h.example a:h.example \
        mx:h.example ptr:h.example include:leaf.example redirect=tail.example
        leaf.example TXT v=spf1 ip4:10.0.0.1 -all
        tail.example TXT v=spf1 ip4:192.0.2.1 -all
        kinds11.example TXT v=spf1 a:h.example mx:h.example exists:h.example.none a:h.example mx:h.example a:h.example \
        mx:h.example ptr:h.example include:leaf.example a:h.example redirect=tail.example
        free.example TXT v=spf1 \(String(repeating: "ip4:10.0.0.1 ip6:fd00::1 ", count: 50))x=y exp=h.example +all
        inner.example TXT v=spf1 \(String(repeating: "a:h.example ", count: 8))
        in-ten.example TXT v=spf1 include:inner.example a:h.example ip4:192.0.2.1 -all
        in-eleven.example TXT v=spf1 include:inner.example a:h.example a:h.example ip4:192.0.2.1 -all
        bad-names.example TXT v=spf1 \(String(repeating: "a:x..y.example ", count: 11))-all
        p-ten.example TXT v=spf1 \(String(repeating: "a:h.example ", count: 8))exists:%{p}.h.example ip4:192.0.2.1 -all
        p-eleven.example TXT v=spf1 \(String(repeating: "a:h.example ", count: 9))exists:%{p}.h.example ip4:192.0.2.1 -all
        p-once.example TXT v=spf1 \(String(repeating: "exists:%{p}.%{p}.example ", count: 2))ip4:192.0.2.1 -all
        mx10.example TXT v=spf1 mx -all
        \(repeated(10) { "mx10.example MX \($0) h\($0).mx.example" })
        \(repeated(11) { "h\($0).mx.example A 192.0.2.\($0)" })
        mx11.example TXT v=spf1 mx -all
        \(repeated(11) { "mx11.example MX \($0) h\($0).mx.example" })
        many-a.example TXT v=spf1 a -all
        \(repeated(40) { "many-a.example A 203.0.113.\($0)" })
        ptr.example TXT v=spf1 ptr -all
        \(repeated(12) { "9.2.0.192.in-addr.arpa PTR n\($0).\($0 == 11 ? "ptr" : "others").example" })
        n11.ptr.example A 192.0.2.9
        \(repeated(12) { "8.2.0.192.in-addr.arpa PTR n\($0).\($0 == 10 ? "ptr" : "others").example" })
        n10.ptr.example A 192.0.2.8
        void2.example TXT v=spf1 a:v1.example mx:v2.example ip4:192.0.2.1 -all
        void3.example TXT v=spf1 a:v1.example mx:v2.example exists:v3.example ip4:192.0.2.1 -all
        void-same.example TXT v=spf1 a:v1.example a:v1.example a:v1.example ip4:192.0.2.1 -all
        void-data.example TXT v=spf1 mx:many-a.example exists:leaf.example a:leaf.example ip4:192.0.2.1 -all
        void-mx.example TXT v=spf1 mx mx mx:h.example ip4:192.0.2.1 -all
        void-mx.example MX 1 v1.example
        void-mx.example MX 2 v2.example
        void-mx.example MX 3 v3.example
        void-mx3.example TXT v=spf1 mx:void-mx.example mx:void-mx.example mx:void-mx.example ip4:192.0.2.1 -all
        void-some.example TXT v=spf1 mx mx mx ip4:192.0.2.1 -all
        void-some.example MX 1 v1.example
        void-some.example MX 2 h.example
        void-ptr.example TXT v=spf1 ptr a:v1.example a:v2.example ip4:192.0.2.1 -all
        void-family.example TXT v=spf1 a:four.example a:four.example a:four.example +all
        four.example A 192.0.2.1
        void-match.example TXT v=spf1 ip4:192.0.2.1 a:v1.example a:v2.example a:v3.example -all
        void-deep.example TXT v=spf1 a:v1.example include:void-in.example -all
        void-in.example TXT v=spf1 a:v2.example a:v3.example -all
        """)

    static let rows: [SPFRow] = [
        SPFRow(
            "redirect to itself ends", "192.0.2.1", "u@loop.example", .permError, rounds: 1,
            problem: "more than 10 terms"),
        SPFRow(
            "includes in a ring end", "192.0.2.1", "u@ring.example", .permError, rounds: 2,
            problem: "more than 10 terms"),
        SPFRow("ten terms", "192.0.2.1", "u@ten.example", .pass),
        SPFRow("eleven terms", "192.0.2.1", "u@eleven.example", .permError),
        SPFRow("what is not evaluated does not count", "192.0.2.100", "u@early.example", .pass),
        SPFRow("ten terms of all kinds", "192.0.2.1", "u@kinds.example", .pass),
        SPFRow("eleven terms of all kinds", "192.0.2.1", "u@kinds11.example", .permError),
        SPFRow("terms that ask nothing do not count", "192.0.2.1", "u@free.example", .pass, rounds: 1),
        SPFRow("ten terms with those of an include", "192.0.2.1", "u@in-ten.example", .pass),
        SPFRow("eleven terms with those of an include", "192.0.2.1", "u@in-eleven.example", .permError),
        SPFRow("terms with impossible names count", "192.0.2.1", "u@bad-names.example", .permError, rounds: 1),
        SPFRow("p counts as a term", "192.0.2.1", "u@p-eleven.example", .permError),
        SPFRow("nine terms and p", "192.0.2.1", "u@p-ten.example", .pass),
        SPFRow("ten exchangers", "192.0.2.10", "u@mx10.example", .pass, rounds: 3),
        SPFRow("eleven exchangers", "192.0.2.1", "u@mx11.example", .permError, rounds: 2, problem: "11 exchangers"),
        SPFRow("addresses have no limit", "203.0.113.40", "u@many-a.example", .pass),
        SPFRow("the eleventh reverse name is ignored", "192.0.2.9", "u@ptr.example", .fail),
        SPFRow("the tenth reverse name is not", "192.0.2.8", "u@ptr.example", .pass),
        SPFRow("two void lookups", "192.0.2.1", "u@void2.example", .pass),
        SPFRow("three void lookups", "192.0.2.1", "u@void3.example", .permError, problem: "do not exist"),
        SPFRow("the same void lookup three times", "192.0.2.1", "u@void-same.example", .permError),
        SPFRow("names without the record are void too", "192.0.2.1", "u@void-data.example", .permError),
        SPFRow("an mx is one lookup", "192.0.2.1", "u@void-mx.example", .pass),
        SPFRow("an mx without any address is void", "192.0.2.1", "u@void-mx3.example", .permError),
        SPFRow("an mx with a host is not void", "192.0.2.1", "u@void-some.example", .pass),
        SPFRow("a ptr without name is void", "192.0.2.1", "u@void-ptr.example", .permError),
        SPFRow("the client's family counts, IPv6", "2001:db8::1", "u@void-family.example", .permError),
        SPFRow("the client's family counts, IPv4", "192.0.2.2", "u@void-family.example", .pass),
        SPFRow("a match before void lookups", "192.0.2.1", "u@void-match.example", .pass, rounds: 1),
        SPFRow("void lookups of includes count", "192.0.2.1", "u@void-deep.example", .permError),
    ]

    @Test(arguments: rows) func limits(_ row: SPFRow) { row.check(Self.zone) }

    @Test func countersAreTold() {
        let result = SPFCase(client: "192.0.2.1", sender: "u@void2.example").run(Self.zone).result
        #expect(result.lookups == 2 && result.voidLookups == 2)
        let kinds = SPFCase(client: "192.0.2.1", sender: "u@kinds.example").run(Self.zone).result
        #expect(kinds.lookups == 10)
        let once = SPFCase(client: "192.0.2.1", sender: "u@p-once.example").run(Self.zone).result
        #expect(once.lookups == 3)
    }

    @Test func limitsCanBeSet() {
        var settings = SPFSettings()
        settings.maximumVoidLookups = 3
        SPFRow("three void lookups allowed", "192.0.2.1", "u@void3.example", .pass).check(Self.zone, settings: settings)
        settings.maximumVoidLookups = 0
        SPFRow("no void lookup allowed", "192.0.2.1", "u@void2.example", .permError).check(
            Self.zone, settings: settings)
        settings = SPFSettings()
        settings.maximumTerms = 11
        SPFRow("eleven terms allowed", "192.0.2.1", "u@eleven.example", .pass).check(Self.zone, settings: settings)
        settings.maximumExchangers = 11
        SPFRow("eleven exchangers allowed", "192.0.2.1", "u@mx11.example", .pass).check(Self.zone, settings: settings)
        settings.maximumNames = 11
        SPFRow("eleven names allowed", "192.0.2.9", "u@ptr.example", .pass).check(Self.zone, settings: settings)
    }

    @Test("macros that stand for nothing are read as far as a name has octets, from its end")
    func emptyMacros() {
        func level(_ count: Int) -> SPFResult.Level {
            let macros = String(repeating: "%{l1-}", count: count)
            let zone = SPFZone("e.example TXT v=spf1 exists:x\(macros).y.example ?all\nx.y.example A 127.0.0.2")
            return SPFCase(client: "192.0.2.1", sender: "a-@e.example").run(zone).result.level
        }
        #expect(level(100) == .pass)
        #expect(level(253) == .pass)
        #expect(level(300) == .neutral)
    }
}
