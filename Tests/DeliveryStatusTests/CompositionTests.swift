import DeliveryStatus
import SpoolFormat
import Testing

@Suite("Reports are composed as RFC 3464 says")
struct CompositionTests {
    @Test("a failure, with the message returned")
    func failure() {
        let golden = """
            From: Mail Delivery System <MAILER-DAEMON@mx.example.test>
            To: <alice@example.test>
            Subject: Mail could not be delivered [FAILED(1)]
            Date: Sat, 21 Nov 2026 05:26:41 +0000
            Message-Id: <7000000000000000002.report@mx.example.test>
            In-Reply-To: <1@example.test>
            References: <1@example.test>
            Auto-Submitted: auto-replied
            MIME-Version: 1.0
            Content-Type: multipart/report; report-type=delivery-status;
                boundary="7000000000000000002=_/report"

            --7000000000000000002=_/report
            Content-Type: text/plain; charset=us-ascii
            Content-Description: Notification
            Content-Language: en

            This is the mail system at mx.example.test.

            Your message was not delivered.

            FAILED:
              bob@remote.example
                (originally to: bob+tag@remote.example)
                There is no such mailbox. (5.1.1)
                The mail server mail.remote.example (192.0.2.1) said:
                  > 550 5.1.1 <bob@remote.example>: no such user

            --7000000000000000002=_/report
            Content-Type: message/delivery-status
            Content-Description: Delivery report

            Reporting-MTA: dns; mx.example.test
            Arrival-Date: Sat, 21 Nov 2026 05:10:01 +0000

            Original-Recipient: rfc822; bob+tag@remote.example
            Final-Recipient: rfc822; bob@remote.example
            Action: failed
            Status: 5.1.1
            Remote-MTA: dns; mail.remote.example (192.0.2.1)
            Diagnostic-Code: smtp; 550 5.1.1 <bob@remote.example>: no such user
            Last-Attempt-Date: Sat, 21 Nov 2026 05:26:40 +0000
            Final-Log-ID: 7000000000000000001

            --7000000000000000002=_/report
            Content-Type: message/rfc822
            Content-Description: The message

            From: Alice <alice@example.test>
            Message-ID: <1@example.test>
            Subject: Lunch

            Hello Bob,
            see you.

            --7000000000000000002=_/report--

            """
        #expect(
            lines(sampleReport().composed())
                == golden.split(separator: "\n", omittingEmptySubsequences: false).map(String.init))
    }

    @Test("all five results, each in its list and counted in the subject")
    func everyAction() {
        let actions: [Notary.Action] = [.failed, .delayed, .delivered, .relayed, .expanded, .failed]
        var report = sampleReport(
            actions.enumerated().map { index, action in
                DeliveryReport.Recipient(finalRecipient: "u\(index)@b.example", action: action, status: "", text: "why")
            }, body: nil)
        report.recipients[1].willRetryUntil = 1_795_300_000
        let lines = lines(report.composed())
        #expect(
            lines.contains("Subject: Mail could not be delivered")
                && lines.contains("    [FAILED(2),DELAYED(1),RELAYED-OK(1),DELIVERED-OK(1),EXPANDED-OK(1)]"))
        for title in ["FAILED:", "DELAYED (still in queue):", "DELIVERED (successfully):"] {
            #expect(lines.contains(title))
        }
        #expect(
            lines.filter { $0.hasPrefix("Status: ") } == ["5", "4", "2", "2", "2", "5"].map { "Status: \($0).0.0" })
        #expect(lines.contains("Will-Retry-Until: Sat, 21 Nov 2026 22:26:40 +0000"))
        #expect(lines.count { $0.hasPrefix("Diagnostic-Code: x-local; why") } == 3)
        #expect(lines.contains("Content-Type: text/rfc822-headers"))
        #expect(!lines.contains("Hello Bob,"))
    }

    @Test("the envelope is that of an error message that nobody reports about")
    func envelope() throws {
        var report = sampleReport()
        report.form.addresses = ["postmaster@mx.example.test", "alice@example.test", "bad\naddress"]
        let composed = report.composed()
        let envelope = composed.envelope
        #expect(envelope.sender == nil && envelope.isErrorMessage && envelope.format == .crlf)
        #expect(
            envelope.recipients == [
                EnvelopeRecipient(
                    address: "alice@example.test", notify: .never, originalRecipient: "rfc822;alice@example.test"),
                EnvelopeRecipient(
                    address: "postmaster@mx.example.test", notify: .never,
                    originalRecipient: "rfc822;postmaster@mx.example.test"),
            ])
        #expect(try MessageEnvelope.parse(envelope.encoded()).envelope == envelope)
        #expect(envelope.traits?.size == composed.content.count)
        #expect(envelope.traits?.hasEightBit == false && envelope.traits?.hasDotLines == false)
        #expect(envelope.traits?.longestLine == lines(composed).map(\.utf8.count).max())
        #expect(lines(composed).contains("To: <alice@example.test>, <postmaster@mx.example.test>"))
    }

    @Test(
        "an address in the envelope is what can be read back",
        arguments: [" F&H", "\ta@b ", "a b", "", "\n", "x\u{0}y"])
    func address(text: String) throws {
        var report = sampleReport()
        report.to = [text]
        let envelope = report.composed().envelope
        #expect(try MessageEnvelope.parse(envelope.encoded()).envelope == envelope)
    }

    @Test("the boundary is never a line of the returned message")
    func boundary() {
        let own = "7000000000000000002=_/report"
        for body in [
            "--\(own)\r\n", "text\r\n--\(own)--\r\n", "--\(own)\r\n--\(own)/1\r\n", "--\(own)/1xyz\r\n--\(own)xyz\r\n",
        ] {
            let lines = lines(sampleReport(body: body).composed())
            let field = lines.first { $0.hasPrefix("    boundary=") } ?? ""
            let boundary = String(field.dropFirst("    boundary=\"".count).dropLast())
            #expect(lines.count { $0.hasPrefix("--\(boundary)") } == 4, "\(body)")
        }
        let harmless = sampleReport(body: "see --\(own)\r\n").composed()
        #expect(lines(harmless).contains("    boundary=\"\(own)\""))
    }

    @Test("an 8-bit message marks its part, the report and the envelope as 8-bit")
    func eightBit() {
        let composed = sampleReport(body: "Gr\u{fc}\u{df}e\r\n.dot\r\n").composed()
        let lines = lines(composed)
        #expect(lines.count { $0 == "Content-Transfer-Encoding: 8bit" } == 2)
        #expect(composed.envelope.bodyType == "8BITMIME")
        #expect(composed.envelope.traits?.hasEightBit == true && composed.envelope.traits?.hasDotLines == true)
    }

    @Test("a message of another tool, lines ending in LF, becomes wire octets")
    func lineFeeds() {
        var report = sampleReport()
        report.original.format = .lf
        report.original.header = Array("Subject: x\n".utf8)
        report.original.body = Array("a\n\nb\n".utf8)
        let content = text(report.composed().content)
        #expect(content.contains("\r\n\r\nSubject: x\r\n\r\na\r\n\r\nb\r\n\r\n--"))
        #expect(!content.unicodeScalars.elementsEqual(content.unicodeScalars.filter { $0 != "\r" }))
        #expect(content.utf8.count { $0 == 0x0a } == content.utf8.count { $0 == 0x0d })
    }

    @Test(
        "the body is returned only when something failed and the sender did not say HDRS",
        arguments: [
            (NotaryReturn?.none, true, 1000, true), (nil, true, 1_000_000, false), (nil, false, 10, false),
            (.full, true, 1_000_000, true), (.full, true, 100_000_000, false), (.full, false, 10, false),
            (.headers, true, 10, false),
        ])
    func returnedBody(wish: NotaryReturn?, hasFailure: Bool, size: Int, expected: Bool) {
        #expect(DeliveryReport.returnsBody(wish, hasFailure: hasFailure, size: size) == expected)
    }

    @Test("NOTIFY selects who is reported")
    func notify() {
        let all: [Notary.Action] = [.delivered, .relayed, .expanded, .delayed, .failed]
        #expect(all.filter { Notify.standard.wants($0) } == [.delayed, .failed])
        #expect(all.filter { Notify.success.wants($0) } == [.delivered, .relayed, .expanded])
        #expect(all.filter { Notify.never.wants($0) } == [])
    }
}
