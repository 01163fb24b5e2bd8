import Configuration
import MailModel
import PolicyAsking
import SpoolFormat
import Testing

@testable import SMTPProtocol
@testable import SMTPServer

@Suite struct TraceTests {
    func trace(_ argument: String = "client.example", kind: ServerSession.Hello.Kind = .ehlo) -> Trace {
        Trace(
            clientName: "[192.0.2.1]", clientLiteral: "[192.0.2.1]", clientPort: 4711, hostFlags: nil,
            hello: .init(kind: kind, argument: argument), hostName: "mx.example", protocolName: "ESMTP")
    }

    @Test("the field names client, server, protocol, id and date, and a single recipient")
    func field() throws {
        let mailbox = try #require(Mailbox("a@b.example"))
        #expect(
            trace().field(id: "123", recipient: .mailbox(mailbox), date: "Thu, 1 Jan 1970 00:00:00 +0000")
                == "Received: from [192.0.2.1] ([192.0.2.1]:4711 \"EHLO client.example\")\r\n"
                + "\tby mx.example with ESMTP id 123\r\n\tfor <a@b.example>; Thu, 1 Jan 1970 00:00:00 +0000\r\n")
        #expect(
            trace("x", kind: .helo).field(id: "1", recipient: nil, date: "D")
                == "Received: from [192.0.2.1] ([192.0.2.1]:4711 \"HELO x\")\r\n\tby mx.example with ESMTP id 1; D\r\n")
    }

    @Test(
        "what a client calls itself cannot break out of its quotes",
        arguments: [
            ("plain.example", "plain.example"), ("a\"b", "a\\\"b"), ("a\\b", "a\\\\b"), ("(a)", "\\(a\\)"),
            ("caf\u{e9}", "caf\\303\\251"), ("a\r\nX: y", "a\\015\\012X: y"),
        ])
    func quoted(text: String, expected: String) {
        #expect(Trace.quoted(text) == expected)
    }

    @Test("the protocol is named as RFC 3848 and RFC 6531 do")
    func protocolNames() {
        let ehlo = ServerSession.Hello(kind: .ehlo, argument: "x")
        let helo = ServerSession.Hello(kind: .helo, argument: "x")
        #expect(Trace.protocolName(hello: ehlo, isLMTP: false, isSMTPUTF8: false) == "ESMTP")
        #expect(Trace.protocolName(hello: ehlo, isLMTP: false, isSMTPUTF8: true) == "UTF8SMTP")
        #expect(Trace.protocolName(hello: helo, isLMTP: false, isSMTPUTF8: false) == "SMTP")
        #expect(Trace.protocolName(hello: nil, isLMTP: false, isSMTPUTF8: false) == "SMTP")
        #expect(Trace.protocolName(hello: ehlo, isLMTP: true, isSMTPUTF8: false) == "LMTP")
    }

    @Test(
        "what is known of the client's name stands in four flags",
        arguments: [
            ("OK-OK", "a.example", "A.example", "OK-OK-OK-OK"), ("OK-OK", "a.example", "b.example", "OK-OK-OK-FAIL"),
            ("OK-FAIL", nil, "b.example", "OK-FAIL-OK-??"), ("FAIL", nil, "[192.0.2.1]", "FAIL-FAIL-OK-OK"),
            ("??", nil, "[192.0.2.2]", "??-??-OK-FAIL"), ("", nil, "no domain", "??-??-FAIL-??"),
            ("OK-OK", "a.example", nil, "OK-OK-??-??"), ("x-y)", nil, "b.example", "??-??-OK-??"),
        ] as [(String, String?, String?, String)])
    func hostFlags(reverse: String, name: String?, hello: String?, expected: String) {
        #expect(Trace.hostFlags(reverse: reverse, name: name, address: .v4(0xc000_0201), hello: hello) == expected)
    }

    @Test("a field is folded at its blanks, never longer than a line may be")
    func folded() {
        #expect(MessageHead.folded("Received-SPF: pass") == "Received-SPF: pass\r\n")
        let long = "Received-SPF: " + String(repeating: "word ", count: 40) + String(repeating: "x", count: 2000)
        let lines = MessageHead.folded(long).split(separator: "\r\n")
        #expect(lines.count > 3)
        #expect(lines.allSatisfy { $0.utf8.count <= 78 })
        #expect(lines.dropFirst().allSatisfy { $0.hasPrefix("\t") })
    }

    @Test("traits count our own field")
    func traits() {
        var summary = MessageSummary()
        summary.octets = 10
        summary.longestLine = 4
        let traits = MessageHead.traits(summary, received: Array("Received: x\r\n\tyz\r\n".utf8))
        #expect(traits.size == 10 + 18)
        #expect(traits.longestLine == 11)
    }

    @Test(
        "greeting lines replace their meta tags",
        arguments: [
            ([], ["mx.example ZMailer Server 0.1.0 ESMTP ready at Thu, 1 Jan 1970 00:00:00 +0000"]),
            (["%H %i %p %% %X%I%q.", "100%"], ["mx.example [192.0.2.1] 25 % .", "100"]),
        ])
    func greeting(templates: [String], expected: [String]) throws {
        let text = templates.map { "PARAM hdr220 \($0)\n" }.joined() + "* ve\n"
        let settings = try Settings.make(
            try ServerOptions.parse(["smtpserver"]), ZEnvironment(values: ["HOSTNAME": "mx.example"]), text: text,
            file: "f")
        let lines = Greeting.lines(
            settings.configuration, hostName: settings.hostName, peer: "[192.0.2.1]", localPort: 25,
            date: CalendarDate(unixTime: 0).rfc5322)
        #expect(lines == expected)
    }

    @Test("the tag of the session log is ZMailer's")
    func tag() {
        // 1970-01-02 03:04:05, session 1 of the process.
        #expect(SessionLog.tag(unixTime: 97445, number: 1).text == "BDEFAAB")
    }
}
