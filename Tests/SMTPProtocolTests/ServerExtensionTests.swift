import MailModel
import Testing

@testable import SMTPProtocol

/// DELIVERBY, FUTURERELEASE, MT-PRIORITY, LIMITS, ETRN, XCLIENT, VERB, TICK, Z-DEBUG.
@Suite struct ServerExtensionTests {
    /// 2026-11-26T12:00:00Z
    static let now: Int64 = 1_795_694_400

    static func run(
        _ input: String, _ change: (inout ServerConfiguration.Values) -> Void = { _ in },
        prepare: (inout ServerHost) -> Void = { _ in }
    ) -> (host: ServerHost, replies: [String]) {
        var host = ServerHost { values in
            values.extensions.formUnion([.deliverBy, .futureRelease, .priority, .etrn])
            values.maximumHold = 86400
            values.requiresAuthentication = true
            change(&values)
        }
        host.session.surroundings.unixTime = now
        host.session.surroundings.isTrusted = true
        prepare(&host)
        host.greet()
        _ = host.replies()
        host.receive(octets(input.replacing("\n", with: "\r\n")))
        return (host, host.replies().split(separator: "\n").map(String.init))
    }

    @Test("EHLO tells the limits of each extension")
    func keywords() {
        let (_, replies) = Self.run("EHLO a\n") { $0.minimumDeliverBy = 240 }
        #expect(replies.contains("250-DELIVERBY 240"))
        #expect(replies.contains("250-FUTURERELEASE 86400 2026-11-27T12:00:00Z"))
        #expect(replies.contains("250-MT-PRIORITY"))
        #expect(replies.contains("250-LIMITS RCPTMAX=100"))
        #expect(!replies.contains("250-ETRN"), "not where mail is submitted")
        #expect(Self.run("EHLO a\n") { $0.requiresAuthentication = false }.replies.contains("250-ETRN"))
    }

    @Test(
        "parameters of MAIL are read",
        arguments: [
            ("BY=120;R", MailRow { $0.deliverBy = DeliverBy(seconds: 120, mode: .return) }),
            ("BY=+30;R", MailRow { $0.deliverBy = DeliverBy(seconds: 30, mode: .return) }),
            ("by=-30;nt", MailRow { $0.deliverBy = DeliverBy(seconds: -30, mode: .notify, isTraced: true) }),
            ("HOLDFOR=86400", MailRow { $0.hold = .seconds(86400) }),
            ("HOLDUNTIL=2026-11-26T13:00:00Z", MailRow { $0.hold = .until(now + 3600) }),
            ("HOLDUNTIL=2026-11-26T15:30:00.25+02:30", MailRow { $0.hold = .until(now + 3600) }),
            ("MT-PRIORITY=-9", MailRow { $0.priority = -9 }), ("MT-PRIORITY=3", MailRow { $0.priority = 3 }),
        ])
    func read(parameter: String, row: MailRow) {
        let (host, replies) = Self.run("EHLO a\nMAIL FROM:<a@b.example> \(parameter)\n")
        var expected = MailCommand(reversePath: .mailbox(Mailbox("a@b.example")!))
        row.change(&expected)
        #expect(replies.last == "250 2.1.0 Sender syntax Ok")
        #expect(host.questions.last == .sender(expected))
    }

    struct MailRow: Sendable {
        let change: @Sendable (inout MailCommand) -> Void
        init(_ change: @escaping @Sendable (inout MailCommand) -> Void) { self.change = change }
    }

    @Test(
        "values that are none are refused with the parameter's name",
        arguments: [
            "BY=0;R", "BY=-1;R", "BY=1", "BY=;R", "BY=1;X", "BY=1;RX", "BY=1234567890;N", "HOLDFOR=0", "MT-PRIORITY=03",
            "MT-PRIORITY=-0", "BY=++5;R", "HOLDFOR=",
            "HOLDFOR=-1",
            "HOLDFOR=1234567890", "HOLDUNTIL=tomorrow", "HOLDUNTIL=2026-02-30T00:00:00Z",
            "HOLDUNTIL=2026-11-26T13:00:00",
            "MT-PRIORITY=10", "MT-PRIORITY=+1", "MT-PRIORITY=", "MT-PRIORITY=-10", "BY=1;R BY=1;R",
            "HOLDFOR=1 HOLDFOR=1",
            "HOLDFOR=1 HOLDUNTIL=2026-11-26T13:00:00Z",
        ])
    func bad(parameter: String) {
        let (_, replies) = Self.run("EHLO a\nMAIL FROM:<a@b.example> \(parameter)\n")
        #expect(replies.last?.hasPrefix("501 5.5.4 ") == true, "\(replies.last ?? "")")
    }

    @Test("what is not offered is an unknown parameter", arguments: ["BY=9;R", "HOLDFOR=9", "MT-PRIORITY=1"])
    func notOffered(parameter: String) {
        let (_, replies) = Self.run("EHLO a\nMAIL FROM:<a@b.example> \(parameter)\n") { $0.extensions = .all }
        #expect(replies.last == "555 5.5.4 Unknown MAIL FROM:<> parameter: \(parameter)")
    }

    @Test("strangers cannot have their mail held here (RFC 4865 is for submission)")
    func holdIsForSubmission() {
        let (_, replies) = Self.run(
            "EHLO a\nMAIL FROM:<a@b.example> HOLDFOR=9\n", { $0.requiresAuthentication = false },
            prepare: { $0.session.surroundings.isTrusted = false })
        #expect(!replies.contains { $0.contains("FUTURERELEASE") })
        #expect(replies.last == "555 5.5.4 Unknown MAIL FROM:<> parameter: HOLDFOR=9")
    }

    @Test(
        "a hold beyond the maximum, and a time that is shorter than we can keep, are refused",
        arguments: [
            ("HOLDFOR=86401", "501 5.5.4 A message can be held for 86400 seconds at most"),
            ("HOLDUNTIL=2026-11-27T12:00:01Z", "501 5.5.4 A message can be held for 86400 seconds at most"),
            ("BY=239;R", "553 5.7.1 BY must be 240 seconds at least"),
        ])
    func beyond(parameter: String, expected: String) {
        let (_, replies) = Self.run("EHLO a\nMAIL FROM:<a@b.example> \(parameter)\n") { $0.minimumDeliverBy = 240 }
        #expect(replies.last == expected)
    }

    @Test(
        "ETRN takes names of domains between transactions (RFC 1985)",
        arguments: [
            ("ETRN\n", "501 5.5.4 ETRN needs target domain name parameter."),
            ("ETRN @b.example\n", "459 4.7.1 Sorry, only literal target domains accepted."),
            ("ETRN #queue\n", "459 4.7.1 Sorry, only literal target domains accepted."),
            ("ETRN b_!c\n", "459 4.7.1 Sorry, only literal target domains accepted."),
            ("MAIL FROM:<a@b.example>\nETRN b.example\n", "503 5.5.1 ETRN is not allowed in a transaction"),
            ("ETRN b.example\n", "250 2.0.0 started b.example"),
        ])
    func etrn(input: String, expected: String) {
        let (_, replies) = Self.run(
            "EHLO a\n" + input, { $0.requiresAuthentication = false },
            prepare: { host in
                host.decide = { question in
                    guard case .startQueue(let domain) = question else { return .accept }
                    return .reply(Reply(250, EnhancedStatusCode(2, 0, 0), "started \(domain)"))
                }
            })
        #expect(replies.last == expected)
    }

    @Test("XCLIENT is a command for those who may use it only")
    func xclient() {
        let input = "EHLO a\nXCLIENT ADDR=192.0.2.1\n"
        #expect(Self.run(input).replies.last == "550 5.5.2 Unknown command 'XCLIENT ADDR=192.0.2.1'")
        let (other, replies) = Self.run(
            input, { _ in }, prepare: { $0.session.surroundings.mayChangeClient = true })
        #expect(replies.contains("250-XCLIENT NAME ADDR PORT LOGIN DESTADDR DESTPORT"))
        #expect(other.questions.last == .changeClient("ADDR=192.0.2.1"))
    }

    @Test("behind XCLIENT the session begins anew")
    func restart() {
        var (host, _) = Self.run("EHLO a\n")
        host.session.restart(
            ServerSession.Peer(literal: "[192.0.2.1]"), configuration: host.session.configuration)
        host.greet()
        host.receive(octets("MAIL FROM:<a@b.example>\r\n"))
        #expect(host.replies().hasSuffix("503 5.5.1 Hello [192.0.2.1], Waiting for HELO/EHLO command\n"))
    }

    @Test("Z-DEBUG is there with DEBUGcmd, behind VERB")
    func debug() {
        #expect(Self.run("EHLO a\nVERB\nZ-DEBUG\n").replies.last == "550 5.5.2 Unknown command 'Z-DEBUG'")
        let (_, replies) = Self.run("EHLO a\nZ-DEBUG\n") { $0.enablesDebug = true }
        #expect(replies.last == "503 5.5.1 VERB comes first")
        let (host, _) = Self.run("EHLO a\nVERB\nZ-DEBUG\n") { $0.enablesDebug = true }
        #expect(host.questions.last == .debug)
    }

    @Test("TICK is repeated and makes the session a batch")
    func tick() {
        let (host, replies) = Self.run("EHLO a\nTICK 0001\n")
        #expect(replies.last == "250 2.0.0 TICK 0001")
        #expect(host.session.isBatch)
    }
}
