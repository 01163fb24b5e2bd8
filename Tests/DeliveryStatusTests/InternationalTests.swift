import DeliveryStatus
import SpoolFormat
import Testing

@Suite("Internationalised reports are those of RFC 6533")
struct InternationalTests {
    @Test("a message accepted with SMTPUTF8 is reported in UTF-8")
    func global() {
        var recipient = sampleFailure
        recipient.finalRecipient = "j\u{f6}rg@b\u{fc}cher.example"
        recipient.originalRecipient = "utf-8;j\\x{F6}rg@x.example"
        var report = sampleReport([recipient])
        report.to = ["ren\u{e9}@example.test"]
        report.original.isInternationalized = true
        let composed = report.composed()
        let lines = lines(composed)
        #expect(composed.envelope.isInternationalized)
        #expect(composed.envelope.recipients[0].originalRecipient == nil)
        #expect(lines.contains("To: <ren\u{e9}@example.test>"))
        #expect(lines.contains("Content-Type: multipart/report; report-type=global-delivery-status;"))
        #expect(lines.contains("Content-Type: message/global-delivery-status"))
        #expect(lines.contains("Content-Type: message/global"))
        #expect(lines.contains("Final-Recipient: utf-8; j\u{f6}rg@b\u{fc}cher.example"))
        #expect(lines.contains("Original-Recipient: utf-8; j\u{f6}rg@x.example"))
        report.original.body = nil
        #expect(text(report.composed().content).contains("Content-Type: message/global-headers\r\n"))
    }

    @Test("in a report for everyone an address beyond ASCII is escaped")
    func escaped() {
        var recipient = sampleFailure
        recipient.finalRecipient = "j\u{f6}rg+x@b.example"
        recipient.originalRecipient = nil
        let lines = lines(sampleReport([recipient]).composed())
        #expect(lines.contains("Final-Recipient: utf-8; j\\x{F6}rg\\x{2B}x@b.example"))
        #expect(lines.contains("Content-Type: text/plain; charset=utf-8"))
        #expect(lines.contains("  j=C3=B6rg+x@b.example"))
        #expect(!lines.contains { $0.hasPrefix("Original-Recipient") })
    }
}
