import MailModel
import SpoolFormat

/// The fields of `message/delivery-status` (RFC 3464 §2) and `message/global-delivery-status` (RFC 6533 §4).
struct StatusFields {
    /// Addresses and texts may hold UTF-8.
    let isInternationalized: Bool
    var octets: [UInt8] = []

    mutating func appendMessage(_ report: DeliveryReport) {
        field("Reporting-MTA", "dns; \(clean(report.reportingMTA))")
        if let id = report.original.envelopeID {
            // RFC 3464 §2.2.1: the identifier itself, not its xtext.
            field("Original-Envelope-Id", clean(Self.decoded(id)))
        }
        if let from = receivedFrom(report.original.receivedFrom) { field("Received-From-MTA", from) }
        field("Arrival-Date", CalendarDate(unixTime: report.original.arrivalDate).rfc5322)
        if let time = report.original.deliverBy { field("Deliver-By-Date", CalendarDate(unixTime: time).rfc5322) }
        if let request = report.original.releaseRequest { field("Future-Release-Request", clean(request)) }
    }

    mutating func append(_ recipient: DeliveryReport.Recipient, of report: DeliveryReport) {
        octets.append(contentsOf: "\r\n".utf8)
        if let original = recipient.originalRecipient, let value = originalAddress(original) {
            field("Original-Recipient", value)
        }
        field("Final-Recipient", typedAddress(recipient.finalRecipient))
        field("Action", recipient.action.rawValue)
        field("Status", recipient.statusCode)
        if !recipient.remoteMTA.isEmpty { field("Remote-MTA", "dns; \(clean(recipient.remoteMTA))") }
        if let diagnostic = recipient.typedDiagnostic { field("Diagnostic-Code", clean(diagnostic)) }
        if let time = recipient.lastAttempt { field("Last-Attempt-Date", CalendarDate(unixTime: time).rfc5322) }
        field("Final-Log-ID", "\(report.original.id)")
        if recipient.action == .delayed, let time = recipient.willRetryUntil {
            field("Will-Retry-Until", CalendarDate(unixTime: time).rfc5322)
        }
    }

    /// RFC 3464 §2.2.4: the name that the client gave itself, and its address as a comment.
    private func receivedFrom(_ client: ReceivedFrom?) -> String? {
        guard let client, let address = client.address else { return nil }
        let isName = { (text: String) in
            (1...255).contains(text.utf8.count)
                && text.utf8.allSatisfy {
                    (0x30...0x39).contains($0) || (0x61...0x7a).contains($0 | 0x20) || [0x2d, 0x2e, 0x3a].contains($0)
                        || $0 == 0x5b || $0 == 0x5d
                }
        }
        // What is said in HELO may be anything.
        let name = [client.hello, client.name].compactMap { $0 }.first(where: isName) ?? "unknown"
        return "dns; \(name) (\(address))"
    }

    private mutating func field(_ name: String, _ value: String) {
        FieldText.appendField(name, value, to: &octets)
    }

    private func clean(_ text: String) -> String { FieldText.cleaned(text, isASCII: !isInternationalized) }

    /// RFC 3464 §2.3.2: `type; address`. An address beyond ASCII has type `utf-8`, with an encoding that fits the part (RFC 6533 §3).
    func typedAddress(_ address: String) -> String {
        guard FieldText.isASCII(address) else { return internationalAddress(address) }
        return address.contains("@") ? "rfc822; \(clean(address))" : "x-local; \(clean(address))"
    }

    private func internationalAddress(_ address: String) -> String {
        let encoded = isInternationalized ? InternationalAddress.unitext(address) : InternationalAddress.xtext(address)
        return "utf-8; \(clean(encoded))"
    }

    /// `nil` for a value without a type.
    private func originalAddress(_ value: String) -> String? {
        guard let semicolon = value.firstIndex(of: ";") else { return nil }
        let type = value[..<semicolon]
        guard DeliveryReport.Recipient.isType(type) else { return nil }
        let encoded = FieldText.trimmed(value[value.index(after: semicolon)...])
        // Its encoding is not that of the others, and differs between the two kinds of report.
        if asciiLowercased(type) == "utf-8" { return internationalAddress(InternationalAddress.decoded(encoded)) }
        let address = Self.decoded(encoded)
        return FieldText.isASCII(address) ? "\(type); \(clean(address))" : internationalAddress(address)
    }

    /// What is no xtext stands for itself.
    private static func decoded(_ xtext: String) -> String {
        guard let octets = XText.decode(xtext) else { return xtext }
        return String(decoding: octets, as: UTF8.self)
    }
}

extension DeliveryReport.Recipient {
    /// ``status`` if it is a code of the action's class (RFC 3463 §3.1 reserves 2, 4 and 5 for just that), else `class.0.0`.
    var statusCode: String {
        let expected =
            switch action {
            case .delivered, .relayed, .expanded: 2
            case .delayed: 4
            case .failed: 5
            }
        guard let code = EnhancedStatusCode(status) else { return "\(expected).0.0" }
        // A temporary condition that lasted too long is a failure with a status of class 4 or 5 (RFC 3464 §2.3.4).
        if code.class == expected || (action == .failed && code.class == 4) { return code.description }
        return "\(expected).0.0"
    }

    /// `type; text`, or `nil` when nothing is known.
    var typedDiagnostic: String? {
        let value = diagnostic.isEmpty ? (action == .failed || action == .delayed ? text : "") : diagnostic
        guard !value.isEmpty else { return nil }
        let type = value.prefix { $0 != ";" }
        return type.endIndex != value.endIndex && Self.isType(type) ? value : "x-local; \(value)"
    }

    /// An atom, as far as the registered types need one (RFC 3464 §2.1.2).
    static func isType(_ text: Substring) -> Bool {
        (1...64).contains(text.utf8.count)
            && text.utf8.allSatisfy {
                (0x61...0x7a).contains($0 | 0x20) || (0x30...0x39).contains($0) || $0 == 0x2d
            }
    }
}
