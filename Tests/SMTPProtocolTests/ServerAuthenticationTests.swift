import MailModel
import Testing

@testable import SMTPProtocol

/// AUTH (RFC 4954). The host here knows a mechanism of one message: the user's name, which must not be `mallory`.
@Suite struct ServerAuthenticationTests {
    static func decide(_ question: ServerSession.Question) -> ServerSession.Answer {
        guard case .authentication(let step) = question else { return ServerHost.usual(question) }
        switch step {
        case .begin(_, nil): return .challenge(Array("who?".utf8))
        case .begin(_, let octets?), .response(let octets):
            let user = String(decoding: octets, as: UTF8.self)
            if user == "mallory" {
                return .reply(Reply(535, EnhancedStatusCode(5, 7, 8), "Authentication Failed"))
            }
            if user == "broken" {
                return .reply(Reply(454, EnhancedStatusCode(4, 7, 0), "Temporary authentication failure"))
            }
            return .authenticated(user: user)
        }
    }

    static func run(
        _ input: String, _ change: (inout ServerConfiguration.Values) -> Void = { _ in }, isSecure: Bool = true,
        isTrusted: Bool = false
    ) -> (host: ServerHost, replies: [String]) {
        var host = ServerHost { values in
            values.extensions.insert(.starttls)
            values.mechanisms = ["PLAIN", "LOGIN", "SCRAM-SHA-256", "SCRAM-SHA-256-PLUS"]
            change(&values)
        }
        host.decide = decide
        host.session.surroundings.isSecure = isSecure
        host.session.surroundings.isTrusted = isTrusted
        host.greet()
        _ = host.replies()
        host.receive(octets(input.replacing("\n", with: "\r\n")))
        return (host, host.replies().split(separator: "\n").map(String.init))
    }

    static func base64(_ text: String) -> String { Base64.encode(Array(text.utf8)) }

    @Test("mechanisms that send a password are offered with TLS only, unless that was asked for")
    func offer() {
        let secure = Self.run("EHLO a\n").replies
        #expect(secure.contains("250-AUTH=LOGIN"))
        #expect(secure.contains("250-AUTH PLAIN LOGIN SCRAM-SHA-256 SCRAM-SHA-256-PLUS"))
        let clear = Self.run("EHLO a\n", isSecure: false).replies
        #expect(clear.contains("250-AUTH SCRAM-SHA-256"))
        #expect(!clear.contains { $0.contains("LOGIN") })
        let allowed = Self.run("EHLO a\n", { $0.allowsClearTextAuthentication = true }, isSecure: false).replies
        #expect(allowed.contains("250-AUTH PLAIN LOGIN SCRAM-SHA-256"))
        let again = Self.run("EHLO a\nAUTH PLAIN \(Self.base64("alice"))\nEHLO a\n").replies
        #expect(again.filter { $0.hasPrefix("250-AUTH ") }.count == 1)
    }

    @Test("an initial response is answered at once, without one a challenge comes first")
    func succeeds() {
        let (host, replies) = Self.run("EHLO a\nAUTH PLAIN \(Self.base64("alice"))\n")
        #expect(replies.last == "235 2.7.0 Authentication successful")
        #expect(host.session.authenticatedUser == "alice")
        let (other, two) = Self.run("EHLO a\nAUTH LOGIN\n\(Self.base64("bob"))\n")
        #expect(two.suffix(2) == ["334 \(Self.base64("who?"))", "235 2.7.0 Authentication successful"])
        #expect(other.session.authenticatedUser == "bob")
    }

    @Test("an empty response and '=' are responses of no octets, which differ from none")
    func empty() {
        let (host, replies) = Self.run("EHLO a\nAUTH PLAIN =\n")
        #expect(host.questions.last == .authentication(.begin(mechanism: "PLAIN", initialResponse: [])))
        #expect(replies.last == "235 2.7.0 Authentication successful")
        let (second, _) = Self.run("EHLO a\nAUTH PLAIN\n\n")
        #expect(second.questions.last == .authentication(.response([])))
    }

    @Test(
        "what is no exchange is refused, and the session goes on",
        arguments: [
            ("AUTH PLAIN YQ==\n", "503 5.5.1 Hello [192.0.2.9], Waiting for EHLO command"),
            ("HELO a\nAUTH PLAIN YQ==\n", "503 5.5.1 Hello [192.0.2.9], Waiting for EHLO command"),
            ("EHLO a\nMAIL FROM:<a@b.example>\nAUTH PLAIN YQ==\n", "503 5.5.1 AUTH is not allowed in a transaction"),
            ("EHLO a\nAUTH PLAIN YQ==\nAUTH PLAIN YQ==\n", "503 5.5.1 Already authenticated"),
            ("EHLO a\nAUTH\n", "501 5.5.4 AUTH takes a mechanism, and a response in base64 if there is one"),
            ("EHLO a\nAUTH PLAIN a b\n", "501 5.5.4 AUTH takes a mechanism, and a response in base64 if there is one"),
            (
                "EHLO a\nAUTH CRAM-MD5\n",
                "504 5.5.4 Hello [192.0.2.9], Only 'AUTH PLAIN LOGIN SCRAM-SHA-256 SCRAM-SHA-256-PLUS' supported."
            ),
            ("EHLO a\nAUTH PLAIN YQ=\n", "501 5.5.2 Cannot decode the response: it must be base64"),
            ("EHLO a\nAUTH PLAIN\n?\n", "501 5.5.2 Cannot decode the response: it must be base64"),
            ("EHLO a\nAUTH PLAIN\nYQ\n", "501 5.5.2 Cannot decode the response: it must be base64"),
            ("EHLO a\nAUTH PLAIN\n*\n", "501 5.7.0 AUTH command cancelled"),
            ("EHLO a\nAUTH PLAIN bWFsbG9yeQ==\n", "535 5.7.8 Authentication Failed"),
            ("EHLO a\nAUTH PLAIN YnJva2Vu\n", "454 4.7.0 Temporary authentication failure"),
        ])
    func refused(input: String, expected: String) {
        let (host, replies) = Self.run(input)
        #expect(replies.last == expected)
        #expect(!host.isClosed)
    }

    @Test("a mechanism that needs TLS is refused without it (RFC 4954 §4)")
    func needsTLS() {
        let (_, replies) = Self.run("EHLO a\nAUTH PLAIN YQ==\n", isSecure: false)
        #expect(
            replies.last
                == "538 5.7.11 Hello [192.0.2.9], Plaintext password authentication must be run under SSL/TLS")
    }

    @Test("a response of more than 12288 octets is refused, one of that length is looked at (RFC 4954 §4)")
    func longLine() {
        let fits = String(repeating: "YWFh", count: 3071)
        #expect(Self.run("EHLO a\nAUTH PLAIN\n\(fits)\n").replies.last == "235 2.7.0 Authentication successful")
        let (_, replies) = Self.run("EHLO a\nAUTH PLAIN\n\(fits)YWFh\nNOOP\n")
        #expect(replies.suffix(2) == ["500 5.5.6 Authentication exchange line is too long", "250 2.0.0 Ok"])
    }

    @Test("the fifth refusal ends the session, temporary failures do not count")
    func tooManyFailures() {
        let attempt = "AUTH PLAIN \(Self.base64("mallory"))\n"
        let (host, replies) = Self.run(
            "EHLO a\n" + String(repeating: "AUTH PLAIN YnJva2Vu\n", count: 9) + String(repeating: attempt, count: 6))
        #expect(replies.last == "421 4.7.0 Too many authentication failures, closing")
        #expect(replies.filter { $0.hasPrefix("535") }.count == 5)
        #expect(host.isClosed)
    }

    @Test("passwords are in no transcript and no refusal")
    func secrets() {
        var host = ServerHost { $0.mechanisms = ["PLAIN"] }
        host.decide = Self.decide
        host.session.surroundings.isSecure = true
        host.session.transcript = []
        host.session.refusalRecord = []
        host.greet()
        let secret = Self.base64("mallory")
        host.receive(
            octets("EHLO a\r\nAUTH PLAIN \(secret)\r\nAUTH PLAIN\r\n\(secret)\r\nAUTH PLAIN\r\n\(secret)?\r\n"))
        let shown = "\(host.session.transcript ?? []) \(host.session.refusalRecord ?? [])"
        #expect(!shown.contains(secret))
        #expect(shown.contains("AUTH ..."))
        #expect(shown.contains("**base64-response**"))
        #expect(!text(host.session.decoder.line).contains(secret))
    }

    @Test("a password behind blanks, or in a session that is refused, is shown nowhere either")
    func secretsBehindBlanks() {
        let secret = Self.base64("\0alice\0secret")
        for isRefused in [false, true] {
            var host = ServerHost { values in
                values.mechanisms = ["PLAIN"]
                values.maximumUnknownCommands = 2
            }
            host.session.transcript = []
            host.session.refusalRecord = []
            if isRefused {
                host.session.greet(.refuse(Reply(550, EnhancedStatusCode(5, 7, 1), "no")), into: &host.output)
            } else {
                host.greet()
            }
            host.receive(octets("  AUTH PLAIN \(secret)\r\n\tauth PLAIN \(secret)\r\n AUTH PLAIN \(secret)\r\n"))
            let shown = "\(host.session.transcript ?? []) \(host.session.refusalRecord ?? []) \(host.replies())"
            #expect(!shown.contains(secret))
        }
    }

    @Test("the same replies however the octets are split")
    func splits() {
        let input =
            "EHLO a\r\nAUTH PLAIN\r\n\(Self.base64("mallory"))\r\nAUTH LOGIN\r\n*\r\nAUTH PLAIN YQ==\r\nNOOP\r\n"
        let all = Self.run(input.replacing("\r\n", with: "\n")).replies
        for size in 1...7 {
            var host = ServerHost { values in
                values.extensions.insert(.starttls)
                values.mechanisms = ["PLAIN", "LOGIN", "SCRAM-SHA-256", "SCRAM-SHA-256-PLUS"]
            }
            host.decide = Self.decide
            host.session.surroundings.isSecure = true
            host.greet()
            _ = host.replies()
            let octets = octets(input)
            for start in stride(from: 0, to: octets.count, by: size) {
                host.receive(Array(octets[start..<min(start + size, octets.count)]))
            }
            #expect(host.replies().split(separator: "\n").map(String.init) == all)
        }
    }

    @Test(
        "in MSA mode nothing but what RFC 6409 needs is answered before AUTH, unless the client is trusted",
        arguments: [
            ("MAIL FROM:<a@b.example>\n", "530 5.7.0 Sorry [192.0.2.9]; Authentication required"),
            ("VRFY a\n", "530 5.7.0 Sorry [192.0.2.9]; Authentication required"),
            ("ETRN b.example\n", "530 5.7.0 Sorry [192.0.2.9]; Authentication required"),
            ("NOOP\n", "250 2.0.0 Ok"), ("RSET\n", "250 2.0.0 Reset processed, now waiting for MAIL command"),
            ("AUTH PLAIN YQ==\nMAIL FROM:<a@b.example>\n", "250 2.1.0 Sender syntax Ok"),
        ])
    func submission(input: String, expected: String) {
        #expect(Self.run("EHLO a\n" + input, { $0.requiresAuthentication = true }).replies.last == expected)
        let trusted = Self.run(
            "EHLO a\nMAIL FROM:<a@b.example>\n", { $0.requiresAuthentication = true }, isTrusted: true)
        #expect(trusted.replies.last == "250 2.1.0 Sender syntax Ok")
    }
}
