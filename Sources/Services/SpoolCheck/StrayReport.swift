import Glibc
import MailModel
import Postoffice
import SpoolFormat

/// Tells the postmaster of what was moved to `postman/`.
public enum StrayReport {
    /// Findings that one report names; the log has all of them.
    static let maximumLines = 100

    /// Submits the report, if anything was moved. - Returns: its name, which the router is to be told.
    public static func send(
        _ findings: [SpoolFinding], to postoffice: Postoffice, hostName: String, time: Int64
    ) throws(PostofficeError) -> SpoolID? {
        let moved = findings.filter { if case .setAside = $0.outcome { true } else { false } }
        guard !moved.isEmpty else { return nil }
        let id = postoffice.newID()
        try postoffice.submit(id, [message(about: moved, as: id, hostName: hostName, time: time)])
        NoticeSender(socketPath: "\(postoffice.root)/.router.notify", directory: "router").send(id)
        return id
    }

    /// A message file: from nobody, to the postmaster.
    static func message(about findings: [SpoolFinding], as own: SpoolID, hostName: String, time: Int64) -> [UInt8] {
        var envelope = MessageEnvelope()
        envelope.isErrorMessage = true
        envelope.with = "INTERNAL"
        envelope.recipients = [EnvelopeRecipient(address: "postmaster", notify: .never)]
        var lines = [
            "Date: \(CalendarDate(unixTime: time).rfc5322)",
            "From: Mail Delivery Subsystem <MAILER-DAEMON@\(hostName)>",
            "To: postmaster@\(hostName)",
            "Subject: \(findings.count) \(findings.count == 1 ? "file" : "files") of the queue set aside",
            "Message-Id: <\(own)@\(hostName)>",
            "Auto-Submitted: auto-generated",
            "MIME-Version: 1.0",
            "Content-Type: text/plain; charset=utf-8",
            "",
            "The check of the queue of \(hostName) has found files that no program would have",
            "dealt with. Nobody else was told. They are kept in POSTOFFICE/postman:",
            "",
        ]
        for finding in findings.prefix(maximumLines) {
            lines.append("  \(line(finding.file)): \(finding.problem.rawValue)")
            lines.append("    \(line(finding.detail)); \(line(finding.action))")
        }
        if findings.count > maximumLines {
            lines.append("  and \(findings.count - maximumLines) more; the log has them")
        }
        lines += ["", "docs/operations.md says what each of them means and what can be done.", ""]
        let content = Array(lines.joined(separator: "\r\n").utf8)
        envelope.traits = MessageTraits(
            size: content.count, longestLine: lines.map(\.utf8.count).max() ?? 0)
        return envelope.encoded() + content
    }

    /// File names may hold anything but a slash.
    static func line(_ text: String) -> String {
        String(
            decoding: text.utf8.prefix(400).map { $0 < 0x20 || $0 >= 0x7f ? UInt8(ascii: "?") : $0 }, as: UTF8.self)
    }
}
