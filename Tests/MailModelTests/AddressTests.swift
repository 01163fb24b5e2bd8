import MailModel
import Testing

/// One path as a client sends it, and what must come of it.
struct PathRow: Sendable, CustomTestStringConvertible {
    enum Outcome: Sendable {
        /// The path as it is written again, and where reading stopped (`nil`: at the end).
        case path(String, end: Int? = nil, route: String? = nil)
        case error(AddressSyntaxError.Kind, at: Int)
    }
    let input: [UInt8]
    let outcome: Outcome
    var options = PathParser.Options()

    init(_ text: String, _ outcome: Outcome, utf8: Bool = false, sloppy: Bool = false) {
        self.init(octets: Array(text.utf8), outcome, utf8: utf8, sloppy: sloppy)
    }
    init(octets: [UInt8], _ outcome: Outcome, utf8: Bool = false, sloppy: Bool = false) {
        input = octets
        self.outcome = outcome
        options = PathParser.Options(allowsUTF8: utf8, isSloppy: sloppy)
    }
    /// Written again as it came.
    static func same(_ text: String, utf8: Bool = false) -> PathRow { PathRow(text, .path(text), utf8: utf8) }
    static func bad(
        _ text: String, _ kind: AddressSyntaxError.Kind, at offset: Int, utf8: Bool = false, sloppy: Bool = false
    ) -> PathRow {
        PathRow(text, .error(kind, at: offset), utf8: utf8, sloppy: sloppy)
    }
    var testDescription: String { String(decoding: input.prefix(60), as: UTF8.self) }
}

private func repeated(_ text: String, _ count: Int) -> String { String(repeating: text, count: count) }

@Suite("Forward paths") struct ForwardPathTests {
    static let valid: [PathRow] =
        [
            "<a@b>", "<alice@example.test>", "<a.b.c@example.test>", "<1@example.test>", "<a@1.example>",
            "<!#$%&'*+-/=?^_`{|}~@example.test>", "<a+b=c@example.test>", "<a@a-b.example>", "<a@a--b.example>",
            "<a@_dmarc.example>", "<a@xn--bcher-kva.example>", "<A.B@EXAMPLE.Test>", "<a@1.2.3.4>",
            "<\" \"@example.test>", "<\"a b\"@example.test>", "<\"a@b\"@example.test>", "<\"a>b\"@example.test>",
            "<\"a\\\"b\"@example.test>", "<\"a\\\\b\"@example.test>", "<\".a\"@example.test>", "<\"a.\"@example.test>",
            "<\"a..b\"@example.test>", "<\"(a)\"@example.test>", "<\"a,b:c;d<e\"@example.test>",
            "<\"[]\"@example.test>",
            "<a@[192.0.2.1]>", "<a@[0.0.0.0]>", "<a@[255.255.255.255]>", "<a@[IPv6:2001:db8::1]>", "<a@[IPv6:::]>",
            "<a@[IPv6:::1]>", "<a@[IPv6:::ffff:192.0.2.1]>", "<a@[X-tag:content]>", "<a@[x1:a.b/c%d]>",
        ].map { .same($0) } + [
            PathRow("<a@b.>", .path("<a@b>")),
            PathRow("<a@[ipv6:2001:DB8::1]>", .path("<a@[IPv6:2001:db8::1]>")),
            PathRow("<a@[IPv6.2001:db8::1]>", .path("<a@[IPv6:2001:db8::1]>")),
            PathRow("<a@[IPv6:1:2:3:4:5:6:192.0.2.1]>", .path("<a@[IPv6:1:2:3:4:5:6:c000:201]>")),
            PathRow("<\"abc\"@example.test>", .path("<abc@example.test>")),
            PathRow("<\"a.b\"@example.test>", .path("<a.b@example.test>")),
            PathRow("<\"\\a\\b\"@example.test>", .path("<ab@example.test>")),
            PathRow("<a\\@b@example.test>", .path("<\"a@b\"@example.test>")),
            PathRow("<a\\ b@example.test>", .path("<\"a b\"@example.test>")),
            PathRow("<a\\.\\.b@example.test>", .path("<\"a..b\"@example.test>")),
            PathRow("<a\\\"b@example.test>", .path("<\"a\\\"b\"@example.test>")),
            PathRow("<@a:c@d>", .path("<c@d>", route: "@a")),
            PathRow("<@a,@b.example:c@d>", .path("<c@d>", route: "@a,@b.example")),
            PathRow("<@a,@b,@c:\"x y\"@d>", .path("<\"x y\"@d>", route: "@a,@b,@c")),
            PathRow("<a@b> SIZE=3", .path("<a@b>", end: 5)),
            PathRow("<a@b>>", .path("<a@b>", end: 5)),
            PathRow("<postmaster>", .path("<postmaster>")), PathRow("<Postmaster>", .path("<postmaster>")),
            PathRow("<POSTMASTER>", .path("<postmaster>")), PathRow("<pOsTmAsTeR> X", .path("<postmaster>", end: 12)),
            .same("<postmaster@example.test>"), .same("<postmasters@example.test>"),
            .same("<\(repeated("a", 255))@b>"), .same("<a@\(repeated("b", 63)).\(repeated("c", 63))>"),
            .same("<a@\(repeated("abc.", 63))abc>"),
        ]

    static let internationalized: [PathRow] = [
        .same("<jürgen@example.test>", utf8: true), .same("<用户@例子.测试>", utf8: true),
        .same("<a@bücher.example>", utf8: true), .same("<\"a ü\"@example.test>", utf8: true),
        .same("<\u{301}a@example.test>", utf8: true), .same("<a\u{301}@\u{65}\u{301}.example>", utf8: true),
        .same("<👩‍👩‍👧@example.test>", utf8: true),
        .same("<a@\(repeated("ж", 40)).example>", utf8: true),
        PathRow("<@bücher.example:a@b>", .path("<a@b>", route: "@bücher.example"), utf8: true),
        .bad("<jürgen@example.test>", .internationalizedNotAllowed, at: 1),
        .bad("<a@bücher.example>", .internationalizedNotAllowed, at: 3),
        .bad("<@bücher.example:a@b>", .internationalizedNotAllowed, at: 2),
        .bad("<\"ü\"@b>", .internationalizedNotAllowed, at: 1),
        .bad("<a@b\u{85}c>", .invalidDomain, at: 3, utf8: true),
        .bad("<a@b\u{a0}c>", .invalidDomain, at: 3, utf8: true),
        .bad("<a@b\u{2028}c>", .invalidDomain, at: 3, utf8: true),
        .bad("<a@\(repeated("ж", 64)).example>", .invalidDomain, at: 3, utf8: true),
        PathRow(octets: [0x3c, 0xff, 0x40, 0x62, 0x3e], .error(.invalidUTF8, at: 1), utf8: true),
        PathRow(octets: [0x3c, 0xc3, 0x40, 0x62, 0x3e], .error(.invalidUTF8, at: 1), utf8: true),
        PathRow(octets: [0x3c, 0xed, 0xa0, 0x80, 0x40, 0x62, 0x3e], .error(.invalidUTF8, at: 1), utf8: true),
        PathRow(octets: [0x3c, 0x61, 0x40, 0xc0, 0xae, 0x3e], .error(.invalidUTF8, at: 3), utf8: true),
        PathRow(octets: [0x3c, 0x40, 0xff, 0x3a, 0x61, 0x40, 0x62, 0x3e], .error(.invalidUTF8, at: 2), utf8: true),
        PathRow(octets: [0x3c, 0x22, 0xe4, 0x22, 0x40, 0x62, 0x3e], .error(.invalidUTF8, at: 1)),
    ]

    static let invalid: [PathRow] = [
        .bad("", .missingOpeningBracket, at: 0), .bad("a@b", .missingOpeningBracket, at: 0),
        .bad(" <a@b>", .missingOpeningBracket, at: 0), .bad("<", .emptyLocalPart, at: 1),
        .bad("<>", .nullPathNotAllowed, at: 1), .bad("<a@b", .missingClosingBracket, at: 4),
        .bad("<a@b ", .missingClosingBracket, at: 4), .bad("<a@b >", .missingClosingBracket, at: 4),
        .bad("<a@[1.2.3.4]x>", .missingClosingBracket, at: 12), .bad("< a@b>", .invalidLocalPart, at: 1),
        .bad("<@>", .invalidSourceRoute, at: 2), .bad("<@a>", .invalidSourceRoute, at: 3),
        .bad("<@a", .invalidSourceRoute, at: 3), .bad("<@a,b:c@d>", .invalidSourceRoute, at: 4),
        .bad("<@a,:c@d>", .invalidSourceRoute, at: 4), .bad("<@-a:c@d>", .invalidSourceRoute, at: 2),
        .bad("<@a b:c@d>", .invalidSourceRoute, at: 2), .bad("<@a:>", .emptyLocalPart, at: 4),
        .bad("<@a:postmaster>", .missingDomain, at: 14), .bad("<a>", .missingDomain, at: 2),
        .bad("<a", .missingDomain, at: 2), .bad("<a@>", .missingDomain, at: 3), .bad("<a@", .missingDomain, at: 3),
        .bad("<\"a\"b@c>", .missingDomain, at: 4), .bad("<.a@b>", .invalidLocalPart, at: 1),
        .bad("<a.@b>", .invalidLocalPart, at: 2), .bad("<a..b@c>", .invalidLocalPart, at: 3),
        .bad("<.@b>", .invalidLocalPart, at: 1), .bad("<a b@c>", .invalidLocalPart, at: 2),
        .bad("<a(c)@b>", .invalidLocalPart, at: 2), .bad("<a,b@c>", .invalidLocalPart, at: 2),
        .bad("<a:b@c>", .invalidLocalPart, at: 2), .bad("<a;b@c>", .invalidLocalPart, at: 2),
        .bad("<a<b@c>", .invalidLocalPart, at: 2), .bad("<a[b]@c>", .invalidLocalPart, at: 2),
        .bad("<a\"b\"@c>", .invalidLocalPart, at: 2), .bad("<a\u{0}b@c>", .invalidLocalPart, at: 2),
        .bad("<a\u{7f}@c>", .invalidLocalPart, at: 2), .bad("<a\tb@c>", .invalidLocalPart, at: 2),
        .bad("<a\\", .invalidLocalPart, at: 3), .bad("<a\\\u{1}@b>", .invalidLocalPart, at: 3),
        .bad("<\"a\u{0}\"@c>", .invalidLocalPart, at: 3), .bad("<\"a\u{9}\"@c>", .invalidLocalPart, at: 3),
        .bad("<\"a\\\u{7f}\"@c>", .invalidLocalPart, at: 4), .bad("<\"a@b>", .unterminatedQuotedString, at: 1),
        .bad("<\"a\\", .unterminatedQuotedString, at: 1), .bad("<\"\"@b>", .emptyLocalPart, at: 1),
        .bad("<\(repeated("a", 256))@b>", .localPartTooLong, at: 1),
        .bad("<\"\(repeated("a", 256))\"@b>", .localPartTooLong, at: 1), .bad("<a@.b>", .invalidDomain, at: 3),
        .bad("<a@b..c>", .invalidDomain, at: 3), .bad("<a@b..>", .invalidDomain, at: 3),
        .bad("<a@.>", .invalidDomain, at: 3), .bad("<a@-b>", .invalidDomain, at: 3),
        .bad("<a@b->", .invalidDomain, at: 3), .bad("<a@b-.c>", .invalidDomain, at: 3),
        .bad("<a@b@c>", .invalidDomain, at: 3), .bad("<a@b,c>", .invalidDomain, at: 3),
        .bad("<a@b/c>", .invalidDomain, at: 3), .bad("<a@b\u{0}>", .invalidDomain, at: 3),
        .bad("<a@\(repeated("b", 64))>", .invalidDomain, at: 3),
        .bad("<a@\(repeated("abcd.", 51))a>", .invalidDomain, at: 3), .bad("<a@[]>", .invalidAddressLiteral, at: 3),
        .bad("<a@[>", .invalidAddressLiteral, at: 3), .bad("<a@[1.2.3]>", .invalidAddressLiteral, at: 3),
        .bad("<a@[1.2.3.256]>", .invalidAddressLiteral, at: 3), .bad("<a@[01.2.3.4]>", .invalidAddressLiteral, at: 3),
        .bad("<a@[1.2.3.4.5]>", .invalidAddressLiteral, at: 3), .bad("<a@[::1]>", .invalidAddressLiteral, at: 3),
        .bad("<a@[IPv6:]>", .invalidAddressLiteral, at: 3), .bad("<a@[IPv6:1::2::3]>", .invalidAddressLiteral, at: 3),
        .bad("<a@[IPv6:fe80::1%eth0]>", .invalidAddressLiteral, at: 3),
        .bad("<a@[tag:]>", .invalidAddressLiteral, at: 3), .bad("<a@[:x]>", .invalidAddressLiteral, at: 3),
        .bad("<a@[tag-:x]>", .invalidAddressLiteral, at: 3), .bad("<a@[tag:a b]>", .invalidAddressLiteral, at: 3),
        .bad("<@\(repeated("aaaaaaa.", 32))b:a@b>", .invalidSourceRoute, at: 2, sloppy: true),
        .bad("<\(repeated("@aaaaaaaaa,", 100))@a:a@b>", .pathTooLong, at: 0),
    ]

    static let sloppy: [PathRow] = [
        PathRow("a@b", .path("<a@b>"), sloppy: true), PathRow(" a@b", .path("<a@b>"), sloppy: true),
        PathRow("a@b SIZE=1", .path("<a@b>", end: 4), sloppy: true), PathRow("< a@b >", .path("<a@b>"), sloppy: true),
        PathRow("<<a@b>>", .path("<a@b>"), sloppy: true), PathRow("<a@b>>", .path("<a@b>"), sloppy: true),
        PathRow("\t<\ta@b\t>", .path("<a@b>"), sloppy: true),
        PathRow("postmaster", .path("<postmaster>"), sloppy: true),
        PathRow("postmaster X=1", .path("<postmaster>", end: 11), sloppy: true),
        PathRow("< Postmaster >", .path("<postmaster>"), sloppy: true),
        .bad("", .emptyLocalPart, at: 0, sloppy: true), .bad("a", .missingDomain, at: 1, sloppy: true),
        .bad("<a@b", .missingClosingBracket, at: 4, sloppy: true),
        .bad("< >", .nullPathNotAllowed, at: 2, sloppy: true),
    ]

    @Test(
        "a path is read, or refused with its reason and place", arguments: valid + internationalized + invalid + sloppy)
    func reading(row: PathRow) throws {
        // The offset counts from the start of the slice, wherever that is in its array.
        for padding in [0, 3] {
            let octets = [UInt8](repeating: 0x20, count: padding) + row.input
            do throws(AddressSyntaxError) {
                let result = try PathParser.forwardPath(octets[padding...], options: row.options)
                guard case .path(let text, let end, let route) = row.outcome else {
                    Issue.record("taken as \(result)")
                    return
                }
                #expect(result.path.description == text)
                #expect(Array(result.path.description.utf8) == Array(text.utf8))
                #expect(result.end - padding == end ?? row.input.count)
                #expect(result.sourceRoute == route)
                let again = try PathParser.forwardPath(Array(text.utf8)[...], options: row.options)
                #expect(again.path == result.path)
            } catch {
                guard case .error(let kind, let offset) = row.outcome else {
                    Issue.record("refused: \(error) at \(error.offset)")
                    return
                }
                #expect(error == AddressSyntaxError(kind, at: offset))
                #expect(!error.description.isEmpty)
            }
        }
    }

    @Test("the tables are as large as they were meant to be")
    func size() { #expect((Self.valid + Self.internationalized + Self.invalid + Self.sloppy).count >= 160) }

    @Test("no prefix of any row stops the parser", arguments: valid + internationalized + invalid + sloppy)
    func prefixes(row: PathRow) {
        for length in 0...min(row.input.count, 300) {
            for sloppy in [false, true] {
                let options = PathParser.Options(allowsUTF8: true, isSloppy: sloppy)
                _ = try? PathParser.forwardPath(row.input[..<length], options: options)
                _ = try? PathParser.reversePath(row.input[..<length], options: options)
            }
        }
    }
}

@Suite("Reverse paths") struct ReversePathTests {
    @Test(
        "the null path is a sender",
        arguments: [("<>", false, 2), ("<> X", false, 2), ("< >", true, 3), ("<<>>", true, 4)])
    func null(text: String, sloppy: Bool, end: Int) throws {
        let result = try PathParser.reversePath(
            Array(text.utf8)[...], options: PathParser.Options(isSloppy: sloppy))
        #expect(result.path == .null)
        #expect(result.end == end)
        #expect(result.path.description == "<>")
        #expect(result.path.mailbox == nil)
    }

    @Test("a mailbox is a sender, a bare postmaster is none")
    func mailbox() throws {
        let result = try PathParser.reversePath(Array("<a@b>".utf8)[...])
        #expect(result.path.mailbox == Mailbox("a@b"))
        #expect(throws: AddressSyntaxError(.missingDomain, at: 11)) {
            try PathParser.reversePath(Array("<postmaster>".utf8)[...])
        }
    }
}

/// SplitMix64: the same rows in every run.
struct SeededGenerator: RandomNumberGenerator {
    var state: UInt64
    mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var value = state
        value = (value ^ (value >> 30)) &* 0xbf58_476d_1ce4_e5b9
        value = (value ^ (value >> 27)) &* 0x94d0_49bb_1331_11eb
        return value ^ (value >> 31)
    }
}

@Suite("Round trips of addresses") struct AddressRoundTripTests {
    private static let scalars: [Unicode.Scalar] =
        (0x20...0x7e).compactMap { Unicode.Scalar($0) } + ["ü", "\u{301}", "用", "\u{1f600}", "\u{85}", "\u{200d}"]

    @Test("what is written is read again as the same value")
    func roundTrip() throws {
        var random = SeededGenerator(state: 5321)
        for _ in 0..<20_000 {
            var local = String.UnicodeScalarView()
            for _ in 0..<Int.random(in: 1...12, using: &random) {
                local.append(Self.scalars.randomElement(using: &random) ?? "a")
            }
            let part = try #require(LocalPart(decoded: String(local)))
            let domain: MailDomain
            switch Int.random(in: 0..<4, using: &random) {
            case 0: domain = .literal(.ip(.v4(UInt32.random(in: 0...(.max), using: &random))))
            case 1:
                // Few bits set: many zero groups, so that the shortening of RFC 5952 is met.
                let high = UInt64.random(in: 0...(.max), using: &random) & UInt64.random(in: 0...(.max), using: &random)
                let masks: [UInt64] = [0, 0xffff, 0xffff_0000_0000, 0xffff_0000_ffff_0000, .max]
                let mask = masks.randomElement(using: &random) ?? 0
                domain = .literal(
                    .ip(.v6(high: high & mask, low: high &* 31 & (masks.randomElement(using: &random) ?? 0))))
            case 2: domain = .literal(.general(tag: "x-1", content: "a:b.c"))
            default:
                domain = .name(
                    try #require(DomainName("mail.bücher-\(Int.random(in: 0...99, using: &random)).example")))
            }
            let mailbox = Mailbox(localPart: part, domain: domain)
            let again = try #require(Mailbox(mailbox.description), "\(mailbox)")
            #expect(again == mailbox)
            let path = "<\(mailbox)> X"
            let result = try PathParser.forwardPath(
                Array(path.utf8)[...], options: PathParser.Options(allowsUTF8: true))
            #expect(result.path == .mailbox(mailbox))
            #expect(result.end == path.utf8.count - 2)
        }
    }

    @Test("a random octet more, less or other never stops the parser")
    func mutations() {
        var random = SeededGenerator(state: 6531)
        let seeds = ForwardPathTests.valid.map(\.input) + ForwardPathTests.internationalized.map(\.input)
        for _ in 0..<50_000 {
            guard var octets = seeds.randomElement(using: &random), octets.count < 100 else { continue }
            for _ in 0..<Int.random(in: 1...3, using: &random) where !octets.isEmpty {
                let index = Int.random(in: 0..<octets.count, using: &random)
                switch Int.random(in: 0..<3, using: &random) {
                case 0: octets[index] = UInt8.random(in: 0...255, using: &random)
                case 1: octets.remove(at: index)
                default: octets.insert(UInt8.random(in: 0...255, using: &random), at: index)
                }
            }
            let options = PathParser.Options(
                allowsUTF8: Bool.random(using: &random), isSloppy: Bool.random(using: &random))
            guard let result = try? PathParser.forwardPath(octets[...], options: options) else { continue }
            #expect(result.end <= octets.count)
            let written = Array(result.path.description.utf8)
            #expect((try? PathParser.forwardPath(written[...], options: options))?.path == result.path)
            #expect(!written.contains { $0 < 0x20 || $0 == 0x7f })
        }
    }
}
