import Testing

@testable import Supervisor

@Suite("JSON of the queue socket")
struct JSONValueTests {
    @Test(
        "what RFC 8259 allows is read",
        arguments: [
            ("null", JSONValue.null), ("true", .bool(true)), (" false ", .bool(false)), ("-12", .number(-12)),
            ("1.5e2", .number(150)), ("\"\"", .string("")), ("[]", .array([])), ("{}", .object([:])),
            ("[1, [2], {}]", .array([.number(1), .array([.number(2)]), .object([:])])),
            ("{\"id\":\"17\",\"size\":4096}", .object(["id": .string("17"), "size": .number(4096)])),
            (#""a\"b\\c\/d\n\u0041\ud83d\ude00""#, .string("a\"b\\c/d\nA😀")),
            ("\"grüße\"", .string("grüße")),
        ])
    func reads(text: String, expected: JSONValue) throws {
        #expect(try JSONValue(parsing: text.utf8) == expected)
    }

    @Test(
        "what it does not allow is refused with the place",
        arguments: [
            "", "{", "[1,", "[1,]", "{\"a\"}", "{\"a\":}", "\"open", "\"a\u{1}\"", "tru", "1 2", #""\x""#, #""\ud83d""#,
            String(repeating: "[", count: 40),
        ])
    func refuses(text: String) {
        #expect(throws: JSONValue.SyntaxError.self) { try JSONValue(parsing: text.utf8) }
    }

    @Test(
        "any text survives being written and read",
        arguments: [
            "", "plain", "quote \" and \\", "\u{0}\u{1f}\n\t", "ünïcödé 😀", "</script>",
        ])
    func roundTrip(text: String) throws {
        let value = JSONValue.object(["k": .array([.string(text), .number(3), .bool(true), .null])])
        #expect(try JSONValue(parsing: value.text.utf8) == value)
    }
}
