import DeliveryStatus
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
