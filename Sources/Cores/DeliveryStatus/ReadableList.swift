import MailModel
import SpoolFormat

/// The first part of a report: the form, and in it or behind it a list that people can read (scheduler.md §4).
struct ReadableList {
    private(set) var octets: [UInt8] = []
    private let wording: ReportWording

    /// Recipients of each result that are shown; the others are in the status fields.
    static let maximumShown = 100
    /// Lines of one answer of a server.
    static let maximumWords = 10

    init(_ report: DeliveryReport) {
        wording = report.form.wording
        var lines = report.form.text.split(omittingEmptySubsequences: false, whereSeparator: \.isNewline).map(
            String.init)
        while lines.first?.isEmpty == true { lines.removeFirst() }
        while lines.last?.isEmpty == true { lines.removeLast() }
        line(wording.text(.intro, FieldText.cleaned(report.reportingMTA, isASCII: true)))
        line("")
        var hasList = false
        for text in lines {
            if FieldText.trimmed(text) == FormVariable.list.reference {
                if !hasList { append(report) }
                hasList = true
                continue
            }
            // Indentation of the form stays; only what could break the line goes.
            let indent = String(text.prefix { $0 == " " })
            folded(FieldText.cleaned(FormVariable.filled(text, report), isASCII: false), indent: indent)
        }
        if !hasList {
            line("")
            append(report)
        }
    }

    private static let titles: [(Notary.Action, ReportWording.Label)] = [
        (.failed, .failed), (.delayed, .delayed), (.delivered, .delivered), (.relayed, .relayed),
        (.expanded, .expanded),
    ]

    private mutating func append(_ report: DeliveryReport) {
        var isFirst = true
        for (action, title) in Self.titles {
            let recipients = report.recipients.filter { $0.action == action }
            guard !recipients.isEmpty else { continue }
            if !isFirst { line("") }
            isFirst = false
            folded(wording[title], indent: "")
            for recipient in recipients.prefix(Self.maximumShown) { append(recipient) }
            let rest = recipients.count - Self.maximumShown
            if rest > 0 { folded(wording.text(.more, "\(rest)"), indent: "  ") }
        }
    }

    private mutating func append(_ recipient: DeliveryReport.Recipient) {
        folded(FieldText.cleaned(recipient.finalRecipient, isASCII: false), indent: "  ")
        if let address = recipient.originalAddress, address != recipient.finalRecipient {
            folded(wording.text(.originally, FieldText.cleaned(address, isASCII: false)), indent: "    ")
        }
        let code = recipient.statusCode
        folded(wording.meaning(code).map { "\($0) (\(code))" } ?? "(\(code))", indent: "    ")
        let words = recipient.words
        if !words.isEmpty {
            let server = FieldText.cleaned(recipient.remoteMTA, isASCII: false)
            folded(server.isEmpty ? wording[.reason] : wording.text(.said, server), indent: "    ")
            for text in words { folded(text, indent: "      > ") }
        }
        if recipient.action == .delayed, let time = recipient.willRetryUntil {
            folded(wording.text(.until, CalendarDate(unixTime: time).rfc5322), indent: "    ")
        }
    }

    private mutating func folded(_ text: String, indent: String) {
        // What fits keeps its blanks, which may make columns.
        if indent.utf8.count + text.utf8.count <= FieldText.softLineLength {
            return line(text.isEmpty ? "" : "\(indent)\(text)")
        }
        FieldText.appendFolded(text, after: text.isEmpty ? "" : indent, indent: indent, to: &octets)
    }

    private mutating func line(_ text: String) { octets.append(contentsOf: "\(text)\r\n".utf8) }
}

extension DeliveryReport.Recipient {
    /// The address that the sender gave, as a person writes it.
    fileprivate var originalAddress: String? {
        guard let original = originalRecipient, let semicolon = original.firstIndex(of: ";") else { return nil }
        let encoded = original[original.index(after: semicolon)...]
        if asciiLowercased(original[..<semicolon]) == "utf-8" { return InternationalAddress.decoded(String(encoded)) }
        return XText.decode(encoded).map { String(decoding: $0, as: UTF8.self) } ?? String(encoded)
    }

    /// Why, line by line, each cleaned: a server's reply as it was, else our own text.
    fileprivate var words: [String] {
        let source: String
        if !remoteMTA.isEmpty, ["smtp", "lmtp"].contains(diagnosticType), let semicolon = diagnostic.firstIndex(of: ";")
        {
            source = String(diagnostic[diagnostic.index(after: semicolon)...])
        } else {
            source = text.isEmpty ? diagnostic : text
        }
        let lines = source.utf8.split { $0 == 0x0d || $0 == 0x0a }
            .map { FieldText.cleaned(String(decoding: $0, as: UTF8.self), isASCII: false) }.filter { !$0.isEmpty }
        guard lines.count > ReadableList.maximumWords else { return lines }
        return lines.prefix(ReadableList.maximumWords) + ["..."]
    }

    private var diagnosticType: String { asciiLowercased(diagnostic.prefix { $0 != ";" }) }
}
