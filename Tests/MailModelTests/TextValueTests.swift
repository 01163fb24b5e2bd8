import MailModel
import Testing

@Suite("Dates") struct CalendarDateTests {
    /// Unix time, and what date(1) says.
    static let known: [(Int64, String, String)] = [
        (0, "Thu, 1 Jan 1970 00:00:00 +0000", "1970-01-01T00:00:00Z"),
        (-1, "Wed, 31 Dec 1969 23:59:59 +0000", "1969-12-31T23:59:59Z"),
        (86_399, "Thu, 1 Jan 1970 23:59:59 +0000", "1970-01-01T23:59:59Z"),
        (-86_400, "Wed, 31 Dec 1969 00:00:00 +0000", "1969-12-31T00:00:00Z"),
        (-86_401, "Tue, 30 Dec 1969 23:59:59 +0000", "1969-12-30T23:59:59Z"),
        (68_169_599, "Mon, 28 Feb 1972 23:59:59 +0000", "1972-02-28T23:59:59Z"),
        (68_169_600, "Tue, 29 Feb 1972 00:00:00 +0000", "1972-02-29T00:00:00Z"),
        (68_256_000, "Wed, 1 Mar 1972 00:00:00 +0000", "1972-03-01T00:00:00Z"),
        (951_782_400, "Tue, 29 Feb 2000 00:00:00 +0000", "2000-02-29T00:00:00Z"),
        (951_868_800, "Wed, 1 Mar 2000 00:00:00 +0000", "2000-03-01T00:00:00Z"),
        (978_307_199, "Sun, 31 Dec 2000 23:59:59 +0000", "2000-12-31T23:59:59Z"),
        (1_709_164_800, "Thu, 29 Feb 2024 00:00:00 +0000", "2024-02-29T00:00:00Z"),
        (1_795_237_801, "Sat, 21 Nov 2026 05:10:01 +0000", "2026-11-21T05:10:01Z"),
        (2_147_483_647, "Tue, 19 Jan 2038 03:14:07 +0000", "2038-01-19T03:14:07Z"),
        (2_147_483_648, "Tue, 19 Jan 2038 03:14:08 +0000", "2038-01-19T03:14:08Z"),
        (4_107_542_399, "Sun, 28 Feb 2100 23:59:59 +0000", "2100-02-28T23:59:59Z"),
        (4_107_542_400, "Mon, 1 Mar 2100 00:00:00 +0000", "2100-03-01T00:00:00Z"),
        (253_402_300_799, "Fri, 31 Dec 9999 23:59:59 +0000", "9999-12-31T23:59:59Z"),
        (-62_135_596_800, "Mon, 1 Jan 0001 00:00:00 +0000", "0001-01-01T00:00:00Z"),
    ]

    @Test("known times have their known dates", arguments: known)
    func dates(time: Int64, rfc5322: String, rfc3339: String) {
        let date = CalendarDate(unixTime: time)
        #expect(date.rfc5322 == rfc5322)
        #expect(date.rfc3339 == rfc3339)
    }

    @Test("mbox lines have a day of two columns")
    func ctime() {
        #expect(CalendarDate(unixTime: 0).ctime == "Thu Jan  1 00:00:00 1970")
        #expect(CalendarDate(unixTime: 1_795_237_801).ctime == "Sat Nov 21 05:10:01 2026")
    }

    @Test("days follow each other, over leap years and centuries")
    func succession() {
        var before = CalendarDate(unixTime: -90_000 * 86400)
        for day in Int64(-89_999)...90_000 {
            let date = CalendarDate(unixTime: day * 86400 + 43_200)
            #expect(date.weekday == (before.weekday + 1) % 7)
            let isNext =
                date.year == before.year && date.month == before.month && date.day == before.day + 1
                || date.day == 1 && before.day >= 28
                    && (date.year == before.year && date.month == before.month + 1
                        || date.month == 1 && before.month == 12 && date.year == before.year + 1)
            if !isNext { Issue.record("\(before.rfc3339) is followed by \(date.rfc3339)") }
            before = date
        }
    }

    @Test("no time stops it", arguments: [Int64.min, .min + 1, .max, -62_135_596_801])
    func extremes(time: Int64) { #expect((0...6).contains(CalendarDate(unixTime: time).weekday)) }
}

@Suite("Header sections") struct HeaderSectionTests {
    struct Row: Sendable, CustomTestStringConvertible {
        let input: String
        /// Names with values.
        let fields: [String]
        /// What stands in front of the end, and behind the start of the body.
        let body: String
        var testDescription: String { input.debugDescription }
    }
    static let rows: [Row] = [
        Row(input: "", fields: [], body: ""),
        Row(input: "A: b\r\n\r\nbody", fields: ["A=b"], body: "body"),
        Row(input: "A: b\n\nbody", fields: ["A=b"], body: "body"),
        Row(input: "A: b\r\nC:d\n\r\n", fields: ["A=b", "C=d"], body: ""),
        Row(input: "A: b", fields: ["A=b"], body: ""),
        Row(input: "A: b\r", fields: ["A=b"], body: ""),
        Row(input: "\r\nbody", fields: [], body: "body"), Row(input: "\nbody", fields: [], body: "body"),
        Row(input: "\r", fields: [], body: ""),
        Row(input: "no field\r\nA: b\r\n", fields: [], body: "no field\r\nA: b\r\n"),
        Row(input: "A: b\r\nno field\r\n\r\nx", fields: ["A=b"], body: "no field\r\n\r\nx"),
        Row(input: "A: b\r\n c\r\n\td\r\n\r\n", fields: ["A=b c\td"], body: ""),
        Row(input: "A:\r\n b\r\n\r\n", fields: ["A=b"], body: ""),
        Row(input: " folded first: x\r\nA: b\r\n", fields: [], body: " folded first: x\r\nA: b\r\n"),
        Row(input: " : x\r\n\r\n", fields: [], body: " : x\r\n\r\n"),
        Row(input: ": x\r\n\r\n", fields: [], body: ": x\r\n\r\n"),
        Row(input: "A : b\r\nC\t: d\r\n\r\n", fields: ["A=b", "C=d"], body: ""),
        Row(input: "A b: c\r\n\r\n", fields: [], body: "A b: c\r\n\r\n"),
        Row(input: "A\u{0}: c\r\n\r\n", fields: [], body: "A\u{0}: c\r\n\r\n"),
        Row(input: "Ä: c\r\n\r\n", fields: [], body: "Ä: c\r\n\r\n"),
        Row(input: "A: \u{0}ü \r\n\r\n", fields: ["A=\u{0}ü"], body: ""),
        Row(input: "A::b\r\n \r\n\r\n", fields: ["A=:b"], body: ""),
        Row(input: "From x Sat Nov\r\nA: b\r\n", fields: [], body: "From x Sat Nov\r\nA: b\r\n"),
        Row(input: "A:\r\n\r\n", fields: ["A="], body: ""),
    ]

    @Test("fields are found and the rest is the body", arguments: rows)
    func reading(row: Row) {
        for padding in ["", "junk"] {
            let octets = Array((padding + row.input).utf8)
            let section = HeaderSection(octets, from: padding.utf8.count)
            #expect(section.fields.map { "\($0.name)=\(section.value($0))" } == row.fields)
            #expect(String(decoding: octets[section.bodyStart...], as: UTF8.self) == row.body)
            // Ranges lie side by side and cover the section.
            var next = padding.utf8.count
            for field in section.fields {
                #expect(field.range.lowerBound == next)
                #expect(field.bodyRange.upperBound == field.range.upperBound)
                next = field.range.upperBound
            }
            #expect(section.end == next)
        }
    }

    @Test("names are found whatever their case")
    func lookup() {
        let section = HeaderSection(
            Array("Received: a\r\nRECEIVED: b\r\nX-[1]: c\r\nX-{1}: d\r\nSubject: \u{e9}\r\n\r\n".utf8))
        #expect(section.count("received") == 2)
        #expect(section.value("rEcEiVeD") == "a")
        #expect(section.value("x-{1}") == "d")
        #expect(section.value("Subject") == "\u{e9}")
        #expect(section.value("missing") == nil)
        #expect(section.first("Receive") == nil)
    }

    @Test("octets that are no UTF-8 become the replacement character in values only")
    func eightBit() {
        let section = HeaderSection([0x41, 0x3a, 0xff, 0x0a, 0x0a])
        #expect(section.value("A") == "\u{fffd}")
        #expect(section.octets[2] == 0xff)
    }

    @Test("a header of a hundred thousand folded lines is read in one pass")
    func huge() {
        let octets = Array(("A: b\r\n" + String(repeating: " c\r\n", count: 100_000) + "B: d\r\n\r\n").utf8)
        let start = ContinuousClock.now
        let section = HeaderSection(octets)
        #expect(section.fields.count == 2)
        #expect(section.value(section.fields[0]).utf8.count == 1 + 200_000)
        #expect(ContinuousClock.now - start < .seconds(5))
    }

    @Test("no octets stop it")
    func random() {
        var random = SeededGenerator(state: 5322)
        let alphabet: [UInt8] = [0x0a, 0x0d, 0x20, 0x09, 0x3a, 0x41, 0x00, 0xff]
        for _ in 0..<20_000 {
            let octets = (0..<Int.random(in: 0...24, using: &random)).map { _ in
                alphabet.randomElement(using: &random) ?? 0
            }
            let section = HeaderSection(octets)
            #expect(section.end <= section.bodyStart && section.bodyStart <= octets.count)
            for field in section.fields { _ = section.value(field) }
        }
    }
}

@Suite("XText and status codes") struct EncodedValueTests {
    @Test(
        "octets are encoded as RFC 3461 asks",
        arguments: [
            ("", ""), ("abc", "abc"), ("a+b=c", "a+2Bb+3Dc"), ("a b", "a+20b"), ("\u{0}\r\n\u{7f}", "+00+0D+0A+7F"),
            ("ü", "+C3+BC"), ("!~", "!~"),
        ])
    func encode(text: String, encoded: String) {
        #expect(XText.encode(text.utf8) == encoded)
        #expect(XText.decode(encoded) == Array(text.utf8))
    }

    @Test("every octet comes back")
    func roundTrip() {
        let all = Array(UInt8.min...UInt8.max)
        let text = XText.encode(all)
        #expect(text.utf8.allSatisfy { (0x21...0x7e).contains($0) && $0 != 0x3d })
        #expect(XText.decode(text) == all)
    }

    @Test(
        "what is no xtext is refused",
        arguments: ["+", "+1", "a+", "+G0", "+0G", "a=b", "a b", "a\n", "\u{7f}", "ü", "+-1", "++41"])
    func refused(text: String) { #expect(XText.decode(text) == nil) }

    @Test(
        "enhanced status codes are read",
        arguments: [("2.0.0", "2.0.0"), ("4.7.26", "4.7.26"), ("5.999.999", "5.999.999"), ("5.01.001", "5.1.1")])
    func status(text: String, written: String) throws {
        let status = try #require(EnhancedStatusCode(text))
        #expect(status.description == written)
        #expect(EnhancedStatusCode(status.description) == status)
    }

    @Test(
        "what is none is refused",
        arguments: [
            "", "5", "5.1", "5.1.", ".1.1", "5..1", "5.1.1.1", "3.1.1", "1.0.0", "6.0.0", "0.0.0", "55.1.1", "5.1000.1",
            "5.1.1000",
            "5.1.-1", "5.+1.1", " 5.1.1", "5.1.1 ", "5.a.1", "٥.1.1", "5.1.\u{301}1",
        ])
    func badStatus(text: String) { #expect(EnhancedStatusCode(text) == nil) }

    @Test("a reply says what kind it is and always has a line")
    func reply() {
        #expect(Reply(250, EnhancedStatusCode(2, 0, 0), ["a", "b"]).summary == "250 2.0.0 a b")
        #expect(Reply(354, nil, [String]()).lines == [""])
        #expect(Reply(354, nil, "go").summary == "354 go")
        #expect(
            Reply(250, nil, "x").isPositive && Reply(450, nil, "x").isPersistentTransient
                && Reply(550, nil, "x").isPermanent)
        #expect(!Reply(450, nil, "x").isPermanent && !Reply(550, nil, "x").isPositive)
    }
}

@Suite("Octets") struct OctetsTests {
    private func octets(_ text: String) -> ArraySlice<UInt8> { Array("··\(text)".utf8)[4...] }

    @Test(
        "numbers are digits only and never overflow",
        arguments: [
            ("0", 0), ("007", 7), ("9223372036854775807", Int.max), ("-1", -1), ("-9223372036854775807", -Int.max),
            ("9223372036854775808", nil), ("18446744073709551616", nil), ("", nil), ("-", nil), ("--1", nil),
            ("+1", nil),
            (" 1", nil), ("1 ", nil), ("1a", nil), ("٣", nil), ("000000000000000000001", nil),
        ] as [(String, Int?)])
    func decimal(text: String, value: Int?) { #expect(Octets.decimal(octets(text)) == value) }

    @Test("unsigned numbers reach to the end of 64 bits")
    func unsigned() {
        #expect(Octets.unsigned(octets("18446744073709551615")) == .max)
        #expect(Octets.unsigned(octets("18446744073709551616")) == nil)
        #expect(Octets.unsigned(octets("99999999999999999999")) == nil)
    }

    @Test(
        "splitting keeps empty parts and the rest behind the limit",
        arguments: [
            ("", 9, [""]), (",", 9, ["", ""]), ("a,,b", 9, ["a", "", "b"]), ("a,b,c", 2, ["a", "b,c"]),
            ("a,b", 1, ["a,b"]),
            ("a,\u{301}b", 9, ["a", "\u{301}b"]),
        ] as [(String, Int, [String])])
    func split(text: String, limit: Int, parts: [String]) {
        #expect(Octets.split(octets(text), at: 0x2c, limit: limit).map(Octets.text) == parts)
    }

    @Test("words are what is between blanks")
    func words() {
        #expect(Octets.words(octets("  a \t b\u{301}  \u{301}c")).map(Octets.text) == ["a", "b\u{301}", "\u{301}c"])
        #expect(Octets.words(octets(" \t")).isEmpty)
    }

    @Test("prefixes are compared with case or without")
    func prefixes() {
        #expect(Octets.hasPrefix(octets("NOTIFY=x"), "NOTIFY="))
        #expect(!Octets.hasPrefix(octets("notify=x"), "NOTIFY="))
        #expect(Octets.hasPrefix(octets("notify=x"), "NOTIFY=", anyCase: true))
        #expect(!Octets.hasPrefix(octets("notify\u{1d}x"), "NOTIFY=", anyCase: true))
        #expect(!Octets.hasPrefix(octets("NOT"), "NOTIFY="))
        #expect(Octets.equal(octets("a"), "a") && !Octets.equal(octets("ab"), "a") && !Octets.equal(octets(""), "a"))
    }

    @Test("cleaning makes controls spaces and nothing else")
    func cleaned() {
        #expect(Octets.cleaned("a\tb\r\nc\u{0}\u{7f}ü") == "a b  c  ü")
        #expect(Octets.cleaned("plain") == "plain")
    }
}
