import AgentKit
import Configuration
import MailModel
import SpoolFormat

/// What mailers want to have above a message (flags `P`, `O`, `e`), and what of the message's own has to go for it.
struct StreamFields {
    let flags: StreamMailerFlags
    /// `nil` for `<>`.
    let sender: String?
    let recipients: [JobRecipient]
    let envelopeID: String?

    /// Lines ending in LF.
    var text: String {
        var text = ""
        if flags.contains(.addsReturnPath) { text += "Return-Path: <\(Self.clean(sender ?? ""))>\n" }
        if flags.contains(.addsEnvelopeFields) {
            for recipient in recipients { text += "X-Envelope-To: <\(Self.clean(recipient.address))>\n" }
        }
        if !flags.isDisjoint(with: [.addsEnvelopeFields, .addsOriginalRecipient]) {
            for case let original? in recipients.map(\.recipient.originalRecipient) {
                text += "Original-Recipient: \(EnvelopeText.originalRecipient(original))\n"
            }
        }
        if flags.contains(.addsEnvelopeFields), let envelopeID {
            text += "Envelope-Id: \(EnvelopeText.envelopeID(envelopeID))\n"
        }
        return text
    }

    /// Names of fields that a stranger may have put there and that would be taken for ours, lower case.
    var replaced: Set<String> {
        var names: Set<String> = []
        if flags.contains(.addsReturnPath) { names.insert("return-path") }
        if flags.contains(.addsEnvelopeFields) {
            names.formUnion(["x-envelope-to", "envelope-id", "original-recipient"])
        }
        if flags.contains(.addsOriginalRecipient) { names.insert("original-recipient") }
        return names
    }

    /// `octets`, a header section, without the fields named in `names` and their folded lines; every other octet stays.
    static func removing(_ names: Set<String>, from octets: [UInt8]) -> [UInt8] {
        let section = HeaderSection(octets)
        var kept: [UInt8] = []
        var start = 0
        for field in section.fields where names.contains(asciiLowercased(field.name)) {
            kept += octets[start..<field.range.lowerBound]
            start = field.range.upperBound
        }
        return start == 0 ? octets : kept + octets[start...]
    }

    /// One line, bounded.
    static func clean(_ text: String) -> String { ReportText.cleaned(text) }
}
