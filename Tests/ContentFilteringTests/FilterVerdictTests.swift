import ContentFiltering
import MailModel
import Testing

@Suite("Verdicts of content filters")
struct FilterVerdictTests {
    /// The man page's examples, and contentfilter.md §3 to §5.
    @Test(
        "a result line is read, and becomes a reply",
        arguments: [
            (
                "-1 550 5.7.1 negatives are condemned into rejection",
                "550 5.7.1 Content-Policy reject msg: negatives are condemned into rejection; 7"
            ),
            ("0 250 2.6.0 zero is ok! gladly accepted", "250 2.6.0 zero is ok! gladly accepted; 7"),
            (
                "1 550 5.7.1 positives are sent into the freezer",
                "550 5.7.1 Content-Policy reject msg: positives are sent into the freezer; 7"
            ),
            ("-1", "550 5.7.1 Content-Policy reject msg: rejected, no further explanations; 7"),
            (
                "-1 250 2.7.1 Glad to see some spam, immediately destroyed :)",
                "250 2.7.1 Glad to see some spam, immediately destroyed :); 7"
            ),
            ("0", nil), ("0 ", nil), ("00", nil), ("-0", nil),
            ("0 250 2.6.0 Message OK!", "250 2.6.0 Message OK!; 7"),
            ("1", "250 2.7.1 Content-Policy accept-into-freezer-1 msg: accepted into freezer, no explanations; 7"),
            ("1 550 5.7.1 That is spam, rejected!", "550 5.7.1 Content-Policy reject msg: That is spam, rejected!; 7"),
            ("-1 spam", "550 5.7.1 Content-Policy reject msg: spam; 7"),
            ("-12 554 spam", "554 5.7.1 Content-Policy reject msg: spam; 7"),
            ("-1 451 come again", "451 4.7.1 Content-Policy reject msg: come again; 7"),
            ("-1 451 4.3.2 come again", "451 4.3.2 Content-Policy reject msg: come again; 7"),
            ("-1 550 2.1.5 of another class", "550 5.7.1 Content-Policy reject msg: of another class; 7"),
            ("-1 550", "550 5.7.1 Content-Policy reject msg: rejected, no further explanations; 7"),
            ("-1 250", "250 2.7.1 rejected, no further explanations; 7"),
            ("0 fine", "250 2.0.0 fine; 7"), ("0 550 odd", "550 5.7.1 Content-Policy reject msg: odd; 7"),
            ("0 251 2.1.5 elsewhere", "251 2.1.5 elsewhere; 7"),
            ("3 250 2.6.0 kept", "250 2.6.0 Content-Policy accept-into-freezer-3 msg: kept; 7"),
            ("+2", "250 2.7.1 Content-Policy accept-into-freezer-2 msg: accepted into freezer, no explanations; 7"),
            ("-1 421 4.7.0 bye", "451 4.7.0 Content-Policy reject msg: bye; 7"),
            ("-1 354 go on", "550 5.7.1 Content-Policy reject msg: 354 go on; 7"),
            ("-1 5500 no code", "550 5.7.1 Content-Policy reject msg: 5500 no code; 7"),
            ("-1 550x no code", "550 5.7.1 Content-Policy reject msg: 550x no code; 7"),
            ("-1 5.7.1 no code before it", "550 5.7.1 Content-Policy reject msg: 5.7.1 no code before it; 7"),
            ("-1 550 5.7.1  blanks  inside ", "550 5.7.1 Content-Policy reject msg: blanks  inside; 7"),
            ("-1\t550\t5.7.1\ttabs", "550 5.7.1 Content-Policy reject msg: tabs; 7"),
            (
                "-1 550 5.7.1 line end of another system\r",
                "550 5.7.1 Content-Policy reject msg: line end of another system; 7"
            ),
            ("-1 550 5.7.1 grüße", "550 5.7.1 Content-Policy reject msg: gr????e; 7"),
            ("-1 550 5.7.1 a\u{7}b\u{0}c\u{1b}[2J", "550 5.7.1 Content-Policy reject msg: a b c [2J; 7"),
        ] as [(String, String?)])
    func single(line: String, reply: String?) throws {
        let verdict = try #require(FilterVerdict(line: Array(line.utf8)[...]))
        #expect(verdict.reply(id: "7")?.summary == reply)
        #expect(verdict.reply(id: "7")?.lines.count ?? 1 == 1)
    }

    @Test(
        "CR makes a reply of several lines, with its own conclusion",
        arguments: [
            (
                "-1 550 5.7.1 a\rb", 550,
                ["Content-Policy msg: a; 7", "msg: b", "Content-Policy analysis rejected this message"]
            ),
            (
                "0 250 2.6.0 a\rb\rc", 250,
                ["Content-Policy msg: a; 7", "msg: b", "msg: c", "Content-Policy accepted this message; 7"]
            ),
            (
                "2 a\r\r b ", 250,
                ["Content-Policy msg: a; 7", "msg: b", "Content-Policy accepted this message into freezer-2; 7"]
            ),
        ])
    func multiple(line: String, code: Int, lines: [String]) throws {
        let reply = try #require(FilterVerdict(line: Array(line.utf8)[...])?.reply(id: "7"))
        #expect(reply.code == code)
        #expect(reply.lines == lines)
    }

    @Test("a text has at most 17 lines of 400 octets")
    func bounds() throws {
        let text = (0..<40).map { "\($0)" + String(repeating: "x", count: 1000) }.joined(separator: "\r")
        let verdict = try #require(FilterVerdict(line: Array("-1 \(text)".utf8)[...]))
        #expect(verdict.lines.count == 17)
        #expect(verdict.lines.allSatisfy { $0.utf8.count == 400 })
    }

    @Test(
        "what does not begin with a signed integer is no result",
        arguments: [
            "", " ", "ok", "-", "+", "--1", "-x", "1x", "1.5", "-1550 x y".replacing("-1550 x", with: "x1"), " 0", "0,",
            "12345678901 x", "#hungry", "#",
        ])
    func none(line: String) { #expect(FilterVerdict(line: Array(line.utf8)[...]) == nil) }

    @Test(
        "dispositions",
        arguments: [
            ("-1", .refuse), ("-999 x", .refuse), ("0", .accept), ("-0", .accept), ("7", .freeze(7)),
        ] as [(String, FilterVerdict.Disposition)])
    func dispositions(line: String, expected: FilterVerdict.Disposition) {
        #expect(FilterVerdict(line: Array(line.utf8)[...])?.disposition == expected)
    }
}
