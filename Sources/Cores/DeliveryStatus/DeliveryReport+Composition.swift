import MailModel
import SpoolFormat

extension DeliveryReport {
    /// The report as a message (RFC 3464 §2, RFC 6522 §3, RFC 6533 §4): a text for people, the status fields, and the original
    /// message or its header.
    public func composed() -> ComposedReport {
        let parts = ReportParts(self)
        var content: [UInt8] = []
        content.reserveCapacity(parts.octets + 4096)
        appendHeader(parts, to: &content)
        for part in parts.all {
            content.append(contentsOf: "--\(parts.boundary)\r\nContent-Type: \(part.type)\r\n".utf8)
            content.append(contentsOf: "Content-Description: \(part.description)\r\n".utf8)
            if let language = part.language {
                content.append(contentsOf: "Content-Language: \(language)\r\n".utf8)
            }
            if let encoding = part.encoding {
                content.append(contentsOf: "Content-Transfer-Encoding: \(encoding)\r\n".utf8)
            }
            content.append(contentsOf: "\r\n".utf8)
            content.append(contentsOf: part.content)
            // This line end belongs to the delimiter that follows (RFC 2046 §5.1.1).
            content.append(contentsOf: "\r\n".utf8)
        }
        content.append(contentsOf: "--\(parts.boundary)--\r\n".utf8)
        return ComposedReport(envelope: envelope(for: content), content: content)
    }

    /// RFC 6533: UTF-8 in the header and in the status fields. Only a report to an address that needs it: whether the mail system of
    /// any other sender takes SMTPUTF8 is not known, so that one gets a report that every mail system takes.
    var isInternationalized: Bool { !addresses.allSatisfy { FieldText.isASCII($0) } }

    private func envelope(for content: [UInt8]) -> MessageEnvelope {
        var envelope = MessageEnvelope()
        envelope.isErrorMessage = true
        envelope.isInternationalized = isInternationalized
        envelope.priority = original.priority
        envelope.requiresTLS = original.requiresTLS
        envelope.traits = OctetFacts.traits(content)
        if envelope.traits?.hasEightBit == true { envelope.bodyType = "8BITMIME" }
        envelope.recipients = addresses.map { address in
            EnvelopeRecipient(
                address: address, notify: .never,
                originalRecipient: FieldText.isASCII(address) ? "rfc822;\(XText.encode(address.utf8))" : nil)
        }
        return envelope
    }

    /// Without repetition; what could not stand in an envelope line is left out.
    private var addresses: [String] {
        var seen: Set<String> = []
        return (to + form.addresses).map { FieldText.trimmed($0) }.filter { address in
            !address.isEmpty && address.utf8.allSatisfy { $0 >= 0x20 && $0 != 0x7f } && seen.insert(address).inserted
        }
    }

    private func appendHeader(_ parts: ReportParts, to content: inout [UInt8]) {
        let isASCII = !isInternationalized
        let host = FieldText.cleaned(reportingMTA, isASCII: isASCII)
        func field(_ name: String, _ value: String) { FieldText.appendField(name, value, to: &content) }
        let own =
            form.headers.first { Self.name(of: $0) == "from" } ?? "From: Mail Delivery System <MAILER-DAEMON@\(host)>"
        appendForm(own, to: &content)
        let everyone = addresses.compactMap { visible($0, host) }.prefix(Self.maximumVisible).joined(separator: ", ")
        field("To", everyone.isEmpty ? "undisclosed-recipients:;" : everyone)
        field("Subject", subject)
        field("Date", CalendarDate(unixTime: date).rfc5322)
        field("Message-Id", "<\(id).report@\(host)>")
        if let reference = originalMessageID {
            field("In-Reply-To", reference)
            field("References", reference)
        }
        // RFC 3834 §5: keeps responders from answering.
        field("Auto-Submitted", "auto-replied")
        for header in form.headers where !ReportForm.ownFields.union(["from"]).contains(Self.name(of: header)) {
            appendForm(header, to: &content)
        }
        field("MIME-Version", "1.0")
        content.append(
            contentsOf: """
                Content-Type: multipart/report; report-type=\(isASCII ? "delivery-status" : "global-delivery-status");\r
                    boundary="\(parts.boundary)"\r

                """.utf8)
        if parts.all.contains(where: { $0.encoding == "8bit" }) {
            content.append(contentsOf: "Content-Transfer-Encoding: 8bit\r\n".utf8)
        }
        content.append(contentsOf: "\r\n".utf8)
    }

    private static func name(of header: String) -> String { asciiLowercased(header.prefix { $0 != ":" }) }

    /// A field that a form has set.
    private func appendForm(_ header: String, to content: inout [UInt8]) {
        let text = FieldText.cleaned(FormVariable.filled(header, self), isASCII: false)
        FieldText.appendFolded(
            isInternationalized ? text : EncodedText.header(text), after: "", indent: "    ", to: &content)
    }

    /// Addresses that the header shows.
    private static let maximumVisible = 20

    /// An address as it stands in `To`; `nil`: it cannot stand there.
    private func visible(_ address: String, _ host: String) -> String? {
        // What looks like an encoded-word is read as one by some, though RFC 2047 §5 has none in addresses.
        guard FieldText.cleaned(address, isASCII: false) == address, !address.contains("=?") else { return nil }
        return (Mailbox(address) ?? Mailbox("\(address)@\(host)")).map { "<\($0)>" }
    }

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
        let text = FieldText.cleaned(
            subjectPrefix + FormVariable.filled(form.subject ?? "Delivery report", self), isASCII: false)
        let list = counts.isEmpty ? "" : " [\(counts.joined(separator: ","))]"
        return (isInternationalized ? text : EncodedText.header(text)) + list
    }

    /// The Message-Id of the original, if it can stand in our header.
    private var originalMessageID: String? {
        guard let value = headerSection.value("Message-Id"), (3...900).contains(value.utf8.count),
            value.first == "<", value.last == ">",
            value.utf8.allSatisfy({ $0 > 0x20 && $0 != 0x7f && (isInternationalized || $0 < 0x80) })
        else { return nil }
        return value
    }
}
