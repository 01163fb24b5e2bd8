import Freezer
import MailModel
import SpoolFormat

/// Frozen messages as a person or a program reads them.
struct FreezerListing {
    /// Seconds since 1970.
    let now: Int64

    /// `id age size sender → recipients`, then the reason.
    func line(_ message: FrozenMessage) -> String {
        let age = QueueListing.age(Int(clamping: now - message.arrived))
        var text = "\(message.id)".padded(to: 20) + " " + QueueListing.size(message.size).padded(to: 7) + " "
        text += age.padded(to: 8) + " "
        if let envelope = message.envelope {
            text += "<\(TerminalText.escaped(envelope.sender ?? ""))>"
            if let first = envelope.recipients.first {
                text += " to <\(TerminalText.escaped(first.address))>"
                if envelope.recipients.count > 1 { text += " and \(envelope.recipients.count - 1) more" }
            }
        } else {
            text += "(no envelope)"
        }
        text += "\n    \(cause(message))"
        if let problem = message.problem { text += "\n    \(TerminalText.escaped(problem))" }
        return text
    }

    private func cause(_ message: FrozenMessage) -> String {
        guard let note = message.note else { return "reason not noted; the log may know (zmailer trace \(message.id))" }
        return "code \(note.code), \(TerminalText.escaped(note.source)): \(TerminalText.escaped(note.reason))"
    }

    /// One object; zmailer(8) has its keys.
    func json(_ message: FrozenMessage) -> String {
        let envelope = message.envelope
        var members: [String: JSONValue] = [
            "id": .string("\(message.id)"), "arrived": .number(Double(message.arrived)),
            "frozen": .number(Double(message.frozen)), "age": .number(Double(max(0, now - message.arrived))),
            "size": .number(Double(message.size)), "sender": .null, "recipients": .number(0), "first_recipient": .null,
            "code": .null, "source": .null, "reason": .null, "problem": .null,
        ]
        if let envelope {
            members["sender"] = .string(envelope.sender ?? "")
            members["recipients"] = .number(Double(envelope.recipients.count))
            if let first = envelope.recipients.first { members["first_recipient"] = .string(first.address) }
        }
        if let note = message.note {
            members["code"] = .number(Double(note.code))
            members["source"] = .string(note.source)
            members["reason"] = .string(note.reason)
        }
        if let problem = message.problem { members["problem"] = .string(problem) }
        return JSONValue.object(members).text
    }

    /// Envelope, reason and header.
    func description(_ message: FrozenMessage) -> String {
        var rows: [(String, String)] = [
            ("message", "\(message.id)"),
            ("arrived", "\(date(message.arrived)) (\(QueueListing.age(Int(clamping: now - message.arrived))) ago)"),
            ("frozen", date(message.frozen)), ("why", cause(message)), ("size", "\(message.size) octets"),
        ]
        if let problem = message.problem { rows.append(("problem", TerminalText.escaped(problem))) }
        if let envelope = message.envelope {
            if let client = envelope.receivedFrom { rows.append(("client", TerminalText.escaped(client))) }
            if let with = envelope.with { rows.append(("with", TerminalText.escaped(with))) }
            if let user = envelope.authenticatedUser { rows.append(("user", TerminalText.escaped(user))) }
            rows.append(("from", "<\(TerminalText.escaped(envelope.sender ?? ""))>"))
            for recipient in envelope.recipients {
                let notify = recipient.notify == .standard ? "" : " NOTIFY=\(recipient.notify.text)"
                rows.append(("to", "<\(TerminalText.escaped(recipient.address))>\(notify)"))
            }
            for comment in envelope.comments { rows.append(("comment", TerminalText.escaped(comment))) }
        }
        return rows.map { $0.0.padded(to: 9) + $0.1 + "\n" }.joined() + "\n" + TerminalText.lines(message.header)
    }

    private func date(_ time: Int64) -> String { CalendarDate(unixTime: time).rfc3339 }
}

/// Which messages are listed: those that match all that is given.
public struct FreezerFilter: Hashable, Sendable {
    /// An address, or `@domain`; empty: the null sender.
    public var from: String?
    /// The same of any recipient.
    public var to: String?
    /// Seconds since arrival.
    public var olderThan: Int64?
    /// A part of the source or the reason.
    public var reason: String?

    public init(from: String? = nil, to: String? = nil, olderThan: Int64? = nil, reason: String? = nil) {
        self.from = from.map(Self.bare)
        self.to = to.map(Self.bare)
        self.olderThan = olderThan
        self.reason = reason
    }

    func matches(_ message: FrozenMessage, now: Int64) -> Bool {
        if let olderThan, now - message.arrived < olderThan { return false }
        if let from {
            guard let envelope = message.envelope, Self.matches(envelope.sender ?? "", from) else { return false }
        }
        if let to {
            guard let envelope = message.envelope, envelope.recipients.contains(where: { Self.matches($0.address, to) })
            else { return false }
        }
        if let reason {
            let wanted = asciiLowercased(reason)
            guard let note = message.note,
                asciiLowercased("\(note.source): \(note.reason)").contains(wanted)
            else { return false }
        }
        return true
    }

    private static func matches(_ address: String, _ pattern: String) -> Bool {
        let (address, pattern) = (asciiLowercased(address), asciiLowercased(pattern))
        return pattern.hasPrefix("@") ? address.hasSuffix(pattern) : address == pattern
    }

    private static func bare(_ text: String) -> String {
        text.hasPrefix("<") && text.hasSuffix(">") ? String(text.dropFirst().dropLast()) : text
    }
}
