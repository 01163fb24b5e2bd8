import MailModel
import MilterProtocol
import Testing

@Suite("Milter sessions") struct MilterSessionTests {
    private static let proceed = MilterPacket(UInt8(ascii: "c"))

    @Test("a message is told in the order of SMTP, with macros in front of the commands")
    func order() throws {
        let transcript = try Transcript(
            message(recipients: ["bob@example.org", "eve@example.org"]), body: [[1, 2, 3], [4]])
        #expect(
            transcript.lines == [
                "O", "D C j=mx.example", "C mx.test|4|4711|192.0.2.1", "H helo.test",
                "D M i=42|{auth_authen}=alice|{mail_addr}=alice@example.test", "M <alice@example.test>|BODY=8BITMIME",
                "D R i=42|{rcpt_addr}=bob@example.org", "R <bob@example.org>",
                "D R i=42|{rcpt_addr}=eve@example.org", "R <eve@example.org>", "D T i=42", "T", "D L i=42", "L From|a",
                "L Subject|one\n two", "L X-Tag|1", "L x-tag|2", "D N i=42", "N", "B 3", "B 1", "D E i=42", "E",
            ])
        #expect(transcript.outcome == MilterOutcome(.accept))
    }

    @Test("IPv6 and the null return path are told as such, and no HELO where none was said")
    func others() throws {
        var message = message(fields: [])
        message.sender = nil
        message.hello = nil
        message.client = MilterEndpoint(.v6(high: 0x2001_0db8_0000_0000, low: 1), port: 0)
        let lines = try Transcript(message).lines
        #expect(lines.contains("C mx.test|6|0|2001:db8::1"))
        #expect(lines.contains("M <>|BODY=8BITMIME"))
        #expect(!lines.contains { $0.hasPrefix("H") })
    }

    static let declined: [(MilterSteps, String)] = [
        (.noConnect, "C"), (.noHello, "H"), (.noMail, "M"), (.noRecipients, "R"), (.noData, "T"), (.noHeaders, "L"),
        (.noEndOfHeader, "N"), (.noBody, "B"),
    ]

    @Test("what the milter declines is left out", arguments: declined)
    func declines(step: MilterSteps, command: String) throws {
        let lines = try Transcript(message(), body: [[1]], steps: step).lines
        #expect(!lines.contains { $0.hasPrefix("\(command) ") || $0 == command || $0.hasPrefix("D \(command) ") })
        #expect(lines.count >= 8)
        #expect(lines.last == "E")
    }

    static let silent: [(MilterSteps, String)] = [
        (.unansweredConnect, "C"), (.unansweredHello, "H"), (.unansweredMail, "M"), (.unansweredRecipients, "R"),
        (.unansweredData, "T"), (.unansweredHeaders, "L"), (.unansweredEndOfHeader, "N"), (.unansweredBody, "B"),
    ]

    @Test("what the milter does not answer is not waited for", arguments: silent)
    func unanswered(step: MilterSteps, command: String) throws {
        // A script without an answer there would end the dialogue if the session waited for one.
        let transcript = try Transcript(message(), body: [[1], [2]], steps: step, answers: [command: []])
        #expect(transcript.outcome == MilterOutcome(.accept))
        #expect(transcript.lines.contains { $0.hasPrefix(command) })
    }

    @Test("leading blanks of values are kept where the milter wants them, and stripped elsewhere")
    func leadingBlanks() throws {
        #expect(try Transcript(message(), steps: .leadingBlanks).lines.contains("L Subject| one\n two"))
        #expect(try Transcript(message(), steps: .leadingBlanks).outcome?.hasLeadingBlanks == true)
        #expect(try Transcript(message()).lines.contains("L Subject|one\n two"))
    }

    @Test("milters of version 2 are not told of DATA")
    func old() throws {
        #expect(try !Transcript(message(), version: 2).lines.contains("T"))
    }

    @Test("a milter that asks for no more of the body gets none")
    func skip() throws {
        let skip = ["B": [MilterPacket(UInt8(ascii: "s"))]]
        let lines = try Transcript(message(), body: [[1], [2], [3]], steps: .skip, answers: skip).lines
        #expect(lines.count { $0.hasPrefix("B") } == 1)
        #expect(lines.last == "E")
    }

    static let verdicts: [(MilterPacket, MilterOutcome.Verdict)] = [
        (MilterPacket(UInt8(ascii: "a")), .accept), (MilterPacket(UInt8(ascii: "d")), .discard),
        (MilterPacket(UInt8(ascii: "r")), .refuse(Reply(550, EnhancedStatusCode(5, 7, 1), "Command rejected"))),
        (
            MilterPacket(UInt8(ascii: "t")),
            .refuse(Reply(451, EnhancedStatusCode(4, 7, 1), "Service unavailable - try again later"))
        ),
        (texts("y", "554 5.7.1 go away"), .refuse(Reply(554, EnhancedStatusCode(5, 7, 1), "go away"))),
    ]

    @Test(
        "a verdict ends the dialogue wherever it comes", arguments: ["C", "H", "M", "R", "T", "L3", "N", "B", "E"],
        verdicts)
    func verdict(command: String, row: (MilterPacket, MilterOutcome.Verdict)) throws {
        let transcript = try Transcript(message(), body: [[1]], answers: [command: [row.0]])
        #expect(transcript.outcome?.verdict == row.1)
        #expect(transcript.outcome?.recipients == nil)
        #expect(transcript.lines.last?.first == command.first)
    }

    @Test("progress may be reported any number of times")
    func progress() throws {
        let answer = [MilterPacket](repeating: MilterPacket(UInt8(ascii: "p")), count: 50) + [Self.proceed]
        #expect(
            try Transcript(message(), body: [[1]], answers: ["B": answer, "E": answer, "C": answer]).outcome != nil)
    }

    static let misplaced: [(String, MilterPacket)] = [
        ("O", proceed), ("C", MilterCommand.negotiate(.offered).packet), ("B", texts("h", "X", "y")),
        ("M", texts("+", "a@b.test")), ("C", MilterPacket(UInt8(ascii: "s"))), ("B", MilterPacket(UInt8(ascii: "s"))),
        ("E", MilterPacket(UInt8(ascii: "s"))),
        ("O", MilterPacket(UInt8(ascii: "O"), [0, 0, 0, 1] + [UInt8](repeating: 0, count: 8))),
        ("O", MilterPacket(UInt8(ascii: "O"), [0, 0, 0, 7] + [UInt8](repeating: 0, count: 8))),
        ("O", MilterPacket(UInt8(ascii: "O"), [0, 0, 0, 6, 0, 0, 0, 2, 0, 0, 0, 0])),
        ("O", MilterPacket(UInt8(ascii: "O"), [0, 0, 0, 6, 0, 0, 0, 0, 0x10, 0, 0, 0])),
        ("E", MilterPacket(UInt8(ascii: "b"), [1])), ("N", MilterPacket(UInt8(ascii: "?"))),
    ]

    @Test("what has no place there is an error", arguments: misplaced)
    func errors(command: String, packet: MilterPacket) {
        #expect(throws: MilterProtocolError.self) {
            try Transcript(message(), body: [[1]], answers: [command: [packet, Self.proceed]])
        }
    }

    @Test("a change that was not negotiated is an error, another sender a remark")
    func notNegotiated() throws {
        #expect(throws: MilterProtocolError.notNegotiated(response: UInt8(ascii: "h"))) {
            try Transcript(message(), actions: .changeHeaders, answers: ["E": [texts("h", "X", "y"), Self.proceed]])
        }
        let outcome = try Transcript(message(), answers: ["E": [texts("e", "<a@b.test>"), Self.proceed]]).outcome
        #expect(outcome?.verdict == .accept)
        #expect(outcome?.remarks.count == 1)
    }

    @Test("the number of changes is limited")
    func bounded() throws {
        let many = [MilterPacket](repeating: texts("h", "X", "y"), count: MilterSession.maximumModifications)
        #expect(try Transcript(message(), answers: ["E": many + [Self.proceed]]).outcome?.last.count == 400)
        #expect(throws: MilterProtocolError.tooManyModifications) {
            try Transcript(message(), answers: ["E": many + [texts("h", "X", "y"), Self.proceed]])
        }
    }
}
