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

    private mutating func field(_ name: String, _ value: String) {
        FieldText.appendField(name, value, to: &octets)
    }

    private func clean(_ text: String) -> String { FieldText.cleaned(text, isASCII: !isInternationalized) }

    /// RFC 3464 §2.3.2: `type; address`. An address beyond ASCII has type `utf-8`, written plainly in the internationalised form
    /// and as `utf-8-addr-xtext` in the other (RFC 6533 §3).
    func typedAddress(_ address: String) -> String {
        guard address.utf8.allSatisfy({ $0 < 0x80 }) else {
            return "utf-8; \(isInternationalized ? clean(address) : Self.escaped(address))"
        }
        return address.contains("@") ? "rfc822; \(clean(address))" : "x-local; \(clean(address))"
    }

    /// `nil` for a value without a type.
    private func originalAddress(_ value: String) -> String? {
        guard let semicolon = value.firstIndex(of: ";"), semicolon != value.startIndex else { return nil }
        let type = clean(String(value[..<semicolon]))
        let encoded = FieldText.trimmed(value[value.index(after: semicolon)...])
        // The type utf-8 has an encoding of its own that is kept: any reader of this field knows it.
        if asciiLowercased(type) == "utf-8" { return "utf-8; \(clean(encoded))" }
        let address = Self.decoded(encoded)
        if !address.utf8.allSatisfy({ $0 < 0x80 }) { return typedAddress(address) }
        return "\(type); \(clean(address))"
    }

    /// What is no xtext stands for itself.
    private static func decoded(_ xtext: String) -> String {
        guard let octets = XText.decode(xtext) else { return xtext }
        return String(decoding: octets, as: UTF8.self)
    }

    /// `utf-8-addr-xtext` of RFC 6533 §3: printable ASCII but `\`, `+` and `=`, the rest as `\x{HEXPOINT}`.
    private static func escaped(_ address: String) -> String {
        var result = ""
        for scalar in address.unicodeScalars {
            switch scalar {
            case "\\", "+", "=": result += "\\x{\(String(scalar.value, radix: 16, uppercase: true))}"
            case "!"..."~": result.unicodeScalars.append(scalar)
            default: result += "\\x{\(String(scalar.value, radix: 16, uppercase: true))}"
            }
        }
        return FieldText.cleaned(result, isASCII: true)
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
        let isTyped =
            type.endIndex != value.endIndex && !type.isEmpty
            && type.utf8.allSatisfy {
                (0x61...0x7a).contains($0 | 0x20) || (0x30...0x39).contains($0) || $0 == 0x2d
            }
        return isTyped ? value : "x-local; \(value)"
    }
}
