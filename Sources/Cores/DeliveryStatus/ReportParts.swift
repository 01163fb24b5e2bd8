import SpoolFormat

/// The parts of a report and the boundary between them.
struct ReportParts {
    struct Part {
        let type: String
        let description: String
        var language: String?
        /// Content-Transfer-Encoding; `nil`: 7bit.
        var encoding: String?
        let content: [UInt8]

        init(_ type: String, _ description: String, _ content: [UInt8]) {
            self.type = type
            self.description = description
            self.content = content
            if OctetFacts.hasEightBit(content) { encoding = "8bit" }
        }
    }

    let all: [Part]
    let boundary: String
    var octets: Int { all.reduce(0) { $0 + $1.content.count } }

    init(_ report: DeliveryReport) {
        let isInternationalized = report.isInternationalized
        var status = StatusFields(isInternationalized: isInternationalized)
        status.appendMessage(report)
        for recipient in report.recipients { status.append(recipient, of: report) }
        let parts = [
            Self.text(report, isInternationalized: isInternationalized),
            Part(
                "message/\(isInternationalized ? "global-" : "")delivery-status", "Delivery report", status.octets),
            Self.original(report.original, isInternationalized: isInternationalized),
        ]
        all = parts
        var candidate = "\(report.id)=_/report"
        var number = 0
        while parts.contains(where: { OctetFacts.hasBoundary(candidate, in: $0.content) }) {
            number += 1
            candidate = "\(report.id)=_/report/\(number)"
        }
        boundary = candidate
    }

    private static func text(_ report: DeliveryReport, isInternationalized: Bool) -> Part {
        let octets = ReadableList(report).octets
        let isEightBit = OctetFacts.hasEightBit(octets)
        var part =
            isEightBit && !isInternationalized
            ? Part("text/plain; charset=utf-8", "Notification", EncodedText.quotedPrintable(octets))
            : Part("text/plain; charset=\(isEightBit ? "utf-8" : "us-ascii")", "Notification", octets)
        if isEightBit && !isInternationalized { part.encoding = "quoted-printable" }
        part.language = report.form.language
        return part
    }

    /// `message/global` for what only that can hold (RFC 6532 §3.7), or what goes to somebody who takes it.
    private static func original(_ original: DeliveryReport.Original, isInternationalized: Bool) -> Part {
        let isGlobal =
            original.isInternationalized && (isInternationalized || OctetFacts.hasEightBit(original.header))
        let header = OctetFacts.cut(original.header, at: DeliveryReport.maximumHeader)
        guard let body = original.body, header.count == original.header.count else {
            return Part(
                isGlobal ? "message/global-headers" : "text/rfc822-headers", "Header of the message",
                wire(header, original.format))
        }
        let newline: [UInt8] = original.format == .crlf ? [0x0d, 0x0a] : [0x0a]
        var octets = header
        if let last = octets.last, last != 0x0a { octets += newline }
        octets += newline
        octets += body
        return Part(isGlobal ? "message/global" : "message/rfc822", "The message", wire(octets, original.format))
    }

    private static func wire(_ octets: [UInt8], _ format: MessageEnvelope.LineFormat) -> [UInt8] {
        switch format {
        case .crlf: octets
        case .lf: OctetFacts.withCRLF(octets)
        }
    }
}
