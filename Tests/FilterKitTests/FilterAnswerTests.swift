import Foundation
import MailModel
import Testing

@testable import FilterKit

@Suite("Answers of content filters") struct FilterAnswerTests {
    private static func text(_ answer: FilterAnswer, prefix: String = "") throws -> String {
        String(decoding: try answer.lines(prefix: prefix, id: "7"), as: UTF8.self)
    }

    static let verdicts: [(FilterVerdict, String)] = [
        (.accept(), "0"), (.refuse(), "-1"), (.freeze(), "1"), (.freeze(code: 7), "7"),
        (.accept(Reply(250, EnhancedStatusCode(2, 6, 0), "fine")), "0 250 2.6.0 fine"),
        (.refuse(because: "no"), "-1 550 5.7.1 no"),
        (.refuse(Reply(451, nil, ["a\nb", "c"])), "-1 451 a b\rc"),
        (.refuse(Reply(250, EnhancedStatusCode(2, 0, 0), "")), "-1 250 2.0.0"),
        (.freeze(code: 2, Reply(550, EnhancedStatusCode(5, 7, 1), "x")), "2 550 5.7.1 x"),
    ]

    @Test("a verdict is a result line", arguments: verdicts)
    func verdict(verdict: FilterVerdict, line: String) throws {
        #expect(try Self.text(FilterAnswer(verdict)) == line + "\n")
        #expect(try Self.text(FilterAnswer(verdict), prefix: "/p/1 ") == "/p/1 \(line)\n")
    }

    static let edits: [(FilterEdit, String)] = [
        (.field("X-A", "b"), "+header X-A: b"), (.field("X-A", "b", at: .end), "+header-last X-A: b"),
        (.field("X-A", "b\r\n\tc\nd\n\n \ne"), "+header X-A: b\r\tc\r\td\r\te"),
        (.field("X-A", "b\u{0}\rc\td"), "+header X-A: b  c\td"),
        (.addField(name: "X-A", body: "b", place: .top), "+header X-A:b"), (.removeFields(named: "X-A"), "-header X-A"),
        (.removeField(named: "X-A", number: 2), "-header X-A/2"),
        (.rewriteTo("\"a b\"@c.test"), "rewrite-to <\"a b\"@c.test>"),
        (.rewriteTo("PostMaster"), "rewrite-to <postmaster>"),
        (.tag("virus=Eicar-Test.1"), "tag virus=Eicar-Test.1"),
    ]

    @Test("an edit is a line in front of the result", arguments: edits)
    func edit(edit: FilterEdit, line: String) throws {
        #expect(try Self.text(FilterAnswer(.accept(), edits: [edit])) == "\(line)\n0\n")
    }

    static let wrong: [FilterAnswer] = [
        FilterAnswer(.freeze(code: 0)), FilterAnswer(.freeze(code: -1)), FilterAnswer(.refuse(Reply(199, nil, ""))),
        FilterAnswer(.refuse(Reply(600, nil, ""))), FilterAnswer(.refuse(Reply(550, nil, (0..<18).map { "\($0)" }))),
        FilterAnswer(.accept(), edits: [.field("", "x")]), FilterAnswer(.accept(), edits: [.field("A B", "x")]),
        FilterAnswer(.accept(), edits: [.field("A:", "x")]), FilterAnswer(.accept(), edits: [.field("A\n", "x")]),
        FilterAnswer(.accept(), edits: [.field("Ä", "x")]), FilterAnswer(.accept(), edits: [.removeFields(named: "")]),
        FilterAnswer(.accept(), edits: [.removeField(named: "A", number: 0)]),
        FilterAnswer(.accept(), edits: [.rewriteTo("a\n0")]), FilterAnswer(.accept(), edits: [.rewriteTo("")]),
        FilterAnswer(.accept(), edits: [.field("A", String(repeating: "a", count: 996))]),
        FilterAnswer(.accept(), edits: [.field(String(repeating: "A", count: 77), "x")]),
        FilterAnswer(.accept(), edits: [.field(".A", "x")]),
        FilterAnswer(.accept(), edits: [.rewriteTo("nobody")]),
        FilterAnswer(.accept(), edits: [.rewriteTo("a@b.test, c@d.test")]), FilterAnswer(.accept(), edits: [.tag("")]),
        FilterAnswer(.accept(), edits: [.tag("a b")]),
        FilterAnswer(.accept(), edits: [.tag(String(repeating: "a", count: 65))]),
        FilterAnswer(.accept(), edits: [.field("A", String(repeating: "a\n", count: 40_000))]),
        FilterAnswer(.accept(), edits: [FilterEdit](repeating: .tag("a"), count: 201)),
    ]

    @Test("what the interface has no words for is an error", arguments: wrong)
    func errors(answer: FilterAnswer) {
        #expect(throws: FilterAnswerError.self) { try answer.lines(prefix: "", id: "7") }
    }

    @Test("remarks cannot be taken for anything else")
    func remarks() throws {
        #expect(
            try Self.text(FilterAnswer(.accept(), remarks: ["hungry\n-1"]), prefix: "/p/7 ")
                == "# 7: hungry -1\n/p/7 0\n")
    }
}
