import MailModel
import Routing
import Testing

@Suite("Routing: values of routes and targets of aliases")
struct RouteSpecTests {
    @Test(
        "routes that are taken",
        arguments: [
            ("smtp!mail.example.net", "smtp", "mail.example.net", nil), ("SMTP!a.b", "smtp", "a.b", nil),
            ("smtpx!relay", "smtpx", "relay", nil), ("smtpx![192.0.2.25]", "smtpx", "[192.0.2.25]", nil),
            ("smtpx![192.0.2.25]:2526", "smtpx", "[192.0.2.25]:2526", nil), ("smtp!host:25", "smtp", "host:25", nil),
            ("smtpx![IPv6:2001:db8::1]:25", "smtpx", "[IPv6:2001:db8::1]:25", nil), ("smtp!", "smtp", nil, nil),
            ("smtp!-", "smtp", nil, nil), ("smtp-lmtp!host!user@x", "smtp-lmtp", "host", "user@x"),
            ("local!", "local", nil, nil), ("local!-!alice", "local", nil, "alice"),
            ("error!nosuchuser", "error", "nosuchuser", nil),
            ("bitbucket!-", "bitbucket", nil, nil), ("hold!dns:x.y", "hold", "dns:x.y", nil),
            ("uucp!a!b!c", "uucp", "a", "b!c"),
        ] as [(String, String, String?, String?)])
    func valid(text: String, channel: String, host: String?, user: String?) {
        #expect(RouteSpec(text) == RouteSpec(channel: channel, host: host, user: user))
        #expect(RouteSpec.problem(text) == nil)
    }

    @Test(
        "routes that are refused, with what would be valid",
        arguments: [
            "", "smtp", "!host", "smtp!ho st", "smtp!a..b", "smtp![1.2.3]", "smtp!host:0", "smtp!host:65536",
            "smtp!host:",
            "smtp!:25", "error!", "error!-", "error!../x", "error!a/b", "sm tp!x", "smtp!host\u{7}", "smtp!h!u\u{1}",
            "\(String(repeating: "x", count: 33))!y",
        ])
    func invalid(text: String) {
        #expect(RouteSpec.problem(text)?.contains("valid are smtp!host") == true)
    }

    @Test(
        "targets that are taken",
        arguments: [
            ("alice", .name("alice")), ("\"john doe\"", .name("john doe")), ("a.b+c", .name("a.b+c")),
            ("\\alice", .mailbox("alice")),
            ("|/bin/cat -", .command("|/bin/cat -")), ("/dev/null", .file("/dev/null")),
            (":include:/l", .include("/l")),
            (":INCLUDE:/l", .include("/l")), ("a@b.test", .address("a@b.test")), ("<a@b.test>", .address("a@b.test")),
            ("\"a b\"@c.test", .address("\"a b\"@c.test")), ("jürgen", .name("jürgen")),
            ("a@[192.0.2.1]", .address("a@[192.0.2.1]")),
        ] as [(String, Target)])
    func targets(text: String, expected: Target) {
        #expect(AliasTarget(text) == expected.value)
        #expect(AliasTarget.problem(text) == nil)
    }

    @Test(
        "targets that are refused, with what would be valid",
        arguments: [
            "", "|", "|  ", "/", ":include:", ":include:rel", ":other:/x", "a b", "a@", "@b", "a@b@c", "\\", "a\u{1}b",
            "a..b",
            "<a@b", "\"open", "a@b..c",
        ])
    func invalidTargets(text: String) {
        #expect(AliasTarget.problem(text)?.contains("valid are user, user@domain") == true)
    }

    enum Target: Sendable {
        case name(String)
        case mailbox(String)
        case command(String)
        case file(String)
        case include(String)
        case address(String)

        var value: AliasTarget? {
            switch self {
            case .name(let text): LocalPart(decoded: text).map(AliasTarget.name)
            case .mailbox(let text): LocalPart(decoded: text).map(AliasTarget.mailbox)
            case .command(let text): .command(text)
            case .file(let text): .file(text)
            case .include(let text): .include(text)
            case .address(let text): Mailbox(text).map(AliasTarget.address)
            }
        }
    }
}
