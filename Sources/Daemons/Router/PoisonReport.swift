import MailModel
import SpoolFormat

/// Tells the postmaster of a message that is not routed any more.
enum PoisonReport {
    /// A message file: from nobody, to the postmaster.
    static func message(
        about id: SpoolID, as own: SpoolID, hostName: String, time: Int64
    ) -> [UInt8] {
        var envelope = MessageEnvelope()
        envelope.isErrorMessage = true
        envelope.with = "INTERNAL"
        envelope.recipients = [EnvelopeRecipient(address: "postmaster", notify: .never)]
        let date = CalendarDate(unixTime: time).rfc5322
        let lines = [
            "Date: \(date)",
            "From: Mail Delivery Subsystem <MAILER-DAEMON@\(hostName)>",
            "To: postmaster@\(hostName)",
            "Subject: message \(id) could not be routed",
            "Message-Id: <\(own)@\(hostName)>",
            "Auto-Submitted: auto-generated",
            "MIME-Version: 1.0",
            "Content-Type: text/plain; charset=utf-8",
            "",
            "A routing worker of \(hostName) ended twice while it read this message.",
            "It was moved out of the queue and is kept as",
            "",
            "    postman/\(id):poison",
            "",
            "in POSTOFFICE. Nothing was delivered and its sender was not told. The router's log",
            "has the time and the signal. To try again, move the file back to router/\(id).",
            "",
        ]
        let content = Array(lines.joined(separator: "\r\n").utf8)
        let longest = lines.map(\.utf8.count).max() ?? 0
        envelope.traits = MessageTraits(size: content.count, longestLine: longest)
        return envelope.encoded() + content
    }
}
