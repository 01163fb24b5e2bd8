import DeliveryStatus
import SpoolFormat

/// One report that the tests vary.
func sampleReport(
    _ recipients: [DeliveryReport.Recipient] = [sampleFailure], body: String? = "Hello Bob,\r\nsee you.\r\n"
) -> DeliveryReport {
    DeliveryReport(
        id: SpoolID(rawValue: 7_000_000_000_000_000_002), reportingMTA: "mx.example.test", to: ["alice@example.test"],
        form: ReportForm(subject: "Mail could not be delivered", text: "Your message was not delivered.\n"),
        recipients: recipients,
        original: DeliveryReport.Original(
            id: SpoolID(rawValue: 7_000_000_000_000_000_001),
            header: Array(
                "From: Alice <alice@example.test>\r\nMessage-ID: <1@example.test>\r\nSubject: Lunch\r\n".utf8),
            body: body.map { Array($0.utf8) }, arrivalDate: 1_795_237_801),
        date: 1_795_238_801)
}

let sampleFailure = DeliveryReport.Recipient(
    originalRecipient: "rfc822;bob+2Btag@remote.example", finalRecipient: "bob@remote.example", action: .failed,
    status: "5.1.1", diagnostic: "smtp; 550 5.1.1 <bob@remote.example>: no such user",
    remoteMTA: "mail.remote.example (192.0.2.1)",
    text: "RCPT TO:<bob@remote.example> was answered 550 5.1.1 no such user",
    lastAttempt: 1_795_238_800)

func text(_ octets: [UInt8]) -> String { String(decoding: octets, as: UTF8.self) }

/// The lines of a report, without their CRLF.
func lines(_ report: ComposedReport) -> [String] {
    text(report.content).split(omittingEmptySubsequences: false) { $0 == "\r\n" }.map(String.init)
}
