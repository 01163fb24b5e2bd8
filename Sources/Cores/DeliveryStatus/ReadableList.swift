import MailModel
import SpoolFormat

/// The first part of a report: the form, then a list that people can read (scheduler.md §4).
struct ReadableList {
    private(set) var octets: [UInt8] = []

    init(_ report: DeliveryReport) {
        line("This is the mail system at \(FieldText.cleaned(report.reportingMTA, isASCII: true)).")
        line("")
        for text in report.form.text.split(omittingEmptySubsequences: false, whereSeparator: \.isNewline) {
            // Indentation of the form stays; only what could break the line goes.
            let indent = String(text.prefix { $0 == " " })
            folded(FieldText.cleaned(text, isASCII: false), indent: indent)
        }
        if !report.form.text.hasSuffix("\n") { line("") }
        for (action, title) in Self.titles {
            let recipients = report.recipients.filter { $0.action == action }
            guard !recipients.isEmpty else { continue }
            line(title)
            for recipient in recipients { append(recipient) }
            line("")
        }
    }

    private static let titles: [(Notary.Action, String)] = [
        (.failed, "FAILED:"), (.delayed, "DELAYED (still in queue):"), (.delivered, "DELIVERED (successfully):"),
        (.relayed, "RELAYED (to another mail system, which may tell you nothing more):"),
        (.expanded, "EXPANDED (to several recipients):"),
    ]

    private mutating func append(_ recipient: DeliveryReport.Recipient) {
        folded(FieldText.cleaned(recipient.finalRecipient, isASCII: false), indent: "  ")
        if let original = recipient.originalRecipient, let semicolon = original.firstIndex(of: ";") {
            let encoded = original[original.index(after: semicolon)...]
            let address = XText.decode(encoded).map { String(decoding: $0, as: UTF8.self) } ?? String(encoded)
            if address != recipient.finalRecipient {
                folded("originally to: \(FieldText.cleaned(address, isASCII: false))", indent: "    ")
            }
        }
        let text = recipient.text.isEmpty ? recipient.typedDiagnostic ?? "" : recipient.text
        folded(FieldText.cleaned("\(recipient.statusCode) \(text)", isASCII: false), indent: "    ")
        if !recipient.remoteMTA.isEmpty {
            folded("said by: \(FieldText.cleaned(recipient.remoteMTA, isASCII: false))", indent: "    ")
        }
        if recipient.action == .delayed, let time = recipient.willRetryUntil {
            line("    tried again until: \(CalendarDate(unixTime: time).rfc5322)")
        }
    }

    private mutating func folded(_ text: String, indent: String) {
        FieldText.appendFolded(text, after: indent, indent: indent, to: &octets)
    }

    private mutating func line(_ text: String) { octets.append(contentsOf: "\(text)\r\n".utf8) }
}
