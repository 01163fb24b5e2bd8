import Configuration
import Testing

@Suite struct SMTPServerGlobPatternTests {
    @Test(
        "a pattern matches the whole text, letters in either case",
        arguments: [
            ("*", "", true), ("*", "any.thing", true), ("", "", true), ("", "a", false),
            ("host", "host", true), ("HOST", "host", true), ("host", "hosts", false), ("host", "hos", false),
            ("*.example", "a.b.example", true), ("*.example", "example", false), ("*.example", ".example", true),
            ("a*b*c", "aXXbYYc", true), ("a*b*c", "aXXcYYb", false), ("a**b", "ab", true),
            ("h?st", "host", true), ("h?st", "hst", false), ("?", "", false),
            ("[a-c]x", "bx", true), ("[a-c]x", "dx", false), ("[!a-c]x", "dx", true), ("[^a-c]x", "ax", false),
            ("[]a]", "]", true), ("[a-]", "-", true), ("[a", "[a", true), ("[a", "a", false),
            ("\\[*\\]", "[192.0.2.1]", true), ("\\[*\\]", "192.0.2.1", false), ("\\*", "*", true), ("\\*", "x", false),
            ("a\\", "a\\", true), ("*\u{e9}*", "caf\u{e9}s", true),
        ])
    func match(pattern: String, text: String, expected: Bool) {
        #expect(GlobPattern(pattern).matches(Array(text.utf8)) == expected)
    }

    @Test("many stars against a long text take no exponential time")
    func manyStars() {
        let pattern = GlobPattern(String(repeating: "*a", count: 40) + "b")
        #expect(!pattern.matches(Array(repeating: UInt8(ascii: "a"), count: 5000)))
    }
}
