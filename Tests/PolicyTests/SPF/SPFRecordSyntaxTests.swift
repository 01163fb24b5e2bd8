import Policy
import Testing

/// The grammar of RFC 7208 §12, term by term.
@Suite struct SPFRecordSyntaxTests {
    struct Row: Sendable, CustomTestStringConvertible {
        let terms: String
        /// `nil`: valid.
        let reason: SPFSyntaxError.Reason?
        init(_ terms: String, _ reason: SPFSyntaxError.Reason? = nil) {
            self.terms = terms
            self.reason = reason
        }
        var testDescription: String { "\(terms.prefix(60)): \(reason?.rawValue ?? "valid")" }
    }

    static let valid: [Row] = [
        Row(""), Row(" "), Row("   "),
        // §4.6.1, §4.6.2: terms, qualifiers, case
        Row("all"), Row("+all"), Row("-all"), Row("~all"), Row("?all"), Row("ALL"), Row("-aLL   "), Row("   a   mx  "),
        // §5.1, §5.2
        Row("all all -all"), Row("include:example.org"), Row("-InClUdE:example.org"), Row("include:example.org."),
        Row("include:_spf.%{d}"), Row("include:%{d}"), Row("?include:%{ir}.%{v}.example.org"),
        // §5.3, §5.4
        Row("a"), Row("a:example.org"), Row("a/0"), Row("a/32"), Row("a//0"), Row("a//128"), Row("a/24//64"),
        Row("a:example.org/24"), Row("a:example.org//64"), Row("a:example.org/8//9"), Row("a:%{d}/24"),
        Row("a:odd:label/with.example.org"), Row("a:odd/24.example.org/24"), Row("a:-x.example.org"),
        Row("a:_x._y.example.org"), Row("a:example.xn--p1ai"), Row("a:example.1a"), Row("a:example.a1"),
        Row("a:example.1-1"), Row("a:x%%"), Row("a:x%_"), Row("a:x%-"), Row("a:x%{d}"), Row("a:..org"), Row("a:.org"),
        Row("mx"), Row("MX/24"), Row("mx:example.org//48"), Row("+mx:example.org/0//0"),
        // §5.5, §5.7
        Row("ptr"), Row("ptr:example.org"), Row("exists:%{i}._spf.%{d2}"), Row("exists:example.org"),
        // §5.6
        Row("ip4:192.0.2.1"), Row("ip4:192.0.2.0/24"), Row("ip4:0.0.0.0/0"), Row("ip4:255.255.255.255/32"),
        Row("ip6:2001:db8::1"), Row("ip6:2001:db8::/32"), Row("ip6:::/0"), Row("ip6:::1/128"),
        Row("ip6:::ffff:192.0.2.1/96"), Row("ip6:1:2:3:4:5:6:7:8"), Row("ip6:1:2:3:4:5:6:192.0.2.1"),
        Row("IP6:2001:DB8::A"),
        // §6, §6.1, §6.2
        Row("redirect=example.org"), Row("REDIRECT=_spf.%{d}"), Row("exp=why.example.org"), Row("exp=%{d}"),
        Row("redirect=a.example.org exp=b.example.org -all"), Row("exp=b.example.org mx redirect=a.example.org"),
        Row("moo=cow"), Row("moo="), Row("m.o-o_1=%{d}/x:y"), Row("a=b"), Row("all=x"), Row("ip4=192.0.2.1"),
        Row("default=pass"), Row("x=%{c}%{r}%{t}"), Row("x=%%%_%-"), Row("op=auth rr=100"),
        // §7.1
        Row("exists:%{s}.example.org"), Row("exists:%{l}.example.org"), Row("exists:%{o}.example.org"),
        Row("exists:%{p}.example.org"), Row("exists:%{v}.example.org"), Row("exists:%{h}.example.org"),
        Row("exists:%{L}.example.org"), Row("exists:%{l1r-+,/_=.}.example.org"), Row("exists:%{d127}"),
        Row("exists:%{d99999999999999999999999}"), Row("exists:%{d01R}"), Row("exists:%{lr-}"), Row("exists:%{l-}"),
    ]

    static let invalid: [Row] = [
        // §4.6.1
        Row("moo", .unknownMechanism), Row("-moo", .unknownMechanism), Row("+", .unknownMechanism),
        Row("-", .unknownMechanism), Row("a- mx", .unknownMechanism), Row("--all", .unknownMechanism),
        Row("!all", .unknownMechanism), Row("ip5:192.0.2.1", .unknownMechanism), Row("all.", .unknownMechanism),
        Row("-all -moo", .unknownMechanism), Row("+all ip4:192.0.2.300", .address), Row(":", .unknownMechanism),
        Row("/24", .unknownMechanism), Row("a\tmx", .unknownMechanism), Row("a\u{a0}mx", .unknownMechanism),
        Row("\u{201c}all\u{201d}", .unknownMechanism), Row("v=spf1 all.", .unknownMechanism),
        Row("redirect:example.org", .unknownMechanism), Row("exp:example.org", .unknownMechanism),
        Row("_moo=x", .modifierName), Row("=all", .modifierName), Row("1up=x", .modifierName),
        Row("-exp=example.org", .modifierName), Row("+moo=x", .unknownMechanism),
        Row("?redirect=example.org", .unknownMechanism),
        Row("moo.cow/x=y", .unknownMechanism), Row("moo:x=y", .unknownMechanism),
        // §5.1
        Row("all:example.org", .unexpectedArgument), Row("-all/8", .unexpectedArgument),
        Row("all:", .unexpectedArgument),
        // §5.2, §5.7
        Row("include", .missingArgument), Row("include:", .domain), Row("include/24", .missingArgument),
        Row("include:example.org/24", .domain), Row("exists", .missingArgument), Row("exists:", .domain),
        Row("exists:example.org/24", .domain), Row("exists:%{i}/24", .domain), Row("include:org", .domain),
        // §5.3, §5.4
        Row("a:", .domain), Row("a/", .prefixLength), Row("a//", .prefixLength), Row("a/33", .prefixLength),
        Row("a//129", .prefixLength), Row("a/024", .prefixLength), Row("a/00", .prefixLength),
        Row("a/-1", .prefixLength),
        Row("a/24/64", .prefixLength), Row("a//64/24", .prefixLength), Row("a///64", .prefixLength),
        Row("a/24//", .prefixLength), Row("a/9999999999999999999", .prefixLength), Row("a/2a", .prefixLength),
        Row("a:/24", .domain), Row("a:museum", .domain), Row("a:museum.", .domain), Row("a:example.org..", .domain),
        Row("a:192.0.2.1", .domain), Row("a:192.0.2.1/24", .domain), Row("a:example.123", .domain),
        Row("a:example.-org", .domain), Row("a:example.org-", .domain), Row("a:example.o_g", .domain),
        Row("a:example.org:25", .domain), Row("a:example.org/", .domain), Row("a:%{d}org", .domain),
        Row("a:%{d}.", .domain),
        Row("a:ex\u{e4}mple.org", .character), Row("a:example.org\u{0}", .character), Row("mx:", .domain),
        Row("mx:example.org/33", .prefixLength), Row("mx:example.org//x", .domain), Row("mx:.", .domain),
        Row("mx:example.org\u{7f}", .character),
        // §5.5
        Row("ptr:", .domain), Row("ptr/24", .unexpectedArgument), Row("ptr:example.org/24", .domain),
        // §5.6
        Row("ip4", .missingArgument), Row("ip4:", .address), Row("ip4/24", .missingArgument),
        Row("ip4:1.2.3", .address),
        Row("ip4:1.2.3.4.5", .address), Row("ip4:1.2.3.4:25", .address), Row("ip4:1.2.3.256", .address),
        Row("ip4:1.2.3.04", .address), Row("ip4:1.2.3.4/", .prefixLength), Row("ip4:1.2.3.4/33", .prefixLength),
        Row("ip4:1.2.3.4/032", .prefixLength), Row("ip4:1.2.3.4//32", .prefixLength),
        Row("ip4:1.2.3.4/24/24", .prefixLength), Row("ip4:2001:db8::1", .address), Row("ip4:%{i}", .address),
        Row("ip4:example.org", .address), Row("ip4:1.2.3.4/+8", .prefixLength), Row("ip4: 1.2.3.4", .address),
        Row("ip6", .missingArgument), Row("ip6:", .address), Row("ip6::1:2", .address),
        Row("ip6:::1/129", .prefixLength),
        Row("ip6:::1//64", .prefixLength), Row("ip6:1::2::3", .address), Row("ip6:192.0.2.1", .address),
        Row("ip6:[::1]", .address), Row("ip6:fe80::1%eth0", .address), Row("ip6:12345::", .address),
        Row("ip6:::1/0128", .prefixLength), Row("ip6:1:2:3:4:5:6:7:8:9", .address),
        // §6
        Row("redirect=a.example.org redirect=a.example.org", .repeatedModifier),
        Row("exp=a.example.org -all EXP=b.example.org", .repeatedModifier), Row("redirect=", .domain),
        Row("exp=", .domain),
        Row("redirect=org", .domain), Row("exp=-all", .domain), Row("redirect=%{r}.example.org", .macro),
        Row("exp=%{c}.example.org", .macro), Row("moo=%", .macro), Row("moo=%{x}", .macro),
        Row("moo=\u{e9}", .character),
        // §7.1, §7.2
        Row("exists:%(i).example.org", .macro), Row("exists:%.example.org", .macro), Row("exists:example.org%", .macro),
        Row("exists:%{}.example.org", .macro), Row("exists:%{a}.example.org", .macro), Row("exists:%{i", .macro),
        Row("exists:%{ir-}%{.example.org", .macro), Row("exists:%{l0}.example.org", .macro),
        Row("exists:%{l00r}.example.org", .macro), Row("exists:%{lr2}.example.org", .macro),
        Row("exists:%{l2rr}.example.org", .macro), Row("exists:%{l!}.example.org", .macro),
        Row("exists:%{ll}.example.org", .macro), Row("exists:%{c}.example.org", .macro),
        Row("exists:%{r}.example.org", .macro), Row("exists:%{T}.example.org", .macro),
        Row("exists:%{l-1}.example.org", .macro), Row("exists:%{%{l}}.example.org", .macro),
    ]

    @Test(arguments: valid) func recordIsValid(_ row: Row) throws {
        let record = try SPFRecord(parsing: Array("v=spf1 \(row.terms)".utf8))
        let words = row.terms.utf8.split(separator: 0x20).filter {
            !$0.contains(UInt8(ascii: "=")) || $0.contains(0x7b)
        }
        #expect(record.directives.count <= words.count)
        // Trailing spaces mean nothing.
        #expect(try SPFRecord(parsing: Array("V=SpF1  \(row.terms)  ".utf8)) == record)
    }

    @Test(arguments: invalid) func recordIsVoid(_ row: Row) {
        for terms in [row.terms, "+all \(row.terms)", "\(row.terms) -all"] {
            do {
                _ = try SPFRecord(parsing: Array("v=spf1 \(terms)".utf8))
                Issue.record("valid: \(terms)")
            } catch {
                #expect(error.reason == row.reason)
                #expect("\(error)".utf8.allSatisfy { (0x20...0x7e).contains($0) })
            }
        }
    }

    /// RFC 7208 §4.5.
    @Test(arguments: [
        ("v=spf1", true), ("v=spf1 ", true), ("V=SPF1 -all", true), ("v=spf10", false), ("v=spf1\t-all", false),
        ("v=spf1,-all", false), (" v=spf1", false), ("v=spf", false), ("", false), ("v=spf2 -all", false),
        ("spf2.0/mfrom -all", false), ("v= spf1", false), ("\u{feff}v=spf1 -all", false), ("\"v=spf1 -all\"", false),
    ])
    func versionSelectsRecords(_ text: String, _ isRecord: Bool) {
        #expect(SPFRecord.hasVersion(Array(text.utf8)) == isRecord)
    }
}
