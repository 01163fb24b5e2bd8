import AgentProtocol
import Testing

@Suite("ETRN over the scheduler's own socket")
struct LocalETRNTests {
    @Test("requests are one line, whatever the remark holds")
    func requests() {
        #expect(LocalETRN.request(.host("a.test")) == "etrn a.test\n")
        #expect(LocalETRN.request(.domain("a.test"), remark: "1.2.3.4\n a") == "etrn @a.test 1.2.3.4a\n")
    }

    @Test("answers are read as they are written", arguments: ["a.test", "a\"b\\c", "\"started\":99,x", "ü"])
    func roundTrip(name: String) throws {
        let answer = LocalETRN.Answer(threads: 3, started: 17)
        #expect(try LocalETRN.answer(answer.line(.host(name)).utf8.dropLast()) == answer)
    }

    @Test(
        "what is no answer is an error",
        arguments: ["", "{}", "{\"etrn\":\"a\"}", "{\"etrn\":\"a\",\"threads\":,\"started\":1}", "{\"flushed\":1}"])
    func unreadable(line: String) {
        #expect(throws: LocalETRN.Failure.unreadable) { try LocalETRN.answer(line.utf8) }
    }

    @Test("a refusal keeps its words")
    func refused() {
        let line = "{\"error\":\"too many requests wait; try again later\"}"
        #expect(throws: LocalETRN.Failure.refused(line)) { try LocalETRN.answer(line.utf8) }
    }
}
