import MailModel
import Testing

@testable import PeerIdentity

@Suite("Ident and whoson")
struct IdentTests {
    private static let query = IdentQuery(peerPort: 6193, ownPort: 25)

    @Test("the question names the client's port first")
    func request() {
        #expect(Self.query.request == Array("6193 , 25\r\n".utf8))
    }

    @Test(
        "users",
        arguments: [
            ("6193, 25 : USERID : UNIX : stjohns", "stjohns", "UNIX"),
            ("6193,25:USERID:UNIX:stjohns", "stjohns", "UNIX"), (" 6193 , 25 : userid : UNIX:a b ", "a b", "UNIX"),
            ("6193, 25 : USERID : OTHER : :x:y", ":x:y", "OTHER"),
            ("6193, 25 : USERID : UNIX , US-ASCII : x", "x", "UNIX"),
            ("6193, 25 : USERID : OTHER : \u{e9}\u{1}", "???", "OTHER"),
            (
                "6193, 25 : USERID : UNIX : \(String(repeating: "u", count: 254)) x",
                String(repeating: "u", count: 254), "UNIX"
            ),
            (
                "6193, 25 : USERID : UNIX : \(String(repeating: "u", count: 900))", String(repeating: "u", count: 255),
                "UNIX"
            ),
        ])
    func users(line: String, name: String, system: String) throws {
        #expect(try Self.query.reply(line.utf8) == .user(IdentUser(name: name, system: system)))
    }

    @Test(
        "errors of the host",
        arguments: [
            ("NO-USER", .noUser), ("no-user", .noUser), ("HIDDEN-USER", .hiddenUser), ("INVALID-PORT", .invalidPort),
            ("UNKNOWN-ERROR", .other), ("XTHING", .other),
        ] as [(String, IdentReply.Failure)])
    func errors(token: String, failure: IdentReply.Failure) throws {
        #expect(try Self.query.reply("6193 , 25 : ERROR : \(token)".utf8) == .error(failure))
    }

    @Test(
        "answers that are none",
        arguments: [
            "", ":", "6193, 25", "6193, 25 : USERID", "6193, 25 : USERID : UNIX", "6193, 25 : USERID : UNIX : ",
            "6193, 25 : USERID : UNIX :  \t", "6193, 25 : USERID : : x", "6193, 25 : USERID : UN IX : x",
            "6193, 25 : USERID : UNIX, : x", "6193, 25 : USERID : UNIX,A,B : x", "6193, 25 : ERROR : ",
            "6193, 25 : ERROR : NO-USER : x", "6193, 25 : USERIDS : UNIX : x", "6193, 25, 7 : USERID : UNIX : x",
            "06193, 25 : USERID : UNIX : x", "70000, 25 : USERID : UNIX : x", "a, b : USERID : UNIX : x",
            "6193, 25 : USERID : \(String(repeating: "S", count: 65)) : x", "6193, 25 : USERID : S\u{e9} : x",
            "6193, 25 : USERID : UNIX : \(String(repeating: "u", count: 1002))",
        ])
    func malformed(line: String) {
        #expect(throws: IdentError.malformed) { try Self.query.reply(line.utf8) }
    }

    @Test("an answer about other ports is none")
    func otherPorts() {
        for (first, second) in [(25, 6193), (6193, 26), (1, 2)] as [(UInt16, UInt16)] {
            #expect(throws: IdentError.otherPorts(first, second)) {
                try Self.query.reply("\(first) , \(second) : USERID : UNIX : x".utf8)
            }
        }
    }

    @Test("whoson asks about an address and reads one of three answers")
    func whoson() throws {
        #expect(WhosonQuery(try #require(IPAddress("192.0.2.1"))).request == Array("QUERY 192.0.2.1\r\n\r\n".utf8))
        #expect(
            WhosonQuery(try #require(IPAddress("::ffff:192.0.2.1"))).request == Array("QUERY 192.0.2.1\r\n\r\n".utf8))
        #expect(WhosonQuery(try #require(IPAddress("2001:db8::1"))).request == Array("QUERY 2001:db8::1\r\n\r\n".utf8))
        for (line, reply, text) in [
            ("+alice", .loggedIn("alice"), "alice"), ("+ alice\u{1}b ", .loggedIn("alice?b"), "alice?b"),
            ("+", .loggedIn(""), ""), ("-Not Logged in", .notLoggedIn, "-unregistered-"),
            ("-", .notLoggedIn, "-unregistered-"),
            ("*bad request", .unavailable, "-unavailable-"), ("", .unavailable, "-unavailable-"),
            ("alice", .unavailable, "-unavailable-"), (" +alice", .unavailable, "-unavailable-"),
        ] as [(String, WhosonReply, String)] {
            #expect(WhosonReply(line: line.utf8) == reply, "\(line)")
            #expect(reply.traceText == text)
        }
        #expect(
            WhosonReply(line: Array("+".utf8) + Array(repeating: 0x61, count: 5000))
                == .loggedIn(String(repeating: "a", count: 255)))
    }

    private static func line(_ pieces: [[UInt8]], limit: Int, ends: Bool = false) -> PeerLineDecoder.Result {
        var decoder = PeerLineDecoder(limit: limit)
        var result = PeerLineDecoder.Result.needMore
        for piece in pieces where result == .needMore { result = piece.withUnsafeBytes { decoder.decode($0) } }
        return ends ? decoder.endOfInput() : result
    }

    @Test("one line, however it is split, and no longer than the limit")
    func lines() {
        let input = Array("+alice\r\n\r\nmore".utf8)
        for first in 0...input.count {
            let pieces = [Array(input[..<first]), Array(input[first...])]
            #expect(Self.line(pieces, limit: 8) == .line(Array("+alice".utf8)))
            #expect(Self.line(pieces, limit: 7) == .tooLong)
        }
        #expect(Self.line([Array("a\n".utf8)], limit: 8) == .line([0x61]))
        #expect(Self.line([Array("a".utf8)], limit: 8) == .needMore)
        #expect(Self.line([Array("a".utf8)], limit: 8, ends: true) == .line([0x61]))
        #expect(Self.line([], limit: 8, ends: true) == .line([]))
        #expect(Self.line([Array(repeating: 0x61, count: 9)], limit: 8, ends: true) == .tooLong)
        #expect(Self.line([input], limit: 8, ends: true) == .line(Array("+alice".utf8)))
    }
}
