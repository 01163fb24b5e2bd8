import MailModel
import Testing

@testable import SMTPProtocol

/// STARTTLS (RFC 3207) and what it does to a session.
@Suite struct ServerSecurityTests {
    static func run(
        _ input: [String], isEnforced: Bool = false, _ change: (inout ServerConfiguration.Values) -> Void = { _ in }
    ) -> (host: ServerHost, replies: [String]) {
        var host = ServerHost { values in
            values.extensions.insert(.starttls)
            values.extensions.insert(.requireTLS)
            values.requiresTLS = isEnforced
            change(&values)
        }
        host.greet()
        _ = host.replies()
        for text in input { host.receive(octets(text.replacing("\n", with: "\r\n"))) }
        let replies = host.replies().split(separator: "\n").map(String.init)
        return (host, replies)
    }

    @Test("EHLO offers STARTTLS before the handshake only, REQUIRETLS behind it only")
    func offers() {
        let (_, replies) = Self.run(["EHLO a.example\n", "STARTTLS\n", "EHLO a.example\n"])
        let parts = replies.split { $0.hasPrefix("220") }
        #expect(parts.count == 2)
        #expect(parts[0].contains("250-STARTTLS"))
        #expect(!parts[0].contains("250-REQUIRETLS"))
        #expect(!parts[1].contains("250-STARTTLS"))
        #expect(parts[1].contains("250-REQUIRETLS"))
    }

    @Test("nothing that was said before the handshake holds behind it (RFC 3207 §4.2)")
    func forgets() {
        let (host, replies) = Self.run(["EHLO a.example\n", "STARTTLS\n", "MAIL FROM:<a@b.example>\n"])
        #expect(replies.last == "503 5.5.1 Hello [192.0.2.9], Waiting for HELO/EHLO command")
        #expect(host.session.hello == nil)
        #expect(host.session.surroundings.isSecure)
    }

    @Test("what follows STARTTLS in clear text is no command, and the session ends (CVE-2011-0411)")
    func injection() {
        let (host, replies) = Self.run(["EHLO a.example\n", "STARTTLS\nMAIL FROM:<evil@b.example>\n", "NOOP\n"])
        #expect(replies.last == "501 5.5.4 Extra junk following 'STARTTLS' command!")
        #expect(host.handshakes == 0)
        #expect(host.isClosed)
        #expect(host.questions.count == 1)
    }

    @Test(
        "STARTTLS is refused where it cannot be",
        arguments: [
            (["STARTTLS\n"], "503 5.5.1 Hello [192.0.2.9], Waiting for HELO/EHLO command"),
            (["EHLO a.example\n", "STARTTLS now\n"], "501 5.5.4 Extra junk following 'STARTTLS' command!"),
            (
                ["EHLO a.example\n", "STARTTLS\n", "EHLO a.example\n", "STARTTLS\n"],
                "554 5.5.1 TLS already active, restart not allowed!"
            ),
            (
                ["EHLO a.example\n", "MAIL FROM:<a@b.example>\n", "STARTTLS\n"],
                "503 5.5.1 STARTTLS is not allowed in a transaction"
            ),
        ])
    func refused(input: [String], expected: String) {
        #expect(Self.run(input).replies.last == expected)
    }

    @Test("without it in the configuration the command is not there")
    func notOffered() {
        let (_, replies) = Self.run(["EHLO a.example\n", "STARTTLS\n"]) { $0.extensions.remove(.starttls) }
        #expect(replies.last == "502 5.5.1 Command not implemented")
    }

    @Test(
        "where TLS is enforced, only what RFC 3207 §4 names is answered before it",
        arguments: [
            ("NOOP\n", "250 2.0.0 Ok"), ("RSET\n", "250 2.0.0 Reset processed, now waiting for MAIL command"),
            ("MAIL FROM:<a@b.example>\n", "530 5.7.0 Must issue a STARTTLS command first"),
            ("VRFY a\n", "530 5.7.0 Must issue a STARTTLS command first"),
            ("AUTH PLAIN\n", "530 5.7.0 Must issue a STARTTLS command first"),
            ("BDAT 5 LAST\nHELLO", "530 5.7.0 Must issue a STARTTLS command first"),
            ("QUIT\n", "221 2.0.0 mx.example Out"),
        ])
    func enforced(command: String, expected: String) {
        let (_, replies) = Self.run(["EHLO a.example\n", command], isEnforced: true)
        #expect(replies.last == expected)
    }

    @Test("behind the handshake an enforced session goes on")
    func enforcedSecure() {
        let (_, replies) = Self.run(
            ["EHLO a.example\n", "STARTTLS\n", "EHLO a.example\n", "MAIL FROM:<a@b.example> REQUIRETLS\n"],
            isEnforced: true)
        #expect(replies.last == "250 2.1.0 Sender syntax Ok")
    }

    @Test("REQUIRETLS is an unknown parameter without TLS (RFC 8689 §3)")
    func requireTLSInClear() {
        let (_, replies) = Self.run(["EHLO a.example\n", "MAIL FROM:<a@b.example> REQUIRETLS\n"])
        #expect(replies.last == "555 5.5.4 Unknown MAIL FROM:<> parameter: REQUIRETLS")
    }
}
