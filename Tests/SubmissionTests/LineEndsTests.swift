import Testing

@testable import Submission

@Suite struct LineEndsTests {
    static func run(_ pieces: [[UInt8]], endsAtDot: Bool) -> (text: String, ends: LineEnds) {
        var ends = LineEnds(endsAtDot: endsAtDot)
        var output: [UInt8] = []
        for piece in pieces { piece.withUnsafeBytes { ends.push($0, into: &output) } }
        ends.finish(into: &output)
        return (String(decoding: output, as: UTF8.self), ends)
    }

    static let rows: [(input: String, endsAtDot: Bool, expected: String)] = [
        ("a\nb\n", true, "a\r\nb\r\n"), ("a\r\nb\r\n", true, "a\r\nb\r\n"), ("a", true, "a\r\n"), ("", true, ""),
        ("a\rb\n", true, "a\r\nb\r\n"), ("a\r", true, "a\r\n"), ("a\r\r\nb", true, "a\r\n\r\nb\r\n"),
        ("a\n.\nb\n", true, "a\r\n"), ("a\n.\nb\n", false, "a\r\n.\r\nb\r\n"), (".\nb", true, ""),
        ("a\n..\n.b\n", true, "a\r\n..\r\n.b\r\n"), ("a\r\n.\r\nb", true, "a\r\n"), ("a\n.", true, "a\r\n"),
        ("a\n.", false, "a\r\n.\r\n"), ("a.\n", true, "a.\r\n"), ("\n\n", true, "\r\n\r\n"), ("a\r.\rb", true, "a\r\n"),
    ]

    @Test("line ends become CRLF, and a dot ends a message only where it may", arguments: rows)
    func ends(input: String, endsAtDot: Bool, expected: String) {
        #expect(Self.run([Array(input.utf8)], endsAtDot: endsAtDot).text == expected)
    }

    @Test("however the input is split the same comes out", arguments: rows)
    func split(input: String, endsAtDot: Bool, expected: String) {
        let octets = Array(input.utf8)
        #expect(Self.run(octets.map { [$0] }, endsAtDot: endsAtDot).text == expected)
        for index in 0...octets.count {
            let pieces = [Array(octets[..<index]), Array(octets[index...])]
            #expect(Self.run(pieces, endsAtDot: endsAtDot).text == expected)
        }
    }

    @Test("no CR and no LF is ever alone")
    func wireFormat() {
        var generator = SystemRandomNumberGenerator()
        let letters: [UInt8] = [0x0d, 0x0a, 0x2e, 0x61, 0xc3]
        for _ in 0..<3000 {
            let input = (0..<12).map { _ in letters[Int.random(in: 0..<5, using: &generator)] }
            let output = Array(Self.run([input], endsAtDot: Bool.random(using: &generator)).text.unicodeScalars)
            for (index, scalar) in output.enumerated() {
                if scalar == "\n" { #expect(index > 0 && output[index - 1] == "\r") }
                if scalar == "\r" { #expect(index + 1 < output.count && output[index + 1] == "\n") }
            }
        }
    }

    @Test("8-bit octets are noticed, behind the end they are not")
    func eightBit() {
        #expect(Self.run([Array("grüße".utf8)], endsAtDot: true).ends.hasEightBit)
        #expect(!Self.run([Array("a\n.\ngrüße".utf8)], endsAtDot: true).ends.hasEightBit)
        #expect(Self.run([Array("a\n.\nb".utf8)], endsAtDot: true).ends.hasEnded)
    }
}
