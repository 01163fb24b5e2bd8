import DeliveryStatus
import SpoolFormat
import Testing

@Suite("Forms")
struct ReportFormTests {
    @Test("leading HDR, SUB and ADR lines are instructions, the rest is text")
    func parse() {
        let form = ReportForm(
            parsing: """
                HDR From: The Post Office <postmaster@example.test>
                HDR Errors-To: nobody
                HDR not a field
                SUB  Returned mail\u{20}
                ADR postmaster@example.test
                ADR two words

                Dear sender,
                SUB is text here
                """)
        #expect(form.headers == ["From: The Post Office <postmaster@example.test>", "Errors-To: nobody"])
        #expect(form.subject == "Returned mail")
        #expect(form.addresses == ["postmaster@example.test"])
        #expect(form.text == "\nDear sender,\nSUB is text here")
    }

    @Test("any text is a form", arguments: ["", "x", "SUB", "SUB \nHDR ", "HDR :", "ADR \r\nhello\r\n"])
    func anything(contents: String) {
        let form = ReportForm(parsing: contents)
        #expect(form.headers.isEmpty && form.addresses.isEmpty)
        #expect(form.subject == nil || form.subject == "")
    }

    @Test("variables stand for facts, in text, subject and fields; what is none stays")
    func variables() {
        var report = sampleReport()
        report.recipients.append(Golden.delayed)
        report.form = ReportForm(
            parsing: "SUB ${count} at ${host}: ${subject}\nHDR X-To: ${sender}\n\nCosts $$5 $x ${nothing} ${until\n"
                + "${postmaster} ${message-id} ${queue-id}\n${arrived} ${date}\n${recipients}\n${until}\n"
                + "${failed}${delayed}${delivered}${relayed}${expanded}\n")
        let lines = lines(report.composed())
        for line in [
            "Subject: 2 at mx.example.test: Lunch [FAILED(1),DELAYED(1)]", "X-To: alice@example.test",
            "Costs $5 $x ${nothing} ${until", "postmaster@mx.example.test <1@example.test> 7000000000000000001",
            "Sat, 21 Nov 2026 05:10:01 +0000 Sat, 21 Nov 2026 05:26:41 +0000", "bob@remote.example, carol@slow.example",
            "Tue, 24 Nov 2026 05:10:01 +0000", "11000",
        ] { #expect(lines.contains(line), "\(line)") }
    }

    @Test("the list stands where the form says, once, else behind the text")
    func list() {
        for (text, order) in [("a\n\n${list}\n\nz\n${list}", true), ("a\nz", false)] {
            var report = sampleReport()
            report.form = ReportForm(text: text)
            let lines = lines(report.composed())
            let list = lines.firstIndex(of: "FAILED:") ?? 0
            let end = lines.firstIndex(of: "z") ?? 0
            #expect((list < end) == order && list > (lines.firstIndex(of: "a") ?? .max))
            #expect(lines.count { $0 == "FAILED:" } == 1)
        }
    }

    @Test("a hundred recipients of a result are shown, all are in the fields")
    func many() {
        let recipients = (0..<250).map {
            DeliveryReport.Recipient(finalRecipient: "u\($0)@b.example", action: .failed, status: "5.1.1")
        }
        let lines = lines(sampleReport(recipients).composed())
        #expect(lines.count { $0.hasPrefix("  u") } == 100)
        #expect(lines.contains("  ... and 150 more; the second part of this report lists all of them."))
        #expect(lines.count { $0.hasPrefix("Final-Recipient: ") } == 250)
        #expect(lines.contains("Subject: Mail could not be delivered [FAILED(250)]"))
    }

    @Test("a returned header is cut behind a line, and then the body is not returned")
    func longHeader() {
        var report = sampleReport()
        report.original.header = Array(String(repeating: "X-Line: 0123456789\r\n", count: 20_000).utf8)
        let content = text(report.composed().content)
        #expect(content.contains("Content-Type: text/rfc822-headers\r\n") && !content.contains("Hello Bob"))
        #expect(content.utf8.count < DeliveryReport.maximumHeader + 8192)
        #expect(content.contains("X-Line: 0123456789\r\n\r\n--"))
    }

    @Test("labels may be in any language, a percent sign stands for what belongs there")
    func labels() {
        var report = sampleReport()
        report.form = ReportForm(
            parsing: "LBL said Server %:\nLBL failed NEIN:\nLBL 5.1.1 Niemand da.\nLBL originally vorher\n\ntext\n")
        let lines = lines(report.composed())
        for line in [
            "NEIN:", "    Server mail.remote.example (192.0.2.1):", "    Niemand da. (5.1.1)",
            "    vorher bob+tag@remote.example",
        ] { #expect(lines.contains(line), "\(line)") }
    }

    @Test("its fields stand in the header, but not those that the report needs itself")
    func fields() {
        var report = sampleReport()
        report.form = ReportForm(
            parsing:
                "HDR From: Post <postmaster@x.test>\nHDR Subject: other\nHDR X-Form: yes\nSUB Sorry\n\nText.\n    indented\n"
        )
        report.subjectPrefix = "Double-fault: "
        let lines = lines(report.composed())
        #expect(lines.filter { $0.hasPrefix("From: ") }.first == "From: Post <postmaster@x.test>")
        #expect(lines.contains("X-Form: yes") && lines.contains("    indented"))
        #expect(lines.filter { $0.hasPrefix("Subject: ") }.first == "Subject: Double-fault: Sorry [FAILED(1)]")
    }
}
