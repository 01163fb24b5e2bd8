import Testing

@testable import Submission

@Suite struct AddressFieldTests {
    @Test(
        "addresses are found whatever stands around them",
        arguments: [
            ("alice@example.test", ["alice@example.test"]),
            ("alice, bob", ["alice", "bob"]),
            ("Alice <alice@example.test>, \"Bob, B.\" <bob@b.test>", ["alice@example.test", "bob@b.test"]),
            ("alice@example.test (Alice, at (home)), bob", ["alice@example.test", "bob"]),
            ("friends: alice@a.test, Bob <bob@b.test>;, carol@c.test", ["alice@a.test", "bob@b.test", "carol@c.test"]),
            ("undisclosed-recipients:;", []),
            ("unlisted-recipients:; (no To-header on input)", []),
            ("<@relay.test,@other.test:alice@a.test>", ["alice@a.test"]),
            ("\"john doe\"@a.test", ["\"john doe\"@a.test"]),
            ("\"a\\\"b,c\"@a.test, d", ["\"a\\\"b,c\"@a.test", "d"]),
            ("alice @ example . test", ["alice@example.test"]),
            ("alice@a.test; bob@b.test", ["alice@a.test", "bob@b.test"]),
            ("  ,, ,alice@a.test,", ["alice@a.test"]), ("", []), ("(only a comment)", []),
            ("alice@a.test,\r\n\tbob@b.test", ["alice@a.test", "bob@b.test"]),
            ("User <alice@[IPv6:2001:db8::1]>", ["alice@[IPv6:2001:db8::1]"]),
            ("grüße@exämple.test", ["grüße@exämple.test"]),
            ("bob@b.test <bob@b.test> (Bob)", ["bob@b.test"]), ("\"team@home\": a@b.test;", ["a@b.test"]),
        ])
    func found(text: String, expected: [String]) {
        let field = AddressField(text)
        #expect(field.addresses == expected)
        #expect(field.malformed.isEmpty)
    }

    @Test(
        "what cannot be one address is told, and the others are found",
        arguments: [
            ("alice bob, carol", ["carol"], ["alice bob"]), ("<>, carol", ["carol"], ["<>"]),
            ("Alice <alice@a.test", [], ["<alice@a.test>"]), ("Alice <a@b.test, carol", [], ["<a@b.test>", "carol>"]),
            ("A <a@x.test> B <b@y.test>", [], ["<a@x.test> A B <b@y.test>"]),
            ("<a@x.test> b@y.test, carol", ["carol"], ["<a@x.test> b@y.test"]),
            ("<a@x.test>: b@y.test", [], ["<a@x.test> : b@y.test"]),
            ("alice@a.test (never closed, bob@b.test", [], ["alice@a.test (never closed, bob@b.test"]),
            ("carol, (never closed, bob@b.test", ["carol"], ["(never closed, bob@b.test"]),
            ("<a@x.test> (open", [], ["<a@x.test> (open"]),
            ("carol, \"Bob <bob@b.test>, dave@d.test", ["carol"], ["\"Bob <bob@b.test>, dave@d.test"]),
        ])
    func malformed(text: String, addresses: [String], malformed: [String]) {
        let field = AddressField(text)
        #expect(field.malformed.first == malformed.first)
        #expect(addresses.allSatisfy(field.addresses.contains))
        #expect(!field.addresses.contains { $0.contains(" ") })
    }

    @Test(
        "an address without a domain ends where one can be put",
        arguments: [
            ("alice", "alice@d"), ("alice, b@c", "alice@d, b@c"), ("A <alice>, bob (b)", "A <alice@d>, bob@d (b)"),
            ("root (Cron Daemon)", "root@d (Cron Daemon)"), ("a@b", "a@b"), ("g: alice, bob;", "g: alice@d, bob@d;"),
            ("undisclosed:;", "undisclosed:;"), ("\"a b\"", "\"a b\"@d"),
        ])
    func bare(text: String, expected: String) {
        var octets = Array(text.utf8)
        for end in AddressField(text).bareEnds.reversed() { octets.insert(contentsOf: "@d".utf8, at: end) }
        #expect(String(decoding: octets, as: UTF8.self) == expected)
    }

    @Test("a megabyte of colons is read as fast as one of letters")
    func colons() {
        let clock = ContinuousClock()
        let head = String(repeating: "a", count: 500_000)
        var field = AddressField("")
        let letters = clock.measure { field = AddressField("\(head)\(String(repeating: "b", count: 500_000))@d") }
        #expect(field.addresses.count == 1)
        for text in ["\(head)@\(String(repeating: ":", count: 500_000))", String(repeating: "a:", count: 500_000)] {
            let colons = clock.measure { field = AddressField(text) }
            #expect(field.addresses.count <= 1)
            #expect(colons < letters * 20 + .seconds(1))
        }
    }

    @Test("no text of a stranger makes it do anything but end")
    func anything() {
        var generator = SystemRandomNumberGenerator()
        let letters = Array("ab@<>(),;:\"\\. \t\r\n[]é".utf8)
        for _ in 0..<5000 {
            let text = (0..<Int.random(in: 0..<40, using: &generator)).map { _ in
                letters[Int.random(in: 0..<letters.count, using: &generator)]
            }
            let field = AddressField(text)
            #expect(field.bareEnds.count <= field.addresses.count)
            #expect(field.bareEnds.allSatisfy { $0 <= text.count })
            #expect(field.bareEnds == field.bareEnds.sorted())
        }
    }
}
