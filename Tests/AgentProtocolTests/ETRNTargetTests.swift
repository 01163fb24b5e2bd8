import AgentProtocol
import Testing

@Suite("What an ETRN names")
struct ETRNTargetTests {
    @Test(
        "forms of RFC 1985",
        arguments: [
            ("Mail.Example.ORG", .host("mail.example.org")), ("example.org.", .host("example.org")),
            ("[192.0.2.1]", .host("[192.0.2.1]")), ("@Example.org", .domain("example.org")),
            ("#smtp-ETRN", .channel("smtp-etrn")), ("", nil), ("@", nil), ("#", nil), (".", nil), ("a b", nil),
            ("a\u{1}", nil), ("@@a", nil), ("a@b", nil), ("@.a", nil), (String(repeating: "a", count: 321), nil),
        ] as [(String, ETRNTarget?)])
    func parsing(text: String, target: ETRNTarget?) {
        #expect(ETRNTarget(text) == target)
        if let target { #expect(ETRNTarget(target.description) == target) }
    }

    @Test(
        "a host is that host whatever its port and case, a domain is it and all below it",
        arguments: [
            ("a.example", "A.Example", true), ("a.example", "a.example:2525", true),
            ("a.example", "b.a.example", false),
            ("a.example", "xa.example", false), ("[192.0.2.1]", "[192.0.2.1]:25", true),
            ("[192.0.2.1]:25", "[192.0.2.1]:25", true), ("a.example:25", "a.example", false),
            ("[ipv6:2001:db8::1]", "[IPv6:2001:db8::1]", true), ("[ipv6:2001:db8::", "[IPv6:2001:db8::1]", false),
            ("@a.example", "a.example", true), ("@a.example", "B.a.Example:25", true),
            ("@a.example", "xa.example", false),
            ("@a.example", "example", false), ("#ok", "anything", true), ("#okay", "anything", false),
        ])
    func matching(target: String, host: String, expected: Bool) throws {
        #expect(try #require(ETRNTarget(target)).matches(channel: "ok", host: host) == expected)
    }
}
