import MailModel
import Policy
import Testing

/// RFC 7208 §7: what macros expand to, in names and in explanations.
@Suite struct SPFMacroTests {
    struct Row: Sendable, CustomTestStringConvertible {
        let text: String
        let expected: String
        var client = "192.0.2.3"
        var sender = "strong-bad@email.example.com"
        var helo = "mail.example.net"

        init(
            _ text: String, _ expected: String, client: String = "192.0.2.3",
            sender: String = "strong-bad@email.example.com", helo: String = "mail.example.net"
        ) {
            self.text = text
            self.expected = expected
            self.client = client
            self.sender = sender
            self.helo = helo
        }
        var testDescription: String { "\(text.prefix(60)) \(client) \(sender.prefix(60))" }
    }

    static let six = "2001:db8::cb01"
    static let nibbles = "2.0.0.1.0.d.b.8.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.c.b.0.1"

    static let texts: [Row] = [
        // §7.2: letters
        Row("%{s}", "strong-bad@email.example.com"), Row("%{l}", "strong-bad"), Row("%{o}", "email.example.com"),
        Row("%{d}", "email.example.com"), Row("%{i}", "192.0.2.3"), Row("%{v}", "in-addr"),
        Row("%{h}", "mail.example.net"),
        Row("%{c}", "192.0.2.3"), Row("%{r}", "mx.receiver.example"), Row("%{t}", "1700000000"),
        Row("%{i}", nibbles, client: six), Row("%{c}", "2001:db8::cb01", client: six), Row("%{v}", "ip6", client: six),
        Row("%{i}", "192.0.2.3", client: "::ffff:192.0.2.3"), Row("%{v}", "in-addr", client: "::ffff:192.0.2.3"),
        Row("%{s}", "postmaster@email.example.com", sender: "@email.example.com"),
        Row("%{l}", "postmaster", sender: "email.example.com"),
        // §7.3: parts, reversal, delimiters
        Row("%{d4}", "email.example.com"), Row("%{d3}", "email.example.com"), Row("%{d2}", "example.com"),
        Row("%{d1}", "com"), Row("%{dr}", "com.example.email"), Row("%{d2r}", "example.email"),
        Row("%{d1r}", "email"), Row("%{d128}", "email.example.com"), Row("%{d01}", "com"),
        Row("%{d123456789012345678901234567890}", "email.example.com"), Row("%{l-}", "strong.bad"),
        Row("%{lr}", "strong-bad"), Row("%{lr-}", "bad.strong"), Row("%{l1r-}", "strong"), Row("%{l1-}", "bad"),
        Row("%{ir}", "3.2.0.192"), Row("%{i1}", "3"), Row("%{i2r}", "0.192"), Row("%{DR}", "com.example.email"),
        Row("%{o-.}", "email.example.com"), Row("%{l+}", "strong-bad"),
        Row("%{l2r-+}", "bar.foo", sender: "foo-bar+zip@email.example.com", helo: "x"),
        Row("%{l+-,/_=.}", "a.b.c.d.e.f.g.h", sender: "a+b-c,d/e_f=g.h@email.example.com"),
        Row("%{l-}", "a..b.", sender: "a--b-@email.example.com"),
        Row("%{lr-}", ".b..a", sender: "a--b-@email.example.com"),
        Row("%{l2-}", "b.", sender: "a--b-@email.example.com"), Row("%{l}", "a--b-", sender: "a--b-@email.example.com"),
        Row("%{s1@}x", "x"), Row("%{ir}", String(nibbles.reversed()), client: six),
        // §7.3: capitals escape
        Row("%{L}", "strong-bad"), Row("%{S}", "strong-bad%40email.example.com"),
        Row("%{C}", "2001%3Adb8%3A%3Acb01", client: six),
        Row("%{L}", "~jack%26jill%3Dup-a_b3.c", sender: "~jack&jill=up-a_b3.c@email.example.com"),
        Row("%{L}", "%22a%20b%22", sender: "\"a b\"@email.example.com"),
        Row("%{l}", "\"a b\"", sender: "\"a b\"@email.example.com"),
        Row("%{L}", "100%25", sender: "100%@email.example.com"), Row("%{l}", "100%", sender: "100%@email.example.com"),
        Row("%{LR-}", "bad.strong"), Row("%{L}", "j%C3%B6rg", sender: "j\u{f6}rg@email.example.com"),
        Row("%{l}", "%{d}", sender: "%{d}@email.example.com"), Row("%{H}", "a%20b%28", helo: "a b("),
        // §7.1: literals
        Row("%%", "%"), Row("%_", " "), Row("%-", "%20"), Row("100%% of %_%{d1}%-", "100% of  com%20"),
        Row("two words,   and more", "two words,   and more"), Row("%{l}%{l}", "strong-badstrong-bad"),
        Row("x{y}", "x{y}"),
        Row(
            "see http://%{d}/why?i=%{C}&s=%{S}.",
            "see http://email.example.com/why?i=192.0.2.3&s=strong-bad%40email.example.com."),
    ]

    /// `%{s1@}` is no macro: `@` is no delimiter; that explanation is void.
    @Test(arguments: texts) func explanationsExpand(_ row: Row) {
        let domain = "email.example.com"
        let zone = SPFZone(
            """
            \(domain) TXT v=spf1 -all exp=why.\(domain)
            why.\(domain) TXT \(row.text)
            """)
        let result = SPFCase(client: row.client, sender: row.sender, helo: row.helo).run(zone).result
        #expect(result.level == .fail)
        if row.text.contains("@") {
            #expect(result.explainer == nil)
        } else {
            #expect(result.explanation == row.expected)
        }
    }

    static let a63 = String(repeating: "a", count: 63)
    static let b60 = String(repeating: "b", count: 60)

    /// Names that a term leads to; `-`: none.
    static let names: [Row] = [
        Row("%{ir}.%{v}._spf.%{d2}", "3.2.0.192.in-addr._spf.example.com"),
        Row("%{lr-}.lp._spf.%{d2}", "bad.strong.lp._spf.example.com"),
        Row("%{lr-}.lp.%{ir}.%{v}._spf.%{d2}", "bad.strong.lp.3.2.0.192.in-addr._spf.example.com"),
        Row("%{ir}.%{v}.%{l1r-}.lp._spf.%{d2}", "3.2.0.192.in-addr.strong.lp._spf.example.com"),
        Row("%{d2}.trusted-domains.example.net", "example.com.trusted-domains.example.net"),
        Row("%{ir}.%{v}._spf.%{d2}", "\(String(nibbles.reversed())).ip6._spf.example.com", client: six),
        Row("%{d2}.example.", "example.com.example"), Row("%{h}", "mail.example.net", helo: "MAIL.Example.NET."),
        Row("%{h}", "word", helo: "WORD"), Row("%{h}", "[192.0.2.3]", helo: "[192.0.2.3]"), Row("%{h}", "-", helo: ""),
        Row("%{h}.x.example", "-", helo: ""), Row("%{h}.x.example", "-", helo: "a\u{1}b"),
        Row("%{h}.x.example", "-", helo: "a..b"), Row("%{h}.x.example", "-", helo: "a\\.b"),
        Row("%{l}.x.example", "-", sender: "j\u{f6}rg@email.example.com"),
        Row("%{L}.x.example", "j%c3%b6rg.x.example", sender: "j\u{f6}rg@email.example.com"),
        Row("%{l}.x.example", "\"a b\".x.example", sender: "\"a b\"@email.example.com"),
        Row("x%_y.%%.%-.example", "x y.%.%20.example"), Row("%{p}.x.example", "unknown.x.example"),
        // §7.3: names too long lose labels from the left
        Row("%{l}.%{l}.%{l}.%{l}.example", "\(a63).\(a63).\(a63).example", sender: "\(a63)@email.example.com"),
        Row("%{l}.\(b60).%{l}.%{l}", "\(a63).\(b60).\(a63).\(a63)", sender: "\(a63)@email.example.com", helo: "252"),
        Row("b%{l}", "-", sender: "\(a63)@email.example.com"),
        Row("x.%{l}.\(b60).%{l}.%{l}", "\(a63).\(b60).\(a63).\(a63)", sender: "\(a63)@email.example.com"),
        Row("%{l}.\(b60)b.%{l}.%{l}", "\(a63).\(b60)b.\(a63).\(a63)", sender: "\(a63)@email.example.com", helo: "253"),
        Row("%{l}.\(b60)bb.%{l}.%{l}", "\(b60)bb.\(a63).\(a63)", sender: "\(a63)@email.example.com", helo: "254"),
        Row("%{l}.\(b60)b.%{l}.xx.example.", "\(a63).\(b60)b.\(a63).xx.example", sender: "\(a63)@email.example.com"),
        Row(
            "x%{l}.\(b60)b.%{l}.\(a63).", "\(b60)b.\(a63).\(a63)", sender: "\(a63)@email.example.com",
            helo: "a dot more"),
        Row("%{l}.x.example", "x.example", sender: "\(String(repeating: "c", count: 300))@email.example.com"),
        Row("%{l}.x.example", "-", sender: "\(String(repeating: "c", count: 64))@email.example.com"),
        Row("%{l}%{l}%{l}%{l}%{l}", "-", sender: "\(a63)@email.example.com"),
        Row(
            "%{l}.x.example", "\(String(repeating: "d.", count: 122))x.example",
            sender: "\(String(repeating: "d.", count: 400))d@email.example.com"),
    ]

    @Test(arguments: names) func namesExpand(_ row: Row) {
        let zone = SPFZone("email.example.com TXT v=spf1 exists:\(row.text) -all")
        let run = SPFCase(client: row.client, sender: row.sender, helo: row.helo).run(zone)
        #expect(run.result.level == .fail)
        let asked = run.rounds.joined().filter { $0.type == .a }.map(\.name)
        #expect(asked == (row.expected == "-" ? [] : [row.expected]))
    }

    static let validated = SPFZone(
        """
        p.example TXT v=spf1 -all exp=why.example
        why.example TXT from %{p}, parts %{p2r}, escaped %{P}
        sub.p.example TXT v=spf1 -all exp=why.example
        list.example TXT v=spf1 exists:%{p}.ok.example -all
        host.p.example.ok.example A 127.0.0.2
        1.2.0.192.in-addr.arpa PTR host.p.example
        host.p.example A 192.0.2.1
        2.2.0.192.in-addr.arpa PTR liar.p.example
        liar.p.example A 192.0.2.1
        3.2.0.192.in-addr.arpa PTR z.other.example
        3.2.0.192.in-addr.arpa PTR b.p.example
        3.2.0.192.in-addr.arpa PTR sub.p.example
        3.2.0.192.in-addr.arpa PTR p.example
        z.other.example A 192.0.2.3
        b.p.example A 192.0.2.3
        sub.p.example A 192.0.2.3
        p.example A 192.0.2.3
        4.2.0.192.in-addr.arpa FAIL
        5.2.0.192.in-addr.arpa PTR z.other.example
        z.other.example A 192.0.2.5
        6.2.0.192.in-addr.arpa PTR broken.example
        6.2.0.192.in-addr.arpa PTR y.other.example
        broken.example FAIL
        y.other.example A 192.0.2.6
        """)

    static let validatedRows: [SPFRow] = [
        SPFRow(
            "p, below the domain", "192.0.2.1", "u@p.example", .fail,
            explanation: "from host.p.example, parts p.host, escaped host.p.example"),
        SPFRow(
            "p, name does not have the address", "192.0.2.2", "u@p.example", .fail,
            explanation: "from unknown, parts unknown, escaped unknown"),
        SPFRow(
            "p, the domain itself first", "192.0.2.3", "u@p.example", .fail,
            explanation: "from p.example, parts example.p, escaped p.example"),
        SPFRow(
            "p, another domain itself first", "192.0.2.3", "u@sub.p.example", .fail,
            explanation: "from sub.p.example, parts p.sub, escaped sub.p.example"),
        SPFRow(
            "p, DNS trouble", "192.0.2.4", "u@p.example", .fail,
            explanation: "from unknown, parts unknown, escaped unknown"),
        SPFRow(
            "p, any name at last", "192.0.2.5", "u@p.example", .fail,
            explanation: "from z.other.example, parts other.z, escaped z.other.example"),
        SPFRow(
            "p, a name in trouble is skipped", "192.0.2.6", "u@p.example", .fail,
            explanation: "from y.other.example, parts other.y, escaped y.other.example"),
        SPFRow(
            "p, no name", "192.0.2.7", "u@p.example", .fail, explanation: "from unknown, parts unknown, escaped unknown"
        ),
        SPFRow("p in a name", "192.0.2.1", "u@list.example", .pass, rounds: 4),
        SPFRow("p in a name, unknown", "192.0.2.7", "u@list.example", .fail, rounds: 3),
    ]

    @Test(arguments: validatedRows) func validatedNameExpands(_ row: SPFRow) { row.check(Self.validated) }

    @Test func receiverIsUnknownWithoutAName() throws {
        let zone = SPFZone("d.example TXT v=spf1 -all exp=why.example\nwhy.example TXT by %{r}")
        let check = SPFCheck(
            client: .v4(0xc000_0201), helo: "h.example", sender: "u@d.example", receiver: "", facts: zone)
        #expect(try check.run().explanation == "by unknown")
    }
}
