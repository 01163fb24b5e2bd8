import Policy
import Testing

/// `spf-localpolicy`: terms of the receiver before the `all` of the first record.
@Suite struct SPFLocalPolicyTests {
    static let zone = SPFZone(
        """
        d.example TXT v=spf1 ip4:192.0.2.1 -ip4:192.0.2.2 -all exp=why.example
        why.example TXT sorry
        open.example TXT v=spf1 ip4:192.0.2.1
        r.example TXT v=spf1 redirect=d.example
        i.example TXT v=spf1 include:d.example ~all
        ten.example TXT v=spf1 \(String(repeating: "a:h.example ", count: 10))-all
        h.example A 192.0.2.100
        trusted.example TXT v=spf1 ip4:198.51.100.0/24 ip4:192.0.2.2 -all
        broken.example FAIL
        domain.ok.example TXT none
        d.example.ok.example A 127.0.0.2
        r.example.ok.example A 127.0.0.2
        """)

    static func settings(_ text: String) throws -> SPFSettings {
        var settings = SPFSettings()
        settings.localPolicy = try SPFLocalPolicy(parsing: text)
        return settings
    }

    static let rows: [(policy: String, row: SPFRow)] = [
        (
            "include:trusted.example",
            SPFRow("local match", "198.51.100.1", "u@d.example", .pass, mechanism: "include:trusted.example")
        ),
        (
            "include:trusted.example",
            SPFRow("no local match", "203.0.113.1", "u@d.example", .fail, explanation: "sorry")
        ),
        (
            "include:trusted.example",
            SPFRow("a match of the record comes first", "192.0.2.1", "u@d.example", .pass, rounds: 1)
        ),
        (
            "include:trusted.example",
            SPFRow("a fail of the record before all, too", "192.0.2.2", "u@d.example", .fail, explanation: "sorry")
        ),
        ("include:trusted.example", SPFRow("at the end without all", "198.51.100.1", "u@open.example", .pass)),
        ("include:trusted.example", SPFRow("no match at the end", "203.0.113.1", "u@open.example", .neutral)),
        ("include:trusted.example", SPFRow("before redirect", "198.51.100.1", "u@r.example", .pass)),
        ("exists:%{d}.ok.example", SPFRow("the domain is that of the record", "203.0.113.1", "u@d.example", .pass)),
        (
            "exists:%{d}.ok.example",
            SPFRow("the first record only", "203.0.113.1", "u@r.example", .pass, mechanism: "exists:%{d}.ok.example")
        ),
        (
            "ip4:203.0.113.0/24",
            SPFRow("not in an include", "203.0.113.1", "u@i.example", .pass, mechanism: "ip4:203.0.113.0/24")
        ),
        (
            "a:h.example a:h.example a:h.example",
            SPFRow("its terms do not count", "203.0.113.1", "u@ten.example", .fail)
        ),
        ("a:h.example ip4:203.0.113.1", SPFRow("a record at its limit", "203.0.113.1", "u@ten.example", .pass)),
        ("?ip4:203.0.113.0/24", SPFRow("qualifiers hold", "203.0.113.1", "u@d.example", .neutral)),
        ("-ip4:203.0.113.0/24", SPFRow("a local fail has our explanation", "203.0.113.1", "u@open.example", .fail)),
        ("~all", SPFRow("all", "203.0.113.1", "u@d.example", .softfail, mechanism: "~all")),
        (
            "include:nowhere.example",
            SPFRow("an error is no match", "203.0.113.1", "u@d.example", .fail, explanation: "sorry")
        ),
        (
            "include:nowhere.example ip4:203.0.113.1",
            SPFRow("an error hides nothing", "203.0.113.1", "u@d.example", .pass)
        ),
        ("include:broken.example", SPFRow("DNS trouble is temporary", "203.0.113.1", "u@d.example", .tempError)),
        ("include:broken.example", SPFRow("but not for who passed", "192.0.2.1", "u@d.example", .pass)),
        ("include:trusted.example", SPFRow("no record, no local policy", "198.51.100.1", "u@nothing.example", .none)),
        ("", SPFRow("an empty policy", "203.0.113.1", "u@d.example", .fail, explanation: "sorry")),
    ]

    @Test(arguments: rows.indices) func evaluates(_ index: Int) throws {
        let (policy, row) = Self.rows[index]
        row.check(Self.zone, settings: try Self.settings(policy))
    }

    @Test(arguments: [
        "moo", "redirect=x.example", "a exp=x.example", "x=y", "ip4:1.2.3", "include:", "v=spf1 a", "a,mx",
    ])
    func badTextsAreRefused(_ text: String) {
        #expect(throws: SPFSyntaxError.self) { try SPFLocalPolicy(parsing: text) }
    }
}
