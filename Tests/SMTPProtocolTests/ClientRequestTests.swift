import MailModel
import Testing

@testable import SMTPProtocol

@Suite("What was asked for on behalf of a message goes on to servers that take it")
struct ClientRequestTests {
    private static func capabilities(_ keywords: String...) -> ServerCapabilities {
        ServerCapabilities(Reply(250, nil, ["mx.example"] + keywords))
    }

    @Test(
        "DELIVERBY and its minimum",
        arguments: [
            ("DELIVERBY", true, 0), ("deliverby 240", true, 240), ("DELIVERBY 30,FUTURE=x,Y", true, 30),
            ("DELIVERBY ,Y", true, 0), ("DELIVERBY x", true, 0), ("DELIVERBY -5", true, 0),
            ("DELIVERBY 9999999999", true, 0), ("DELIVERBYE 5", false, 0),
        ])
    func deliverBy(line: String, isOffered: Bool, minimum: Int) {
        let capabilities = Self.capabilities(line)
        #expect(capabilities.hasDeliverBy == isOffered)
        #expect(capabilities.minimumDeliverBy == minimum)
    }

    @Test("MT-PRIORITY, REQUIRETLS and FUTURERELEASE are known")
    func keywords() {
        let all = Self.capabilities(
            "MT-PRIORITY MIXER", "requiretls", "FUTURERELEASE 864000 2030-01-01T00:00:00Z", "LIMITS RCPTMAX=20")
        #expect(all.hasMTPriority && all.priorityPolicy == "MIXER")
        #expect(all.hasRequireTLS)
        #expect(all.longestHold == 864_000)
        #expect(all.recipientLimit == 20)
        #expect(Self.capabilities("MT-PRIORITY").hasMTPriority)
        for line in [
            "FUTURERELEASE", "FUTURERELEASE 5", "FUTURERELEASE 0 x", "FUTURERELEASE -1 x", "FUTURERELEASE x y",
        ] {
            #expect(Self.capabilities(line).longestHold == nil)
        }
        let none = Self.capabilities("PIPELINING")
        #expect(!none.hasMTPriority && !none.hasRequireTLS && !none.hasDeliverBy && none.priorityPolicy == nil)
    }

    struct Sent: CustomTestStringConvertible, Sendable {
        let testDescription: String
        let keywords: [String]
        var by: ClientMessage.DeliverBy?
        var priority: Int?
        let mail: String
    }

    static let sent = [
        Sent(
            testDescription: "remaining time, mode and trace", keywords: ["DELIVERBY 30"],
            by: .init(remaining: 98, mode: .return, isTraced: true), mail: " BY=98;RT"),
        Sent(
            testDescription: "exactly the minimum", keywords: ["DELIVERBY 30"], by: .init(remaining: 30, mode: .return),
            mail: " BY=30;R"),
        Sent(
            testDescription: "a time that has passed", keywords: ["DELIVERBY 30"],
            by: .init(remaining: -7, mode: .notify),
            mail: " BY=-7;N"),
        Sent(
            testDescription: "no more digits than there may be", keywords: ["DELIVERBY"],
            by: .init(remaining: .min, mode: .notify), mail: " BY=-999999999;N"),
        Sent(
            testDescription: "notification from a server without DELIVERBY", keywords: ["SIZE"],
            by: .init(remaining: 5, mode: .notify), mail: " SIZE=20"),
        Sent(testDescription: "priority", keywords: ["MT-PRIORITY STANAG4406"], priority: -9, mail: " MT-PRIORITY=-9"),
        Sent(testDescription: "priority 0", keywords: ["MT-PRIORITY"], priority: 0, mail: " MT-PRIORITY=0"),
        Sent(
            testDescription: "a priority out of range", keywords: ["MT-PRIORITY"], priority: 99, mail: " MT-PRIORITY=9"),
        Sent(testDescription: "no priority", keywords: ["MT-PRIORITY"], mail: ""),
        Sent(testDescription: "priority, not offered", keywords: ["DELIVERBY"], priority: 5, mail: ""),
    ]

    @Test("MAIL says what the server takes", arguments: sent)
    func mail(_ test: Sent) {
        var message = ClientHost.mail("b@example.net")
        message.deliverBy = test.by
        message.priority = test.priority
        var host = ClientHost()
        host.receive(octets("220 mx\r\n250-mx\r\n" + test.keywords.map { "250-\($0)\r\n" }.joined() + "250 HELP\r\n"))
        _ = host.written()
        host.begin(message, content: ClientHost.message)
        #expect(host.written() == "MAIL FROM:<a@example.org>\(test.mail)\n")
    }

    @Test(
        "a message that must come back in time goes to no server that does not promise it",
        arguments: [
            (["SIZE"], 100, "5.3.3"), (["DELIVERBY 240"], 100, "5.4.7"), (["DELIVERBY"], 0, "5.4.7"),
            (["DELIVERBY"], -5, "5.4.7"), (["SIZE"], -5, "5.4.7"),
        ])
    func refused(keywords: [String], remaining: Int, status: String) {
        var message = ClientHost.mail("b@example.net", "c@example.net")
        message.deliverBy = .init(remaining: remaining, mode: .return)
        var host = ClientHost()
        host.receive(octets("220 mx\r\n250-mx\r\n" + keywords.map { "250-\($0)\r\n" }.joined() + "250 HELP\r\n"))
        _ = host.written()
        host.begin(message, content: ClientHost.message)
        #expect(host.written() == "")
        #expect(host.results.last?.map { $0.reply.status?.description } == [status, status])
        #expect(host.results.last?.allSatisfy { $0.isLocal && $0.disposition == .noUser } == true)
        #expect(host.isReady)
    }

    @Test("LMTP delivers: no promise is needed, only the time")
    func lmtp() {
        for (remaining, isSent) in [(5, true), (0, false)] {
            var message = ClientHost.mail("b@example.net")
            message.deliverBy = .init(remaining: remaining, mode: .return)
            var host = ClientHost { $0.isLMTP = true }
            host.receive(octets("220 mx\r\n250 mx\r\n"))
            _ = host.written()
            host.begin(message, content: ClientHost.message)
            #expect(host.written() == (isSent ? "MAIL FROM:<a@example.org>\n" : ""))
        }
    }

    struct Wish: CustomTestStringConvertible, Sendable {
        let testDescription: String
        let keywords: [String]
        var by: ClientMessage.DeliverBy? = .init(remaining: 60, mode: .notify)
        let notify: Notify?
        let sent: String
    }

    static let wishes = [
        Wish(testDescription: "nothing said", keywords: ["DSN"], notify: nil, sent: " NOTIFY=FAILURE,DELAY"),
        Wish(testDescription: "success only", keywords: ["DSN"], notify: .success, sent: " NOTIFY=SUCCESS,DELAY"),
        Wish(
            testDescription: "delay already", keywords: ["DSN"], notify: [.failure, .delay],
            sent: " NOTIFY=FAILURE,DELAY"),
        Wish(testDescription: "never", keywords: ["DSN"], notify: .never, sent: " NOTIFY=NEVER"),
        Wish(
            testDescription: "a server with DELIVERBY", keywords: ["DSN", "DELIVERBY"], notify: .success,
            sent: " NOTIFY=SUCCESS"),
        Wish(
            testDescription: "the time has passed", keywords: ["DSN"], by: .init(remaining: 0, mode: .notify),
            notify: .success, sent: " NOTIFY=SUCCESS"),
        Wish(testDescription: "no time at all", keywords: ["DSN"], by: nil, notify: .success, sent: " NOTIFY=SUCCESS"),
    ]

    @Test("a server without DELIVERBY is asked to tell of delays", arguments: wishes)
    func delays(_ test: Wish) {
        var message = ClientHost.mail("b@example.net")
        message.deliverBy = test.by
        message.recipients[0].notify = test.notify
        var host = ClientHost()
        host.receive(octets("220 mx\r\n250-mx\r\n" + test.keywords.map { "250-\($0)\r\n" }.joined() + "250 HELP\r\n"))
        host.begin(message, content: ClientHost.message)
        _ = host.written()
        host.receive(octets("250 Ok\r\n"))
        #expect(host.written() == "RCPT TO:<b@example.net>\(test.sent)\n")
    }
}
