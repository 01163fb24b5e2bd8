import MailModel
import Policy
import Testing

/// RFC 7208 §4.6, §4.7, §5.
@Suite struct SPFMechanismTests {
    static let zone = SPFZone(
        """
        order.example TXT v=spf1 ip4:192.0.2.1 -ip4:192.0.2.0/24 ~ip4:198.51.100.0/24 ?ip4:203.0.113.0/24 +all
        late.example TXT v=spf1 ip4:192.0.2.1 -all moo
        after.example TXT v=spf1 all -ip4:192.0.2.0/24
        nothing.example TXT v=spf1 ip4:192.0.2.1
        n4.example TXT v=spf1 ip4:192.0.2.128/25 ip4:10.0.0.0/8 ip4:203.0.113.7 -all
        any4.example TXT v=spf1 ip4:0.0.0.0/0 -all
        n6.example TXT v=spf1 ip6:2001:db8:8000::/33 ip6:2001:db8:1::1 ip6:fd00::/8 ip6:2001:db8:2::8/125 -all
        any6.example TXT v=spf1 ip6:::/0 -all
        mapped.example TXT v=spf1 ip6:::ffff:192.0.2.1 ip6:::ffff:0:0/96 ip6:::/0 -all
        a.example TXT v=spf1 a -all
        a.example A 192.0.2.1
        a.example A 192.0.2.2
        a.example AAAA 2001:db8::1
        only6.example TXT v=spf1 a -all
        only6.example AAAA 2001:db8::1
        host.example A 192.0.2.9
        host.example AAAA 2001:db8::9
        a-host.example TXT v=spf1 a:host.example. -all
        a-net.example TXT v=spf1 a:host.example/24//64 -all
        a-net4.example TXT v=spf1 a:host.example/24 -all
        a-net6.example TXT v=spf1 a:host.example//64 -all
        a-any.example TXT v=spf1 a:host.example/0//0 -all
        a-void.example TXT v=spf1 a:void.example/0//0 -all
        a-fail.example TXT v=spf1 a:broken.example -all
        a-fail6.example TXT v=spf1 a:broken6.example -all
        a-past.example TXT v=spf1 ip4:192.0.2.1 a:broken.example -all
        broken.example FAIL
        broken6.example A 192.0.2.1
        broken6.example FAIL AAAA
        a-odd.example TXT v=spf1 a:x:y/z.example -all
        x:y/z.example A 192.0.2.1
        a-empty.example TXT v=spf1 a:two..dots.example -all
        a-long.example TXT v=spf1 a:\(String(repeating: "y", count: 64)).example -all
        a-dot.example TXT v=spf1 a:.example -all
        a-slash.example TXT v=spf1 a:b\\x5c046c.example -all
        m.example TXT v=spf1 mx -all
        m.example MX 10 mx1.m.example
        m.example MX 20 mx2.m.example
        mx1.m.example A 192.0.2.11
        mx1.m.example AAAA 2001:db8::11
        mx2.m.example A 192.0.2.12
        m-net.example TXT v=spf1 mx:m.example/24//64 -all
        m-none.example TXT v=spf1 mx -all
        m-none.example A 192.0.2.1
        m-null.example TXT v=spf1 mx -all
        m-null.example MX 0 .
        m-void.example TXT v=spf1 mx -all
        m-void.example MX 10 void.example
        m-fail.example TXT v=spf1 mx:broken.example -all
        m-half.example TXT v=spf1 mx -all
        m-half.example MX 10 host.example
        m-half.example MX 20 broken.example
        m-odd.example TXT v=spf1 mx -all
        m-odd.example MX 5 bad..name
        m-odd.example MX 10 HOST.Example
        e.example TXT v=spf1 exists:host.example -all
        e-any.example TXT v=spf1 exists:%{ir}.list.example -all
        1.2.0.192.list.example A 127.0.0.2
        e-6.example TXT v=spf1 exists:only6.example -all
        e-fail.example TXT v=spf1 exists:broken.example -all
        p.example TXT v=spf1 ptr -all
        p-other.example TXT v=spf1 ptr:p.example -all
        p-case.example TXT v=spf1 ptr:P.EXAMPLE -all
        21.2.0.192.in-addr.arpa PTR Host21.P.Example
        host21.p.example A 192.0.2.21
        22.2.0.192.in-addr.arpa PTR liar.p.example
        liar.p.example A 192.0.2.1
        23.2.0.192.in-addr.arpa PTR notp.example
        notp.example A 192.0.2.23
        24.2.0.192.in-addr.arpa PTR p.example
        p.example A 192.0.2.24
        25.2.0.192.in-addr.arpa FAIL
        26.2.0.192.in-addr.arpa PTR broken.example
        26.2.0.192.in-addr.arpa PTR flaky.p.example
        26.2.0.192.in-addr.arpa PTR good.p.example
        flaky.p.example FAIL
        good.p.example A 192.0.2.26
        1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa PTR six.p.example
        six.p.example AAAA 2001:db8::1
        i.example TXT v=spf1 include:%{l}.result.example ~all
        pass.result.example TXT v=spf1 +all
        fail.result.example TXT v=spf1 -all exp=exp.result.example
        softfail.result.example TXT v=spf1 ~all
        neutral.result.example TXT v=spf1 ?all
        default.result.example TXT v=spf1 ip4:1.1.1.1
        temperror.result.example FAIL
        permerror.result.example TXT v=spf1 moo
        none.result.example TXT nothing to see
        redirect.result.example TXT v=spf1 redirect=pass.result.example
        deep.result.example TXT v=spf1 include:redirect.result.example -all
        exp.result.example TXT not to be seen
        i-minus.example TXT v=spf1 -include:pass.result.example +all
        i-tilde.example TXT v=spf1 ~include:pass.result.example +all
        i-word.example TXT v=spf1 include:%{h} -all
        i-self.example TXT v=spf1 a:%{d} include:inner.i-self.example -all
        inner.i-self.example TXT v=spf1 a -all
        inner.i-self.example A 192.0.2.1
        """)

    static let rows: [SPFRow] = [
        // §4.6.2, §4.7
        SPFRow("the first match decides", "192.0.2.1", "u@order.example", .pass, rounds: 1, mechanism: "ip4:192.0.2.1"),
        SPFRow("minus is fail", "192.0.2.2", "u@order.example", .fail, mechanism: "-ip4:192.0.2.0/24"),
        SPFRow("tilde is softfail", "198.51.100.2", "u@order.example", .softfail),
        SPFRow(
            "question mark is neutral", "203.0.113.2", "u@order.example", .neutral, mechanism: "?ip4:203.0.113.0/24"),
        SPFRow("plus is pass", "8.8.8.8", "u@order.example", .pass, mechanism: "+all"),
        SPFRow("an error behind a match counts", "192.0.2.1", "u@late.example", .permError, problem: "\"moo\""),
        SPFRow("terms behind all are ignored", "192.0.2.1", "u@after.example", .pass),
        SPFRow("no match is neutral", "192.0.2.2", "u@nothing.example", .neutral, mechanism: "default"),
        // §5.6
        SPFRow("in a network", "192.0.2.200", "u@n4.example", .pass),
        SPFRow("below a network", "192.0.2.127", "u@n4.example", .fail),
        SPFRow("in a network of 8 bits", "10.255.0.1", "u@n4.example", .pass),
        SPFRow("a single address", "203.0.113.7", "u@n4.example", .pass),
        SPFRow("next to a single address", "203.0.113.6", "u@n4.example", .fail),
        SPFRow("any IPv4", "255.255.255.255", "u@any4.example", .pass),
        SPFRow("no IPv6 in any IPv4", "2001:db8::1", "u@any4.example", .fail),
        SPFRow("in an IPv6 network", "2001:db8:8001::1", "u@n6.example", .pass),
        SPFRow("outside of an IPv6 network", "2001:db8:7fff::1", "u@n6.example", .fail),
        SPFRow("a single IPv6 address", "2001:db8:1::1", "u@n6.example", .pass),
        SPFRow("a long IPv6 prefix", "2001:db8:2::f", "u@n6.example", .pass),
        SPFRow("outside of a long IPv6 prefix", "2001:db8:2::7", "u@n6.example", .fail),
        SPFRow("any IPv6", "fe80::1", "u@any6.example", .pass),
        SPFRow("no IPv4 in any IPv6", "192.0.2.1", "u@any6.example", .fail),
        SPFRow("an IPv4 client never matches ip6", "192.0.2.1", "u@mapped.example", .fail),
        SPFRow("nor does a mapped one", "::ffff:192.0.2.1", "u@mapped.example", .fail),
        // §5.3
        SPFRow("a, first address", "192.0.2.1", "u@a.example", .pass, rounds: 2, mechanism: "a"),
        SPFRow("a, any address", "192.0.2.2", "u@a.example", .pass),
        SPFRow("a, not listed", "192.0.2.3", "u@a.example", .fail),
        SPFRow("a, IPv6", "2001:db8::1", "u@a.example", .pass),
        SPFRow("a, other family only", "192.0.2.1", "u@only6.example", .fail),
        SPFRow("a with a domain and a dot", "192.0.2.9", "u@a-host.example", .pass),
        SPFRow("a with a domain, not itself", "192.0.2.8", "u@a-host.example", .fail),
        SPFRow("a, network", "192.0.2.200", "u@a-net.example", .pass),
        SPFRow("a, network of the other family", "2001:db8::ffff", "u@a-net.example", .pass),
        SPFRow("a, IPv4 length does not hold for IPv6", "2001:db8::ffff", "u@a-net4.example", .fail),
        SPFRow("a, IPv6 length does not hold for IPv4", "192.0.2.200", "u@a-net6.example", .fail),
        SPFRow("a, length 0", "8.8.8.8", "u@a-any.example", .pass),
        SPFRow("a, IPv6 length 0", "2a00::8", "u@a-any.example", .pass),
        SPFRow("a, length 0 but no address", "8.8.8.8", "u@a-void.example", .fail),
        SPFRow("a, DNS trouble", "192.0.2.1", "u@a-fail.example", .tempError, problem: "A of broken.example: SERVFAIL"),
        SPFRow("a, trouble of the other family is none", "192.0.2.1", "u@a-fail6.example", .pass),
        SPFRow("a, trouble of this family", "2001:db8::1", "u@a-fail6.example", .tempError),
        SPFRow("a, trouble behind a match is not asked for", "192.0.2.1", "u@a-past.example", .pass, rounds: 1),
        SPFRow("a, colon and slash in a name", "192.0.2.1", "u@a-odd.example", .pass),
        SPFRow("a, empty label is no match", "192.0.2.1", "u@a-empty.example", .fail, rounds: 1),
        SPFRow("a, long label is no match", "192.0.2.1", "u@a-long.example", .fail, rounds: 1),
        SPFRow("a, leading dot is no match", "192.0.2.1", "u@a-dot.example", .fail, rounds: 1),
        SPFRow("a, backslash is no match", "192.0.2.1", "u@a-slash.example", .fail, rounds: 1),
        // §5.4
        SPFRow("mx, first", "192.0.2.11", "u@m.example", .pass, rounds: 3),
        SPFRow("mx, second", "192.0.2.12", "u@m.example", .pass),
        SPFRow("mx, none of them", "192.0.2.13", "u@m.example", .fail, rounds: 3),
        SPFRow("mx, IPv6", "2001:db8::11", "u@m.example", .pass),
        SPFRow("mx, IPv6, not listed", "2001:db8::12", "u@m.example", .fail),
        SPFRow("mx, networks of another domain's", "192.0.2.200", "u@m-net.example", .pass),
        SPFRow("mx, IPv6 networks of another domain's", "2001:db8::ffff", "u@m-net.example", .pass),
        SPFRow("mx, no implicit exchanger", "192.0.2.1", "u@m-none.example", .fail),
        SPFRow("mx, null MX", "192.0.2.1", "u@m-null.example", .fail, rounds: 2),
        SPFRow("mx, host does not exist", "192.0.2.1", "u@m-void.example", .fail),
        SPFRow("mx, DNS trouble", "192.0.2.1", "u@m-fail.example", .tempError, problem: "MX of broken.example"),
        SPFRow("mx, trouble of one host", "192.0.2.1", "u@m-half.example", .tempError),
        SPFRow("mx, odd host is ignored", "192.0.2.9", "u@m-odd.example", .pass),
        // §5.7
        SPFRow("exists", "8.8.8.8", "u@e.example", .pass),
        SPFRow("exists, listed", "192.0.2.1", "u@e-any.example", .pass),
        SPFRow("exists, not listed", "192.0.2.2", "u@e-any.example", .fail),
        SPFRow("exists asks for A, IPv6 client", "2001:db8::8", "u@e.example", .pass),
        SPFRow("exists asks for A only", "2001:db8::8", "u@e-6.example", .fail),
        SPFRow("exists, DNS trouble", "192.0.2.1", "u@e-fail.example", .tempError),
        // §5.5
        SPFRow("ptr, name below the domain", "192.0.2.21", "u@p.example", .pass, rounds: 3),
        SPFRow("ptr with a domain", "192.0.2.21", "u@p-other.example", .pass),
        SPFRow("ptr, case means nothing", "192.0.2.21", "u@p-case.example", .pass),
        SPFRow("ptr, name does not have the address", "192.0.2.22", "u@p.example", .fail),
        SPFRow("ptr, only whole labels match", "192.0.2.23", "u@p.example", .fail, rounds: 2),
        SPFRow("ptr, the domain itself", "192.0.2.24", "u@p.example", .pass),
        SPFRow("ptr, trouble is no match", "192.0.2.25", "u@p.example", .fail),
        SPFRow("ptr, a name in trouble is skipped", "192.0.2.26", "u@p.example", .pass),
        SPFRow("ptr, no name", "192.0.2.27", "u@p.example", .fail),
        SPFRow("ptr, IPv6", "2001:db8::1", "u@p.example", .pass),
        // §5.2
        SPFRow("include, pass", "192.0.2.1", "pass@i.example", .pass, mechanism: "include:%{l}.result.example"),
        SPFRow("include, fail", "192.0.2.1", "fail@i.example", .softfail),
        SPFRow("include, softfail", "192.0.2.1", "softfail@i.example", .softfail, mechanism: "~all"),
        SPFRow("include, neutral", "192.0.2.1", "neutral@i.example", .softfail),
        SPFRow("include, default", "192.0.2.1", "default@i.example", .softfail),
        SPFRow("include, temperror", "192.0.2.1", "temperror@i.example", .tempError),
        SPFRow(
            "include, permerror", "192.0.2.1", "permerror@i.example", .permError, problem: "permerror.result.example"),
        SPFRow("include, none", "192.0.2.1", "none@i.example", .permError),
        SPFRow("include, no name", "192.0.2.1", "missing@i.example", .permError),
        SPFRow("include, redirected", "192.0.2.1", "redirect@i.example", .pass),
        SPFRow("include in include", "192.0.2.1", "deep@i.example", .pass),
        SPFRow(
            "include with minus", "192.0.2.1", "u@i-minus.example", .fail, mechanism: "-include:pass.result.example"),
        SPFRow("include with tilde", "192.0.2.1", "u@i-tilde.example", .softfail),
        SPFRow("include of a single label", "192.0.2.1", "u@i-word.example", .permError, helo: "WORD"),
        SPFRow("include of a literal", "192.0.2.1", "u@i-word.example", .permError, helo: "[192.0.2.1]"),
        SPFRow("the domain in an include is the included", "192.0.2.1", "u@i-self.example", .pass),
    ]

    @Test(arguments: rows) func evaluates(_ row: SPFRow) { row.check(Self.zone) }

    @Test func exchangersAreAskedForTogetherAndInOneFamily() {
        let run = SPFCase(client: "2001:db8::11", sender: "u@m.example").run(Self.zone)
        #expect(
            run.rounds == [
                [NameQuestion("m.example", .txt)], [NameQuestion("m.example", .mx)],
                [NameQuestion("mx1.m.example", .aaaa), NameQuestion("mx2.m.example", .aaaa)],
            ])
    }

    @Test func onlyReverseNamesBelowTheDomainAreAskedFor() {
        let run = SPFCase(client: "192.0.2.26", sender: "u@p.example").run(Self.zone)
        #expect(run.rounds.last == [NameQuestion("flaky.p.example", .a), NameQuestion("good.p.example", .a)])
    }

    @Test func domainAfterRedirectIsTold() {
        let zone = SPFZone("r.example TXT v=spf1 redirect=s.example\ns.example TXT v=spf1 -all")
        let result = SPFCase(client: "192.0.2.1", sender: "u@r.example").run(zone).result
        #expect(result.domain == "s.example" && result.identityDomain == "r.example" && result.mechanism == "-all")
    }

    @Test func stepsTellEachTerm() {
        var checked = SPFCase(client: "192.0.2.12", sender: "softfail@i.example")
        checked.wantsSteps = true
        #expect(
            checked.run(Self.zone).result.steps.map { "\($0.subject): \($0.outcome)" } == [
                "softfail.result.example ~all: matches: softfail", "i.example include:%{l}.result.example: no match",
                "i.example ~all: matches: softfail",
            ])
        checked.wantsSteps = false
        #expect(checked.run(Self.zone).result.steps.isEmpty)
    }
}
