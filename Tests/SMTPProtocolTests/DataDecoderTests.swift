import Testing

@testable import SMTPProtocol

@Suite("DATA framing")
struct DataDecoderTests {
    @Test(
        "CRLF.CRLF ends a message, and stuffed dots are taken out",
        arguments: [
            (".\r\n", ""), ("a\r\n.\r\n", "a\r\n"), ("\r\n.\r\n", "\r\n"), ("..\r\n.\r\n", ".\r\n"),
            ("...\r\n.\r\n", "..\r\n"), (".a\r\n.\r\n", "a\r\n"), ("a.\r\n.\r\n", "a.\r\n"),
            ("a\r\n..\r\nb\r\n..c\r\n.\r\n", "a\r\n.\r\nb\r\n.c\r\n"), (".. \r\n.\r\n", ". \r\n"),
            ("S: x\r\n\r\n\u{fc}\r\n.\r\n", "S: x\r\n\r\n\u{fc}\r\n"),
            ("tab\there\r\n.\r\n", "tab\there\r\n"),
        ])
    func wellFormed(input: String, content: String) {
        for pieces in threeWaySplits(octets(input + "NEXT")) {
            let decoded = decode(pieces)
            #expect(text(decoded.content) == content)
            #expect(text(decoded.rest) == "NEXT")
            #expect(decoded.reportedViolations.isEmpty)
        }
    }

    /// The published ways to smuggle a second message past a server that takes something else for the end.
    static let smuggling: [(String, ContentViolation)] = [
        ("a\n.\n", .bareLineFeed), ("a\n.\r\n", .bareLineFeed), ("a\r\n.\n", .bareLineFeed),
        ("a\r.\r", .bareCarriageReturn), ("a\r.\r\n", .bareCarriageReturn), ("a\r\n.\r", .bareCarriageReturn),
        ("a\r.\n", .bareCarriageReturn), ("a\n.\r", .bareLineFeed), ("a\r\r\n.\r\r\n", .bareCarriageReturn),
        ("a\r\n.\r\r\n", .bareCarriageReturn), ("a\r\n\u{0}.\r\n", .nulCharacter), ("a\r\n.\u{0}\r\n", .nulCharacter),
        ("a\n\n.\n\n", .bareLineFeed), ("a\r\n\r.\r\n", .bareCarriageReturn), ("a\n\r.\r\n", .bareLineFeed),
        ("\n.\r\n", .bareLineFeed), (".\n", .bareLineFeed), (".\r.\r\n", .bareCarriageReturn),
    ]

    @Test("nothing else ends a message: it is read to its end and refused", arguments: smuggling)
    func smuggled(sequence: String, violation: ContentViolation) {
        let injected = "MAIL FROM:<evil@example.org>\r\nRCPT TO:<victim@example.net>\r\nDATA\r\nspam"
        let input = octets(sequence + injected + "\r\n.\r\nQUIT\r\n")
        for pieces in splits(input) {
            let decoded = decode(pieces)
            #expect(decoded.result == .failure(violation))
            #expect(decoded.reportedViolations == [violation])
            #expect(text(decoded.rest) == "QUIT\r\n")
        }
    }

    @Test(
        "converting makes each bare CR and LF a CRLF, and none of them the end",
        arguments: [
            ("a\nb\r\n.\r\n", "a\r\nb\r\n", 0), ("a\rb\r\n.\r\n", "a\r\nb\r\n", 0),
            ("a\n.\r\nb\r\n.\r\n", "a\r\n.\r\nb\r\n", 1), ("a\r.\r\nb\r\n.\r\n", "a\r\n.\r\nb\r\n", 1),
            ("a\r\n.\nb\r\n.\r\n", "a\r\n\r\nb\r\n", 0), ("a\r\n.\rb\r\n.\r\n", "a\r\n\r\nb\r\n", 0),
            ("\r\r\n.\r\n", "\r\n\r\n", 0), ("\n\n\r\n.\r\n", "\r\n\r\n\r\n", 0), (".\r\r\n.\r\n", "\r\n\r\n", 0),
        ])
    func converted(input: String, content: String, dotLines: Int) throws {
        for pieces in threeWaySplits(octets(input + "N")) {
            let decoded = decode(pieces, bareLineEnds: .convert)
            #expect(text(decoded.content) == content)
            #expect(text(decoded.rest) == "N")
            let summary = try #require(try decoded.result?.get())
            #expect(summary.octets == content.utf8.count)
            #expect(summary.dotLines == dotLines)
        }
    }

    @Test("NUL is refused even when converting")
    func nul() {
        #expect(decode([octets("a\u{0}\r\n.\r\n")], bareLineEnds: .convert).result == .failure(.nulCharacter))
    }

    @Test("counts octets, dot lines, the longest line and 8-bit")
    func summary() throws {
        let long = String(repeating: "x", count: 998)
        let input = octets("..a\r\nb\r\n\(long)\r\n..\r\n\u{fc}\r\n.\r\n")
        for pieces in splits(input) {
            let summary = try #require(try decode(pieces).result?.get())
            #expect(summary.octets == input.count - 3 - 2)
            #expect(summary.dotLines == 2)
            #expect(summary.longestLine == 998)
            #expect(summary.has8Bit)
            #expect(summary.endsWithLineEnd)
        }
        for position in 0..<40 {
            var line = [UInt8](repeating: 0x61, count: 40)
            line[position] = 0x80
            #expect(try decode([line + octets("\r\n.\r\n")]).result?.get().has8Bit == true)
            line[position] = .tab
            #expect(try decode([line + octets("\r\n.\r\n")]).result?.get().has8Bit == false)
        }
    }

    @Test("what passes the size limit is read to its end and refused", arguments: [4, 5, 6, 100])
    func sizeLimit(limit: Int) {
        for pieces in splits(octets("a\r\nb\r\n.\r\nQUIT")) {
            let decoded = decode(pieces, limit: limit)
            #expect(text(decoded.rest) == "QUIT")
            #expect(decoded.content.count <= limit)
            if limit < 6 {
                #expect(decoded.result == .failure(.tooLarge))
            } else {
                #expect(text(decoded.content) == "a\r\nb\r\n")
            }
        }
    }

    @Test("what is wrong first is what is told, however the octets are split (found by FuzzDataDecoder)")
    func firstViolation() {
        for (input, violation) in [
            ("aaaaaa\u{0}\r\n.\r\n", ContentViolation.tooLarge), ("aaaaaa\n\r\n.\r\n", .tooLarge),
            ("aaaaa\r\r\n.\r\n", .tooLarge), ("aaaa\raa\r\n.\r\n", .bareCarriageReturn),
            ("a\u{0}aaaaaaaaa\r\n.\r\n", .nulCharacter),
        ] {
            for pieces in splits(octets(input)) {
                #expect(decode(pieces, limit: 5).result == .failure(violation))
            }
        }
    }

    @Test("a large message is handed out without being copied into pieces")
    func fewRanges() {
        let line = String(repeating: "x", count: 70) + "\r\n"
        let input = octets(String(repeating: line, count: 1000) + ".\r\n")
        var decoder = DataDecoder()
        var events = 0
        _ = drain(input) { rest in
            let (consumed, event) = decoder.decode(rest)
            events += 1
            if case .end = event { return (consumed, false) }
            return (consumed, true)
        }
        #expect(events == 2)
    }
}

@Suite("Dot stuffing")
struct DotStufferTests {
    static func stuff(_ pieces: [[UInt8]]) -> [UInt8] {
        var stuffer = DotStuffer()
        var output: [UInt8] = []
        for piece in pieces { piece.withUnsafeBytes { stuffer.stuff($0, into: &output) } }
        stuffer.finish(into: &output)
        return output
    }

    @Test(
        "frames content whatever its line ends are",
        arguments: [
            ("", ".\r\n"), ("a\r\n", "a\r\n.\r\n"), (".\r\n", "..\r\n.\r\n"),
            ("a\r\n.b\r\n..\r\n", "a\r\n..b\r\n...\r\n.\r\n"),
            ("a", "a\r\n.\r\n"), ("a\n.b\n", "a\r\n..b\r\n.\r\n"), ("a\r", "a\r\n.\r\n"),
            ("a\r.b", "a\r\n..b\r\n.\r\n"),
            ("\n.\r\n", "\r\n..\r\n.\r\n"), ("a.\tb\r\n", "a.\tb\r\n.\r\n"), ("a\r\r\n", "a\r\n\r\n.\r\n"),
        ])
    func frames(content: String, wire: String) {
        for pieces in threeWaySplits(octets(content)) { #expect(text(Self.stuff(pieces)) == wire) }
    }

    @Test("what is stuffed decodes to the same content")
    func roundTrip() {
        let content = octets("S: .\r\n\r\n.\r\n..\r\na.\r\n.a\r\n\u{fc}\t\r\n")
        for pieces in splits(content) { #expect(decode([Self.stuff(pieces)]).content == content) }
    }
}
