import MailModel
import Testing

@testable import SMTPProtocol

@Suite("Command decoder")
struct CommandDecoderTests {
    static let session = """
        EHLO client.example\r
        MAIL FROM:<a@example.org> SIZE=1000 BODY=8BITMIME\r
        rcpt to:<b@example.net> NOTIFY=SUCCESS,DELAY\r
        FOO bar\r
        DATA\r
        bdat 86 last\n\
        VRFY ü\r
        NOOP \u{1}\r
        \r
        QUIT\r\n
        """

    @Test("the same commands come out however the octets are split")
    func everySplit() {
        let input = octets(Self.session)
        var whole = CommandDecoder()
        let expected = whole.decodeAll([input])
        #expect(expected.count == 10)
        for pieces in splits(input) {
            var decoder = CommandDecoder()
            #expect(decoder.decodeAll(pieces) == expected)
        }
    }

    @Test("a line of the limit is taken, one octet more is not", arguments: [0, 1, 2, 100])
    func limit(excess: Int) {
        let line = "NOOP " + String(repeating: "x", count: 64 - 7 + excess) + "\r\n"
        for pieces in splits(octets(line + "QUIT\r\n")) {
            var decoder = CommandDecoder(maximumLineLength: 64)
            let results = decoder.decodeAll(pieces)
            let first: Result<Command, CommandSyntaxError> =
                excess == 0
                ? .success(.noop) : .failure(CommandSyntaxError(.lineTooLong(octets: 64 + excess), at: 64))
            #expect(results == [first, .success(.quit)])
        }
    }

    @Test("a line of 1 MiB gives one error and holds no more memory than the limit")
    func hugeLine() {
        var decoder = CommandDecoder()
        let piece = [UInt8](repeating: 0x61, count: 4096)
        for _ in 0..<256 {
            #expect(decoder.decodeAll([piece]).isEmpty)
            #expect(decoder.line.count <= 8192)
            #expect(decoder.line.capacity <= 16384)
        }
        #expect(
            decoder.decodeAll([octets("\r\nQUIT\r\n")]) == [
                .failure(CommandSyntaxError(.lineTooLong(octets: 1_048_578), at: 8192)), .success(.quit),
            ])
        _ = decoder.decodeAll([octets("N")])
        #expect(decoder.line.capacity < 64, "an idle session keeps nothing of it")
    }

    @Test("a bare LF ends a line, but not in strict mode")
    func bareLineFeed() {
        var decoder = CommandDecoder()
        #expect(decoder.decodeAll([octets("QUIT\nRSET\n")]) == [.success(.quit), .success(.rset)])
        var strict = CommandDecoder()
        let options = CommandParser.Options(style: [.strict])
        #expect(
            strict.decodeAll([octets("QUIT\nRSET\r\n")], options: options) == [
                .failure(CommandSyntaxError(.missingCRLF, at: 4)), .success(.rset),
            ])
    }

    @Test("a bare CR ends nothing")
    func bareCarriageReturn() {
        var decoder = CommandDecoder()
        #expect(
            decoder.decodeAll([octets("NOOP\rQUIT\r\n")]) == [.failure(CommandSyntaxError(.controlCharacter, at: 4))])
    }
}
