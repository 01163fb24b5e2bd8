import Testing

@testable import Supervisor

@Suite("Where another scheduler is")
struct MailqClientTests {
    @Test(
        "forms of a node",
        arguments: [
            ("mx.example", .tcp(host: "mx.example", port: 174)),
            ("192.0.2.1/1740", .tcp(host: "192.0.2.1", port: 1740)),
            ("::1/174", .tcp(host: "::1", port: 174)), ("/run/mailq", .unix("/run/mailq")), ("", nil), ("a/", nil),
            ("a/0", nil), ("a/1/2", nil), ("a b", nil), ("a/mailq", nil),
        ] as [(String, MailqClient.Node?)])
    func nodes(text: String, expected: MailqClient.Node?) {
        #expect(MailqClient.Node(text) == expected)
    }
}
