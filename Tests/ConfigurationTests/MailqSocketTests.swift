import Configuration
import MailModel
import Testing

@Suite("Where the scheduler answers mailq")
struct MailqSocketTests {
    @Test(
        "forms of PARAMmailqsock",
        arguments: [
            ("UNIX:/run/mailq", .unix("/run/mailq")), ("unix:/a b", .unix("/a b")), ("/run/mailq", .unix("/run/mailq")),
            ("TCP:174", .tcp(port: 174, address: nil)), ("tcp:mailq", .tcp(port: 174, address: nil)),
            ("65535", .tcp(port: 65535, address: nil)), ("mailq", .tcp(port: 174, address: nil)),
            ("TCP:1740@127.0.0.1", .tcp(port: 1740, address: .v4(0x7f00_0001))),
            ("TCP:1@[127.0.0.1]", .tcp(port: 1, address: .v4(0x7f00_0001))),
            ("1740@::1", .tcp(port: 1740, address: .v6(high: 0, low: 1))),
            ("TCP:1740@[IPv6:::1]", .tcp(port: 1740, address: .v6(high: 0, low: 1))),
            ("", nil), ("UNIX:", nil), ("UNIX:relative", nil), ("TCP:", nil), ("TCP:0", nil), ("TCP:65536", nil),
            ("TCP:+1", nil), ("TCP:smtp", nil), ("TCP:174@", nil), ("TCP:174@localhost", nil), ("UDP:174", nil),
        ] as [(String, MailqSocket?)])
    func forms(text: String, expected: MailqSocket?) {
        #expect(MailqSocket(text) == expected)
        if let expected { #expect(MailqSocket(expected.description) == expected) }
    }

    private func parse(_ text: String) throws(ConfigurationErrors) -> SchedulerParameters {
        let environment = ZEnvironment(values: ["MAILSHARE": "/share"])
        return try SchedulerConfiguration.parse(
            text + "\nsmtp/* command=smtp\n", file: "s.conf", environment: environment
        ).parameters
    }

    @Test("it is off unless it is asked for")
    func off() throws {
        #expect(try parse("").mailqSocket == nil)
        let parameters = try parse("PARAMauthfile = \"${MAILSHARE}/scheduler.auth\"")
        #expect(parameters.authFile == "/share/scheduler.auth")
        #expect(parameters.mailqSocket == nil)
    }

    @Test("both parameters, by the names of code and documentation", arguments: ["mailqsock", "mailqpath"])
    func on(name: String) throws {
        let parameters = try parse("PARAMauthfile=/a\nPARAM\(name) = \"TCP:1740@127.0.0.1\"")
        #expect(parameters.mailqSocket == .tcp(port: 1740, address: .v4(0x7f00_0001)))
    }

    @Test(
        "mistakes are told with what would be valid",
        arguments: [
            ("PARAMmailqsock=TCP:174", "s.conf:1: PARAMmailqsock: needs PARAMauthfile: nobody could log in"),
            ("PARAMauthfile=scheduler.auth", "valid is an absolute path"),
            ("PARAMauthfile=$NOWHERE/x", "$NOWHERE is not set"),
            (
                "PARAMauthfile=/a\nPARAMmailqsock=UNIX:x",
                "s.conf:2: PARAMmailqsock: 'UNIX:x' is not valid; valid are UNIX:/path"
            ),
        ])
    func mistakes(text: String, expected: String) {
        do throws(ConfigurationErrors) {
            _ = try parse(text)
            Issue.record("taken: \(text)")
        } catch {
            #expect(error.description.contains(expected), "\(error)")
        }
    }
}
