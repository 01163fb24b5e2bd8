import AgentKit
import Glibc
import MailModel
import SpoolFormat

/// What is written above a message when it reaches its mailbox (transport-agents.md §3): LF lines.
struct TraceFields {
    /// `nil` for `<>`.
    let sender: String?
    let recipient: JobRecipient
    let envelopeID: String?
    /// Under which the message is written.
    let uid: uid_t
    /// `-U`: what POP servers call the message.
    var uniqueID: String?

    /// Fields of a message that are replaced by ours, lower case: what a stranger put there would be taken for the truth.
    static let replaced = [
        "return-path", "x-envelope-to", "x-orcpt", "original-recipient", "x-envid", "envelope-id", "x-uidl",
    ]

    var text: String {
        var text = "Return-Path: <\(Self.clean(sender ?? ""))>\n"
        if let address = recipient.recipient.envelopeRecipient { text += "Delivered-To: \(Self.clean(address))\n" }
        text += "X-Envelope-To: <\(Self.clean(recipient.address))> (uid \(uid))\n"
        if let original = recipient.recipient.originalRecipient {
            text +=
                "X-Orcpt: \(Self.clean(original))\nOriginal-Recipient: \(EnvelopeText.originalRecipient(original))\n"
        }
        if let id = envelopeID {
            text += "X-Envid: \(Self.clean(id))\nEnvelope-Id: \(EnvelopeText.envelopeID(id))\n"
        }
        if let uniqueID { text += "X-UIDL: \(uniqueID)\n" }
        return text
    }

    /// One line, bounded.
    static func clean(_ text: String) -> String { ReportText.cleaned(text) }

    /// The line that begins a message in mbox files and for programs.
    static func separator(sender: String?, time: Int64) -> String {
        EnvelopeText.separator(sender: sender, time: time) + "\n"
    }
}
