import Policy
import Testing

/// RFC 7208 §6: redirect, exp, and modifiers that nobody knows.
@Suite struct SPFModifierTests {
    static let long = String(repeating: "0123456789", count: 44)

    static let zone = SPFZone(
        """
        r.example TXT v=spf1 ip4:192.0.2.1 redirect=target.example
        target.example TXT v=spf1 ip4:192.0.2.2 -all exp=target-why.example
        target-why.example TXT the target says no
        why.example TXT the first says no
        first.example TXT v=spf1 redirect=target.example ip4:192.0.2.1
        all.example TXT v=spf1 redirect=target.example ?all
        all-bad.example TXT v=spf1 ?all redirect=nowhere.example
        r-void.example TXT v=spf1 redirect=nowhere.example
        r-none.example TXT v=spf1 redirect=a.example
        a.example A 192.0.2.1
        r-bad.example TXT v=spf1 redirect=bad.example
        bad.example TXT v=spf1 moo
        r-fail.example TXT v=spf1 redirect=broken.example
        broken.example FAIL
        r-word.example TXT v=spf1 redirect=%{h}
        r-long.example TXT v=spf1 redirect=\(String(repeating: "z", count: 64)).example
        r-neutral.example TXT v=spf1 redirect=neutral.example
        neutral.example TXT v=spf1 ip4:10.0.0.1
        r-twice.example TXT v=spf1 redirect=r.example
        r-implicit.example TXT v=spf1 redirect=implicit.example
        r-implicit.example A 192.0.2.3
        implicit.example TXT v=spf1 a:%{d} -all
        implicit.example A 192.0.2.4
        r-exp.example TXT v=spf1 exp=why.example redirect=plain.example
        plain.example TXT v=spf1 -all
        r-exp2.example TXT v=spf1 exp=why.example redirect=target.example
        r-macro.example TXT v=spf1 redirect=%{l}.example.
        inc.example TXT v=spf1 include:target.example -all exp=why.example
        inc-none.example TXT v=spf1 include:target.example -all
        inc-minus.example TXT v=spf1 -include:pass.example exp=why.example
        pass.example TXT v=spf1 all exp=target-why.example
        unknown.example TXT v=spf1 moo=cow x-y.z_1=%{d}/: -all tag=
        e.example TXT v=spf1 exp=why.example -all
        e-soft.example TXT v=spf1 exp=why.example ~all
        e-pass.example TXT v=spf1 exp=why.example +all
        e-void.example TXT v=spf1 -all exp=nowhere.example
        e-nodata.example TXT v=spf1 -all exp=a.example
        e-fail.example TXT v=spf1 -all exp=broken.example
        e-two.example TXT v=spf1 -all exp=two.example
        two.example TXT one
        two.example TXT two
        e-empty.example TXT v=spf1 -all exp=nil.example
        nil.example TXT\u{20}
        e-syntax.example TXT v=spf1 -all exp=syntax.example
        syntax.example TXT oh no %{x} no
        e-percent.example TXT v=spf1 -all exp=percent.example
        percent.example TXT 100% sure
        e-octet.example TXT v=spf1 -all exp=octet.example
        octet.example TXT n\\xc3\\xb6
        e-control.example TXT v=spf1 -all exp=control.example
        control.example TXT 550 no\\x0d\\x0a250 yes
        e-name.example TXT v=spf1 -all exp=bad..name.example
        e-long.example TXT v=spf1 -all exp=long.example
        long.example TXT \(long)ten more.. and more
        e-fits.example TXT v=spf1 -all exp=fits.example
        fits.example TXT \(long)ten more..
        e-deep.example TXT v=spf1 -all exp=%{l}.%{d2}
        user.e-deep.example TXT sorry, %{l}
        e-limit.example TXT v=spf1 a:v1.example a:v2.example exp=nowhere.example -all
        """)

    static let rows: [SPFRow] = [
        // §6.1
        SPFRow("redirect is not needed", "192.0.2.1", "u@r.example", .pass, rounds: 1),
        SPFRow("redirect, match", "192.0.2.2", "u@r.example", .pass, rounds: 2),
        SPFRow(
            "redirect, fail and its explanation", "192.0.2.3", "u@r.example", .fail, explanation: "the target says no"),
        SPFRow("redirect works behind all mechanisms", "192.0.2.1", "u@first.example", .pass),
        SPFRow("redirect is void beside all", "192.0.2.2", "u@all.example", .neutral, rounds: 1),
        SPFRow("redirect behind all is void", "192.0.2.2", "u@all-bad.example", .neutral, rounds: 1),
        SPFRow(
            "redirect to nothing", "192.0.2.2", "u@r-void.example", .permError, problem: "redirect of r-void.example"),
        SPFRow("redirect to a name without record", "192.0.2.2", "u@r-none.example", .permError),
        SPFRow("redirect to a broken record", "192.0.2.2", "u@r-bad.example", .permError, problem: "moo"),
        SPFRow("redirect into DNS trouble", "192.0.2.2", "u@r-fail.example", .tempError),
        SPFRow("redirect to a word", "192.0.2.2", "u@r-word.example", .permError, helo: "word"),
        SPFRow("redirect to a malformed name", "192.0.2.2", "u@r-long.example", .permError),
        SPFRow("redirect to neutral", "192.0.2.2", "u@r-neutral.example", .neutral, mechanism: "default"),
        SPFRow("redirect to redirect", "192.0.2.2", "u@r-twice.example", .pass, rounds: 3),
        SPFRow("the domain is the new one", "192.0.2.4", "u@r-implicit.example", .pass),
        SPFRow("the domain is not the old one", "192.0.2.3", "u@r-implicit.example", .fail),
        SPFRow("redirect by macro, final dot", "192.0.2.2", "target@r-macro.example", .pass),
        // §6.2
        SPFRow("exp", "192.0.2.9", "u@e.example", .fail, explanation: "the first says no", rounds: 2),
        SPFRow("exp is not asked for at softfail", "192.0.2.9", "u@e-soft.example", .softfail, rounds: 1),
        SPFRow("nor at pass", "192.0.2.9", "u@e-pass.example", .pass, rounds: 1),
        SPFRow("the first's exp is lost by redirect", "192.0.2.9", "u@r-exp.example", .fail),
        SPFRow("the target's exp holds", "192.0.2.9", "u@r-exp2.example", .fail, explanation: "the target says no"),
        SPFRow("an included exp does not hold", "192.0.2.9", "u@inc.example", .fail, explanation: "the first says no"),
        SPFRow("an included exp does not step in", "192.0.2.9", "u@inc-none.example", .fail),
        SPFRow(
            "a failing include explains itself", "192.0.2.9", "u@inc-minus.example", .fail,
            explanation: "the first says no"),
        SPFRow("exp of no name", "192.0.2.9", "u@e-void.example", .fail),
        SPFRow("exp without text", "192.0.2.9", "u@e-nodata.example", .fail),
        SPFRow("exp in trouble", "192.0.2.9", "u@e-fail.example", .fail),
        SPFRow("exp with two texts", "192.0.2.9", "u@e-two.example", .fail),
        SPFRow("exp with an empty text", "192.0.2.9", "u@e-empty.example", .fail),
        SPFRow("exp with a bad macro", "192.0.2.9", "u@e-syntax.example", .fail),
        SPFRow("exp with a lone percent", "192.0.2.9", "u@e-percent.example", .fail),
        SPFRow("exp outside of US-ASCII", "192.0.2.9", "u@e-octet.example", .fail),
        SPFRow("exp with line ends", "192.0.2.9", "u@e-control.example", .fail),
        SPFRow("exp at a malformed name", "192.0.2.9", "u@e-name.example", .fail, rounds: 1),
        SPFRow("exp too long is cut", "192.0.2.9", "u@e-long.example", .fail, explanation: "\(long)ten mor..."),
        SPFRow("exp that fits", "192.0.2.9", "u@e-fits.example", .fail, explanation: "\(long)ten more.."),
        SPFRow("exp at a name with macros", "192.0.2.9", "user@e-deep.example", .fail, explanation: "sorry, user"),
        SPFRow("exp is no void lookup", "192.0.2.9", "u@e-limit.example", .fail),
        // §6
        SPFRow("unknown modifiers mean nothing", "192.0.2.9", "u@unknown.example", .fail),
    ]

    @Test(arguments: rows) func modifies(_ row: SPFRow) { row.check(Self.zone) }

    @Test func repliesTellWhoseWordsTheyAre() {
        let foreign = SPFCase(client: "192.0.2.9", sender: "u@r.example").run(Self.zone).result
        #expect(foreign.explainer == "target.example")
        #expect(
            foreign.replyLines == [
                "SPF MAIL FROM check of r.example: fail", "The domain target.example explains:", "the target says no",
            ])
        let own = SPFCase(client: "192.0.2.9", sender: "u@plain.example").run(Self.zone).result
        #expect(
            own.replyLines == [
                "SPF MAIL FROM check of plain.example: fail",
                "192.0.2.9 is not allowed to send mail from plain.example",
            ])
        let broken = SPFCase(client: "192.0.2.9", sender: "", helo: "bad.example").run(Self.zone).result
        #expect(
            broken.replyLines == [
                "SPF HELO check of bad.example: permerror", "SPF record of bad.example: \"moo\" is no mechanism",
            ])
        let soft = SPFCase(client: "192.0.2.9", sender: "u@e-soft.example").run(Self.zone).result
        #expect(soft.replyLines == ["SPF MAIL FROM check of e-soft.example: softfail"])
    }
}
