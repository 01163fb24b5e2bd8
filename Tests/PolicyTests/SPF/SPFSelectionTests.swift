import Policy
import Testing

/// RFC 7208 §2.3, §2.4, §3.3, §4.3–§4.5.
@Suite struct SPFSelectionTests {
    static let longLabel = String(repeating: "x", count: 63)

    static let zone = SPFZone(
        """
        strict.example TXT v=spf1 -all
        open.example TXT v=spf1 +all
        mail.example.net TXT v=spf1 a ~all
        mail.example.net A 192.0.2.25
        \(longLabel).example TXT v=spf1 -all
        why.example TXT v=spf1 -all exp=text.why.example
        text.why.example TXT user %{l} of %{o}, sender %{s}
        empty.example TXT v=spf1
        upper.example TXT V=SPF1 ?ALL
        other.example TXT some words
        other.example TXT google-site-verification=v=spf1
        mixed.example TXT some words
        mixed.example TXT v=spf1 -all
        mixed.example TXT \\xff\\xfe
        glued.example TXT v=spf1mx -all
        version.example TXT v=spf10 +all
        version.example TXT v=spf1 -all
        tab.example TXT v=spf1\\x09-all
        two.example TXT v=spf1 -all
        two.example TXT V=spf1 +all
        twin.example TXT v=spf1 -all
        twin.example TXT v=spf1 -all
        void.example A 192.0.2.1
        broken.example FAIL TXT
        bytes.example TXT v=spf1 -all \\x80
        bom.example TXT \\xef\\xbb\\xbfv=spf1 -all
        blanks.example TXT v=spf1   ip4:192.0.2.0/24     -all   \

        xn--bcher-kva.example TXT v=spf1 -all exp=text.why.example
        _under.score.example TXT v=spf1 -all
        """)

    static let rows: [SPFRow] = [
        SPFRow("a record decides", "192.0.2.1", "u@strict.example", .fail, rounds: 1, mechanism: "-all"),
        SPFRow("the domain's case means nothing", "192.0.2.1", "u@STRICT.Example", .fail),
        SPFRow("a final dot is ignored", "192.0.2.1", "u@strict.example.", .fail),
        SPFRow("a label of 63 octets", "192.0.2.1", "u@\(longLabel).example", .fail),
        SPFRow("a label of 64 octets is malformed", "192.0.2.1", "u@x\(longLabel).example", .none, rounds: 0),
        SPFRow("an empty label is malformed", "192.0.2.1", "u@strict..example", .none, rounds: 0),
        SPFRow("a leading dot is malformed", "192.0.2.1", "u@.strict.example", .none, rounds: 0),
        SPFRow("a domain too long", "192.0.2.1", "u@" + String(repeating: "abcdefg.", count: 40) + "example", .none),
        SPFRow("a single label is none", "192.0.2.1", "u@localhost", .none, rounds: 0),
        SPFRow("a single label with a dot is none", "192.0.2.1", "u@example.", .none, rounds: 0),
        SPFRow("an address literal is none", "192.0.2.1", "u@[192.0.2.1]", .none, rounds: 0),
        SPFRow("an IPv6 literal is none", "192.0.2.1", "u@[IPv6:2001:db8::1.x]", .none, rounds: 0),
        SPFRow("an address as a domain is none", "192.0.2.1", "u@192.0.2.1", .none, rounds: 0),
        SPFRow("an empty domain is none", "192.0.2.1", "u@", .none, rounds: 0),
        SPFRow("a lone at sign is none", "192.0.2.1", "@", .none, rounds: 0),
        SPFRow("an underscore is fine", "192.0.2.1", "u@_under.score.example", .fail),
        SPFRow("a name that does not exist", "192.0.2.1", "u@nowhere.example", .none, problem: "no SPF record"),
        SPFRow("a name without TXT", "192.0.2.1", "u@void.example", .none),
        SPFRow("DNS trouble is temporary", "192.0.2.1", "u@broken.example", .tempError, problem: "SERVFAIL"),
        SPFRow("TXT records of others only", "192.0.2.1", "u@other.example", .none),
        SPFRow("TXT records of others do not matter", "192.0.2.1", "u@mixed.example", .fail),
        SPFRow("the version ends at a space", "192.0.2.1", "u@glued.example", .none),
        SPFRow("another version is another's", "192.0.2.1", "u@version.example", .fail),
        SPFRow("a tab does not end the version", "192.0.2.1", "u@tab.example", .none),
        SPFRow("two records", "192.0.2.1", "u@two.example", .permError, problem: "2 SPF records"),
        SPFRow("the same record twice", "192.0.2.1", "u@twin.example", .permError),
        SPFRow("a record without terms", "192.0.2.1", "u@empty.example", .neutral, mechanism: "default"),
        SPFRow("the version in capitals", "192.0.2.1", "u@upper.example", .neutral, mechanism: "?ALL"),
        SPFRow("octets outside US-ASCII", "192.0.2.1", "u@bytes.example", .permError),
        SPFRow("a byte order mark hides the version", "192.0.2.1", "u@bom.example", .none),
        SPFRow("many spaces, match", "192.0.2.7", "u@blanks.example", .pass),
        SPFRow("many spaces, no match", "198.51.100.7", "u@blanks.example", .fail),
        // Local parts
        SPFRow(
            "a sender with all parts", "192.0.2.1", "u@why.example", .fail,
            explanation: "user u of why.example, sender u@why.example"),
        SPFRow(
            "without a local part it is postmaster", "192.0.2.1", "@why.example", .fail,
            explanation: "user postmaster of why.example, sender postmaster@why.example"),
        SPFRow(
            "without an at sign it is a domain", "192.0.2.1", "why.example", .fail,
            explanation: "user postmaster of why.example, sender postmaster@why.example"),
        SPFRow(
            "the last at sign counts", "192.0.2.1", "\"a@b\"@why.example", .fail,
            explanation: "user \"a@b\" of why.example, sender \"a@b\"@why.example"),
        SPFRow(
            "a U-label is asked for as an A-label", "192.0.2.1", "u@b\u{fc}cher.example", .fail,
            explanation: "user u of xn--bcher-kva.example, sender u@xn--bcher-kva.example"),
        SPFRow("a U-label that is none", "192.0.2.1", "u@\u{85}.example", .none, rounds: 0),
        SPFRow("no UTF-8 in explanations", "192.0.2.1", "j\u{f6}rg@why.example", .fail),
        // The HELO identity and the null sender
        SPFRow("null sender, HELO passes", "192.0.2.25", "", .pass),
        SPFRow("null sender, HELO does not", "192.0.2.26", "", .softfail),
        SPFRow("null sender, HELO without record", "192.0.2.26", "", .none, helo: "void.example"),
        SPFRow("null sender, HELO is a word", "192.0.2.26", "", .none, helo: "OEMCOMPUTER"),
        SPFRow("null sender, HELO is a literal", "192.0.2.26", "", .none, helo: "[192.0.2.26]"),
        SPFRow("null sender, HELO is an address", "192.0.2.26", "", .none, helo: "192.0.2.26"),
        SPFRow("null sender, no HELO", "192.0.2.26", "", .none, helo: ""),
        SPFRow("null sender, HELO is nonsense", "192.0.2.26", "", .none, helo: "a b\\c\u{1}.example\u{1b}"),
        SPFRow(
            "null sender is postmaster", "192.0.2.1", "", .fail, helo: "why.example",
            explanation: "user postmaster of why.example, sender postmaster@why.example"),
        // §5: families
        SPFRow("an IPv6 client", "2001:db8::1", "u@strict.example", .fail),
        SPFRow("a mapped client is IPv4", "::ffff:192.0.2.7", "u@blanks.example", .pass),
    ]

    @Test(arguments: rows) func selects(_ row: SPFRow) { row.check(Self.zone) }

    @Test func identityIsTold() {
        let helo = SPFCase(client: "192.0.2.25", sender: "").run(Self.zone).result
        #expect(helo.identity == .helo && helo.identityDomain == "mail.example.net")
        let sender = SPFCase(client: "192.0.2.25", sender: "u@open.example").run(Self.zone).result
        #expect(sender.identity == .mailFrom && sender.identityDomain == "open.example")
    }
}
