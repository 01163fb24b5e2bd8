import MailModel
import SpoolFormat

extension DeliveryReport {
    /// The report as a message (RFC 3464 §2, RFC 6522 §3, RFC 6533 §4): a text for people, the status fields, and the original
    /// message or its header.
    public func composed() -> ComposedReport {
        let parts = Parts(self)
        var content: [UInt8] = []
        content.reserveCapacity(parts.octets + 4096)
        appendHeader(parts, to: &content)
        for part in parts.all {
            content.append(contentsOf: "--\(parts.boundary)\r\nContent-Type: \(part.type)\r\n".utf8)
            if let description = part.description {
                content.append(contentsOf: "Content-Description: \(description)\r\n".utf8)
            }
            if part.isEightBit { content.append(contentsOf: "Content-Transfer-Encoding: 8bit\r\n".utf8) }
            content.append(contentsOf: "\r\n".utf8)
            content.append(contentsOf: part.content)
            // This line end belongs to the delimiter that follows (RFC 2046 §5.1.1).
            content.append(contentsOf: "\r\n".utf8)
        }
        content.append(contentsOf: "--\(parts.boundary)--\r\n".utf8)
        return ComposedReport(envelope: envelope(for: content), content: content)
    }

    /// RFC 6533: UTF-8 in addresses, fields and the returned header.
    fileprivate var isInternationalized: Bool {
        original.isInternationalized || !to.allSatisfy { $0.utf8.allSatisfy { $0 < 0x80 } }
    }

    private func envelope(for content: [UInt8]) -> MessageEnvelope {
        var envelope = MessageEnvelope()
        envelope.isErrorMessage = true
        envelope.isInternationalized = isInternationalized
        envelope.priority = original.priority
        envelope.requiresTLS = original.requiresTLS
        envelope.traits = OctetFacts.traits(content)
        if envelope.traits?.hasEightBit == true { envelope.bodyType = "8BITMIME" }
        envelope.recipients = addresses.map { address in
            let isASCII = address.utf8.allSatisfy { $0 < 0x80 }
            return EnvelopeRecipient(
                address: address, notify: .never,
                originalRecipient: isASCII ? "rfc822;\(XText.encode(address.utf8))" : nil)
        }
        return envelope
    }

    /// Without repetition; what could not stand in an envelope line is left out.
    private var addresses: [String] {
        var seen: Set<String> = []
        return (to + form.addresses).filter { address in
            !address.isEmpty && address.utf8.allSatisfy { $0 >= 0x20 && $0 != 0x7f } && seen.insert(address).inserted
        }
    }

    private func appendHeader(_ parts: Parts, to content: inout [UInt8]) {
        let isASCII = !isInternationalized
        let host = FieldText.cleaned(reportingMTA, isASCII: isASCII)
        func field(_ name: String, _ value: String) { FieldText.appendField(name, value, to: &content) }
        let given = Set(form.headers.map { asciiLowercased($0.prefix { $0 != ":" }) })
        if !given.contains("from") { field("From", "Mail Delivery System <MAILER-DAEMON@\(host)>") }
        let everyone = addresses.map { $0.contains("@") ? "<\($0)>" : $0 }.joined(separator: ", ")
        field("To", everyone.isEmpty ? "undisclosed-recipients:;" : FieldText.cleaned(everyone, isASCII: isASCII))
        field("Subject", subject)
        field("Date", CalendarDate(unixTime: date).rfc5322)
        field("Message-Id", "<\(id).report@\(host)>")
        if let reference = originalMessageID {
            field("In-Reply-To", reference)
            field("References", reference)
        }
        // RFC 3834 §5: keeps responders from answering.
        field("Auto-Submitted", "auto-replied")
        for header in form.headers where !Self.ownFields.contains(asciiLowercased(header.prefix { $0 != ":" })) {
            FieldText.appendFolded(
                FieldText.cleaned(header, isASCII: isASCII), after: "", indent: "    ", to: &content)
        }
        field("MIME-Version", "1.0")
        content.append(
            contentsOf: """
                Content-Type: multipart/report; report-type=\(isASCII ? "delivery-status" : "global-delivery-status");\r
                    boundary="\(parts.boundary)"\r

                """.utf8)
        if parts.all.contains(where: \.isEightBit) {
            content.append(contentsOf: "Content-Transfer-Encoding: 8bit\r\n".utf8)
        }
        content.append(contentsOf: "\r\n".utf8)
    }

    /// Fields that a form cannot set.
    private static let ownFields: Set<String> = [
        "to", "subject", "date", "message-id", "auto-submitted", "mime-version", "content-type",
        "content-transfer-encoding", "in-reply-to", "references", "return-path", "received",
    ]

    /// ZMailer's subject: what happened, with the number of each result.
    private var subject: String {
        let names: [(Notary.Action, String)] = [
            (.failed, "FAILED"), (.delayed, "DELAYED"), (.relayed, "RELAYED-OK"), (.delivered, "DELIVERED-OK"),
            (.expanded, "EXPANDED-OK"),
        ]
        let counts = names.compactMap { action, name -> String? in
            let count = recipients.count { $0.action == action }
            return count > 0 ? "\(name)(\(count))" : nil
        }
        let text = subjectPrefix + (form.subject ?? "Delivery report")
        let list = counts.isEmpty ? "" : " [\(counts.joined(separator: ","))]"
        return FieldText.cleaned(text, isASCII: !isInternationalized) + list
    }

    /// The Message-Id of the original, if it can stand in our header.
    private var originalMessageID: String? {
        guard let value = HeaderSection(original.header).value("Message-Id"), (3...900).contains(value.utf8.count),
            value.first == "<", value.last == ">",
            value.utf8.allSatisfy({ $0 > 0x20 && $0 != 0x7f && (isInternationalized || $0 < 0x80) })
        else { return nil }
        return value
    }
}

/// The parts of a report and the boundary between them.
private struct Parts {
    struct Part {
        let type: String
        let description: String?
        let content: [UInt8]
        let isEightBit: Bool

        init(_ type: String, _ description: String?, _ content: [UInt8]) {
            self.type = type
            self.description = description
            self.content = content
            isEightBit = OctetFacts.hasEightBit(content)
        }
    }

    let all: [Part]
    let boundary: String
    var octets: Int { all.reduce(0) { $0 + $1.content.count } }

    init(_ report: DeliveryReport) {
        let isInternationalized = report.isInternationalized
        let text = ReadableList(report).octets
        var status = StatusFields(isInternationalized: isInternationalized)
        status.appendMessage(report)
        for recipient in report.recipients { status.append(recipient, of: report) }
        let global = isInternationalized ? "global-" : ""
        let parts = [
            Part("text/plain; charset=\(OctetFacts.hasEightBit(text) ? "utf-8" : "us-ascii")", nil, text),
            Part("message/\(global)delivery-status", "Delivery report", status.octets),
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

    private static func original(_ original: DeliveryReport.Original, isInternationalized: Bool) -> Part {
        guard let body = original.body else {
            return Part(
                isInternationalized ? "message/global-headers" : "text/rfc822-headers", "Undelivered message header",
                wire(original.header, original.format))
        }
        let newline: [UInt8] = original.format == .crlf ? [0x0d, 0x0a] : [0x0a]
        var octets = original.header
        if let last = octets.last, last != 0x0a { octets += newline }
        octets += newline
        octets += body
        octets = wire(octets, original.format)
        return Part(isInternationalized ? "message/global" : "message/rfc822", "Undelivered message", octets)
    }

    private static func wire(_ octets: [UInt8], _ format: MessageEnvelope.LineFormat) -> [UInt8] {
        switch format {
        case .crlf: octets
        case .lf: OctetFacts.withCRLF(octets)
        }
    }
}
