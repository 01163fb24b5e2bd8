import MailModel
import Testing

@testable import SMTPProtocol

@Suite("Replies")
struct ReplyTests {
    static func encode(_ reply: Reply, _ encoder: ReplyEncoder = ReplyEncoder()) -> String {
        var buffer: [UInt8] = []
        encoder.encode(reply, into: &buffer)
        return text(buffer)
    }

    @Test("encodes lines, codes and status")
    func encodes() {
        let reply = Reply(501, EnhancedStatusCode(5, 1, 7), ["    ^", "Path data: bad"])
        #expect(Self.encode(reply) == "501-5.1.7     ^\r\n501 5.1.7 Path data: bad\r\n")
        #expect(Self.encode(reply, ReplyEncoder(writesSingleLines: true)) == "501 5.1.7 Path data: bad\r\n")
        #expect(Self.encode(reply, ReplyEncoder(writesEnhancedStatus: false)) == "501-    ^\r\n501 Path data: bad\r\n")
        #expect(Self.encode(Reply(250, nil, "")) == "250 \r\n")
        #expect(Self.encode(Reply(554, EnhancedStatusCode(5, 6, 11), "x")) == "554 5.6.11 x\r\n")
    }

    @Test("a text from elsewhere cannot break a reply in two, nor make a line too long")
    func hostileText() {
        #expect(Self.encode(Reply(250, nil, "a\r\n250 b\u{0}")) == "250 a??250 b?\r\n")
        let long = Self.encode(Reply(550, EnhancedStatusCode(5, 0, 0), String(repeating: "\u{fc}", count: 400)))
        #expect(long.utf8.count <= 512)
        #expect(long.hasSuffix("??\r\n"))
    }

    static func parse(
        _ pieces: [[UInt8]], _ parser: ReplyParser = ReplyParser()
    ) -> (replies: [Reply], error: ReplySyntaxError?) {
        var parser = parser
        var replies: [Reply] = []
        var failure: ReplySyntaxError?
        for piece in pieces where failure == nil {
            _ = drain(piece) { rest in
                do throws(ReplySyntaxError) {
                    let (consumed, reply) = try parser.parse(rest)
                    if let reply { replies.append(reply) }
                    return (consumed, reply != nil)
                } catch {
                    failure = error
                    return (rest.count, false)
                }
            }
        }
        return (replies, failure)
    }

    @Test("the same replies come out however the octets are split")
    func everySplit() {
        let input = octets(
            "220 mx.example ESMTP\r\n250-mx.example Hello\r\n250-SIZE 0\r\n250 HELP\r\n250 2.1.0 Ok\n"
                + "550-5.1.1 no\r\n550-second line\r\n550 5.1.1 user\r\n354\r\n250 2.0.0\r\n")
        let expected = [
            Reply(220, nil, "mx.example ESMTP"), Reply(250, nil, ["mx.example Hello", "SIZE 0", "HELP"]),
            Reply(250, EnhancedStatusCode(2, 1, 0), "Ok"),
            Reply(550, EnhancedStatusCode(5, 1, 1), ["no", "second line", "user"]), Reply(354, nil, ""),
            Reply(250, EnhancedStatusCode(2, 0, 0), ""),
        ]
        for pieces in splits(input) {
            let (replies, error) = Self.parse(pieces)
            #expect(replies == expected)
            #expect(error == nil)
        }
    }

    @Test("a status of another class than the code is text")
    func foreignStatus() {
        #expect(Self.parse([octets("250 5.1.1 odd\r\n")]).replies == [Reply(250, nil, "5.1.1 odd")])
        for text in ["2.x odd", "2.1 odd", "2.1.1.1 odd", "2..1 odd", "2.1.1000 odd", "2.1.", "3.1.1"] {
            #expect(Self.parse([octets("250 \(text)\r\n")]).replies == [Reply(250, nil, text)])
        }
        #expect(Self.parse([octets("250 2.x odd\r\n")]).replies == [Reply(250, nil, "2.x odd")])
    }

    @Test(
        "refuses what is no reply",
        arguments: [
            ("hello\r\n", .malformed("hello")), ("\r\n", .malformed("")), ("25\r\n", .malformed("25")),
            ("250x\r\n", .malformed("250x")), ("650 x\r\n", .malformed("650 x")),
            ("250 \(String(repeating: "x", count: 4092))\r\n", .lineTooLong(limit: 4096)),
            (String(repeating: "250-x\r\n", count: 101), .tooManyLines(limit: 100)),
        ] as [(String, ReplySyntaxError)])
    func malformed(input: String, expected: ReplySyntaxError) {
        for pieces in [[octets(input)], octets(input).map { [$0] }] {
            let (replies, error) = Self.parse(pieces)
            #expect(replies.isEmpty)
            #expect(error == expected)
        }
    }

    @Test("what the encoder writes the parser reads")
    func roundTrip() {
        for reply in [
            Reply(250, EnhancedStatusCode(2, 1, 5), ["a", "b"]), Reply(221, nil, "x"),
            Reply(452, EnhancedStatusCode(4, 5, 2), ""),
        ] {
            #expect(Self.parse([octets(Self.encode(reply))]).replies == [reply])
        }
    }

    @Test(
        "reply codes mean what transport-agents.md says",
        arguments: [
            (250, .success), (354, .success), (421, .temporary), (450, .temporary), (455, .temporary),
            (500, .protocolError),
            (501, .usage), (503, .temporary), (504, .protocolError), (550, .noUser), (552, .unavailable),
            (554, .noUser),
            (555, .usage), (571, .noUser), (599, .unavailable),
        ] as [(Int, Disposition)])
    func dispositions(code: Int, disposition: Disposition) {
        #expect(Disposition(code: code) == disposition)
        #expect(disposition.isPermanent == (code >= 500 && code != 503))
    }
}
