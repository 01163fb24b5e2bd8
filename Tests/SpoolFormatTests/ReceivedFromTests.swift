import MailModel
import SpoolFormat
import Testing

@Suite("The client in rcvdfrom") struct ReceivedFromTests {
    struct Row: CustomTestStringConvertible {
        var text: String
        var name: String
        var address: String?
        var port: UInt16 = 0
        var hello: String?
        var testDescription: String { text }
    }

    static let rows = [
        Row(
            text: #"mx.example ([192.0.2.1]:4711 "EHLO mx.example" rhost-flags-OK-OK-OK-OK)"#, name: "mx.example",
            address: "192.0.2.1", port: 4711, hello: "mx.example"),
        Row(
            text: #"[IPv6:2001:db8::1] ([IPv6:2001:db8::1]:25 "HELO a" rhost-flags-FAIL-??-OK-FAIL)"#,
            name: "[IPv6:2001:db8::1]", address: "2001:db8::1", port: 25, hello: "a"),
        Row(text: "mx.example ([192.0.2.1])", name: "mx.example", address: "192.0.2.1"),
        Row(
            text: "mail.example.com ([192.0.2.1]:4711 EHLO)", name: "mail.example.com", address: "192.0.2.1", port: 4711
        ),
        Row(text: #"stdin (uid#1000@localhost "EHLO me")"#, name: "stdin", hello: "me"),
        Row(
            text: #"a ([192.0.2.1]:1 "EHLO \"x\\ \(y\) \303\244" rhost-flags-OK-OK-FAIL-FAIL)"#, name: "a",
            address: "192.0.2.1", port: 1, hello: #""x\ (y) ä"#),
        Row(
            text: #"a ([192.0.2.1]:1 ident: "EHLO forged" TLS-CIPHER: <none> "EHLO right" smtp-auth: "HELO u")"#,
            name: "a", address: "192.0.2.1", port: 1, hello: "right"),
        Row(text: #"a ([192.0.2.1] "EHLO a\000b\015\012c")"#, name: "a", address: "192.0.2.1", hello: "a b  c"),
        Row(text: #"a ([192.0.2.1] "VRFY a")"#, name: "a", address: "192.0.2.1"),
    ]

    @Test("name, address, port and HELO argument are read", arguments: rows)
    func read(row: Row) throws {
        let from = try #require(ReceivedFrom(row.text))
        #expect(
            from
                == ReceivedFrom(
                    name: row.name, address: row.address.flatMap { IPAddress($0) }, port: row.port, hello: row.hello))
    }

    @Test(
        "what has another form is not guessed at",
        arguments: [
            "", "a", "a ", "a (", "a ()", "a ([192.0.2.1]", "a ([192.0.2.1])x", "a ([192.0.2.1]) (x)", " ([192.0.2.1])",
            "a ([192.0.2.256])", "a ([])", "a ([x:y])", "a ([192.0.2.1]:)", "a ([192.0.2.1]:65536)",
            "a ([192.0.2.1]:-1)",
            #"a ([192.0.2.1] "EHLO)"#, #"a ([192.0.2.1] "EHLO x\")"#, #"a ([192.0.2.1] "EHLO (x)")"#,
            #"a ([192.0.2.1] "EHLO \777")"#, #"a ([192.0.2.1] "EHLO \12")"#, #"a ([192.0.2.1]"EHLO a")"#,
            "a ([192.0.2.1] (x))", "a ([192.0.2.1] )", "a\u{1}b ([192.0.2.1])",
        ])
    func refused(text: String) {
        #expect(ReceivedFrom(text) == nil)
    }
}
