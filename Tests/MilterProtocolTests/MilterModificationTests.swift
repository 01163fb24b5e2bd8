import MailModel
import MilterProtocol
import Testing

@Suite("Changes by milters") struct MilterModificationTests {
    private func outcome(
        _ changes: MilterPacket..., recipients: [String] = ["bob@example.org", "eve@example.org"],
        answers: [String: [MilterPacket]] = [:]
    ) throws -> MilterOutcome {
        let script = answers.merging(["E": changes + [MilterPacket(UInt8(ascii: "c"))]]) { first, _ in first }
        return try #require(try Transcript(message(recipients: recipients), answers: script).outcome)
    }

    @Test("what is inserted last is topmost; what is added goes to the end")
    func insertion() throws {
        let outcome = try outcome(
            texts("i", "A", "1", index: 0), texts("i", "B", "2", index: 1), texts("h", "C", "3"),
            texts("i", "D", "4", index: 9), texts("i", "E", "5", index: 2))
        #expect(outcome.top == [field("E", "5"), field("B", "2"), field("A", "1")])
        #expect(outcome.last == [field("C", "3"), field("D", "4")])
        #expect(outcome.remarks.count == 1)
    }

    @Test("fields are counted as the milter was given them, whatever was removed before")
    func removal() throws {
        let outcome = try outcome(
            texts("m", "x-tag", "", index: 1), texts("m", "X-TAG", "", index: 2), texts("m", "X-Tag", "", index: 3),
            texts("m", "Missing", "", index: 1))
        #expect(outcome.removed.map(\.number) == [1, 2])
        #expect(outcome.removed.map { Octets.text($0.name[...]) } == ["x-tag", "X-TAG"])
        #expect(outcome.top.isEmpty && outcome.last.isEmpty)
    }

    @Test(
        "all fields of a name can be removed in any order, also always the first",
        arguments: [[1, 2], [2, 1], [1, 1], [1, 1, 1]])
    func allRemoved(numbers: [UInt32]) throws {
        let changes = numbers.map { texts("m", "X-Tag", "", index: $0) } + [MilterPacket(UInt8(ascii: "c"))]
        let outcome = try #require(try Transcript(message(), answers: ["E": changes]).outcome)
        #expect(outcome.removed.map(\.number).sorted() == [1, 2])
    }

    @Test("a replaced field is removed and put on top; one that is not there is added; the last word counts")
    func replacement() throws {
        let outcome = try outcome(
            texts("m", "Subject", "x", index: 1), texts("m", "Subject", "y", index: 1),
            texts("m", "New", "z", index: 5),
            texts("m", "From", "f", index: 0), texts("i", "A", "1", index: 0))
        #expect(outcome.top == [field("A", "1"), field("Subject", "y"), field("From", "f")])
        #expect(outcome.removed.map(\.number) == [1, 1])
        #expect(outcome.last == [field("New", "z")])
    }

    @Test("recipients are added and taken away")
    func recipients() throws {
        #expect(try outcome().recipients == nil)
        #expect(
            try outcome(texts("+", "<new@example.org>"), texts("+", "bob@EXAMPLE.org")).recipients
                == ["bob@example.org", "eve@example.org", "new@example.org"])
        #expect(try outcome(texts("-", "<bob@Example.org>")).recipients == ["eve@example.org"])
        #expect(try outcome(texts("-", "bob@example.org"), texts("+", "bob@example.org")).recipients == nil)
        #expect(try outcome(texts("2", "new@example.org", "NOTIFY=NEVER")).remarks.count == 1)
    }

    @Test("without recipients a message is discarded; in quarantine it keeps them")
    func none() throws {
        let gone = [texts("-", "bob@example.org"), texts("-", "eve@example.org")]
        let discarded = try outcome(gone[0], gone[1])
        #expect(discarded.verdict == .discard)
        let kept = try outcome(gone[0], gone[1], texts("q", "why"))
        #expect(kept.verdict == .quarantine("why"))
        #expect(kept.recipients == nil)
    }

    @Test("a recipient that is refused refuses the message, the first that is", arguments: ["R1", "R2"])
    func refused(recipient: String) throws {
        let outcome = try outcome(answers: [recipient: [texts("y", "550 5.1.1 unknown")]])
        #expect(outcome.verdict == .refuse(Reply(550, EnhancedStatusCode(5, 1, 1), "unknown")))
        #expect(outcome.recipients == nil)
    }

    @Test("accepted at a recipient, all stay")
    func acceptedEarly() throws {
        let outcome = try outcome(
            recipients: ["a@b.test", "c@d.test", "e@f.test"], answers: ["R2": [MilterPacket(UInt8(ascii: "a"))]])
        #expect(outcome.verdict == .accept)
        #expect(outcome.recipients == nil)
    }

    @Test("if all are refused the message is, with the first reason")
    func allRefused() throws {
        let answers = ["R1": [texts("y", "550 5.1.1 unknown")], "R2": [texts("y", "554 5.7.1 no")]]
        #expect(try outcome(answers: answers).verdict == .refuse(Reply(550, EnhancedStatusCode(5, 1, 1), "unknown")))
    }

    @Test("if one recipient is to be tried again the message is, so that nobody is lost", arguments: ["R1", "R2"])
    func later(command: String) throws {
        for answer in [texts("y", "450 4.2.1 later"), MilterPacket(UInt8(ascii: "t"))] {
            guard case .refuse(let reply) = try outcome(answers: [command: [answer]]).verdict else {
                Issue.record("not refused")
                return
            }
            #expect(reply.isPersistentTransient)
        }
    }

    @Test("a field that cannot be told is named", arguments: [true, false])
    func obstacles(isLarge: Bool) {
        let value = isLarge ? [UInt8](repeating: 0x61, count: MilterMessage.maximumField) : [0x61, 0]
        let message = message(fields: [field("A", "b"), MilterField(name: Array("Big".utf8), value: value)])
        #expect(message.obstacle == (isLarge ? .fieldTooLarge("Big") : .nul("Big")))
    }

    @Test("fields are unwrapped to LF, octet for octet otherwise")
    func fields() throws {
        let section = HeaderSection(Array("A: b\r\n\tc\r\nB:\r\nC :\u{e9} \r x\r\n\r\nbody".utf8))
        #expect(
            section.fields.map { MilterField($0, of: section) } == [
                field("A", " b\n\tc"), field("B", ""), field("C", "\u{e9} \r x"),
            ])
    }
}
