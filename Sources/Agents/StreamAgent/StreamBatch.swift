import AgentKit
import Configuration
import MailModel
import SpoolFormat

/// The SMTP commands around a message in batch (RFC 2442 in the form that ZMailer's BSMTP has; flags `b`, `B`, `BB`, `H`).
struct StreamBatch {
    let flags: StreamMailerFlags
    let hostName: String
    /// `nil` for `<>`.
    let sender: String?
    let recipients: [JobRecipient]
    let control: ControlFile
    /// Whether the content has octets above 127.
    let isEightBit: Bool
    /// Octets of the message as it is written between DATA and the final dot, before dots are doubled and before a conversion (RFC 1870 §5); an estimate.
    let size: Int

    /// Lines without their ends, up to and including DATA.
    var opening: [String] {
        let isExtended = flags.contains(.extendedBatch)
        var lines: [String] = []
        if flags.contains(.greets) { lines.append("\(isExtended ? "EHLO" : "HELO") \(hostName)") }
        var mail = "MAIL FROM:<\(Octets.cleaned(sender ?? ""))>"
        if isExtended {
            mail += " SIZE=\(size)"
            if isEightBit || control.isInternationalized { mail += " BODY=8BITMIME" }
            if control.isInternationalized { mail += " SMTPUTF8" }
        }
        if flags.contains(.notaryBatch) {
            if let notaryReturn = control.notaryReturn { mail += " RET=\(notaryReturn.rawValue)" }
            if let id = control.envelopeID { mail += " ENVID=\(SpoolText.word(id))" }
        }
        lines.append(mail)
        for recipient in recipients { lines.append(line(recipient)) }
        lines.append("DATA")
        return lines
    }

    private func line(_ recipient: JobRecipient) -> String {
        var line = "RCPT TO:<\(Octets.cleaned(recipient.address))>"
        guard flags.contains(.notaryBatch) else { return line }
        line += " NOTIFY=\(recipient.recipient.notify.text)"
        if let original = recipient.recipient.originalRecipient { line += " ORCPT=\(SpoolText.word(original))" }
        return line
    }

    var closing: [String] { flags.contains(.greets) ? [".", "QUIT"] : ["."] }
}
