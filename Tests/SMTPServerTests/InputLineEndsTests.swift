import Testing

@testable import SMTPServer

@Suite("Line ends of standard input")
struct InputLineEndsTests {
    @Test(
        "the first line decides for all, however the octets come",
        arguments: [
            ("HELO a\nDATA\n.\n", "HELO a\r\nDATA\r\n.\r\n", true),
            ("HELO a\r\nx\ny\r\n", "HELO a\r\nx\ny\r\n", false),
            ("HELO a\nx\r\ny\n", "HELO a\r\nx\r\ny\r\n", true),
            ("HELO a\nx\r", "HELO a\r\nx\r", true),
            ("\n\r\n\n", "\r\n\r\n\r\n", true),
            ("\r\n\n", "\r\n\n", false),
        ] as [(String, String, Bool)])
    func ends(input: String, expected: String, isLineFeed: Bool) {
        for size in 1...input.utf8.count {
            var ends = InputLineEnds()
            var result: [UInt8] = []
            var rest = Array(input.utf8)[...]
            while !rest.isEmpty {
                result += ends.normalized(rest.prefix(size))
                rest = rest.dropFirst(size)
            }
            #expect(String(decoding: result, as: UTF8.self) == expected, "in pieces of \(size)")
            #expect(ends.isLineFeed == isLineFeed)
            #expect(ends.rest.isEmpty)
        }
    }

    @Test("a beginning without a line end is kept, and handed on when it is too long")
    func beginning() {
        var ends = InputLineEnds()
        #expect(ends.normalized(Array("HEL".utf8)[...]).isEmpty)
        #expect(ends.rest == Array("HEL".utf8))
        #expect(ends.isLineFeed == nil)
        let long = [UInt8](repeating: 0x61, count: 70_000)
        #expect(ends.normalized(long[...]).count == 70_003)
        #expect(ends.isLineFeed == false && ends.rest.isEmpty)
    }
}
