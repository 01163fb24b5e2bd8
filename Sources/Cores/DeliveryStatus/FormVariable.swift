import MailModel
import SpoolFormat

/// What stands in a form as `${name}`; `$$` is a dollar sign.
enum FormVariable: String, CaseIterable {
    /// Our host name.
    case host
    /// Where help is to be had: `postmaster@host`.
    case postmaster
    /// Whom the report goes to.
    case sender
    /// Of the original message.
    case subject
    case messageID = "message-id"
    case queueID = "queue-id"
    /// When the original arrived; when the report was made.
    case arrived, date
    /// The recipients' addresses, the first few.
    case recipients
    /// The last time until which a recipient is tried.
    case until
    /// How many recipients, and how many of each result.
    case count, failed, delayed, delivered, relayed, expanded
    /// The readable list of recipients; without it in the text, it follows the text.
    case list

    /// All that fit into one line.
    static var forHeader: [FormVariable] { allCases.filter { $0 != .list } }

    var reference: String { "${\(rawValue)}" }

    /// Recipients that ``recipients`` names.
    private static let shownRecipients = 5

    /// One line, not yet cleaned; ``list`` has none.
    func value(_ report: DeliveryReport) -> String {
        func count(_ action: Notary.Action) -> String { "\(report.recipients.count { $0.action == action })" }
        switch self {
        case .host: return report.reportingMTA
        case .postmaster: return "postmaster@\(report.reportingMTA)"
        case .sender: return report.to.joined(separator: ", ")
        case .subject: return report.headerSection.value("Subject").map(DecodedWords.text) ?? ""
        case .messageID: return report.headerSection.value("Message-Id") ?? ""
        case .queueID: return "\(report.original.id)"
        case .arrived: return CalendarDate(unixTime: report.original.arrivalDate).rfc5322
        case .date: return CalendarDate(unixTime: report.date).rfc5322
        case .recipients:
            let shown = report.recipients.prefix(Self.shownRecipients).map(\.finalRecipient).joined(separator: ", ")
            let rest = report.recipients.count - Self.shownRecipients
            return rest > 0 ? "\(shown), +\(rest)" : shown
        case .until:
            let last = report.recipients.lazy.compactMap(\.willRetryUntil).max()
            return last.map { CalendarDate(unixTime: $0).rfc5322 } ?? "-"
        case .count: return "\(report.recipients.count)"
        case .failed: return count(.failed)
        case .delayed: return count(.delayed)
        case .delivered: return count(.delivered)
        case .relayed: return count(.relayed)
        case .expanded: return count(.expanded)
        case .list: return ""
        }
    }

    /// `text` with its variables replaced, each by one cleaned line; an unknown one stays.
    static func filled(_ text: String, _ report: DeliveryReport) -> String {
        guard text.contains("$") else { return text }
        return parts(text).map { part in
            switch part {
            case .text(let text): text
            case .variable(let name):
                FormVariable(rawValue: name).map { FieldText.cleaned($0.value(report), isASCII: false) } ?? "${\(name)}"
            }
        }.joined()
    }

    /// One reason for each variable that is not among `valid`.
    static func mistakes(in text: String, allowing valid: [FormVariable]) -> [String] {
        parts(text).compactMap { part in
            guard case .variable(let name) = part, !valid.contains(where: { $0.rawValue == name }) else { return nil }
            return "${\(name)} is not known here; valid are \(valid.map(\.rawValue).joined(separator: " ")), "
                + "and $$ for a dollar sign"
        }
    }

    private enum Part {
        case text(String)
        case variable(String)
    }

    private static func parts(_ text: String) -> [Part] {
        var parts: [Part] = []
        var plain = String.UnicodeScalarView()
        var rest = Substring(text).unicodeScalars
        while let scalar = rest.popFirst() {
            guard scalar == "$" else {
                plain.append(scalar)
                continue
            }
            if rest.first == "$" {
                rest.removeFirst()
                plain.append("$")
            } else if rest.first == "{", let close = rest.firstIndex(of: "}") {
                parts.append(.text(String(plain)))
                plain = String.UnicodeScalarView()
                parts.append(.variable(String(Substring(rest[rest.index(after: rest.startIndex)..<close]))))
                rest = rest[rest.index(after: close)...]
            } else {
                plain.append("$")
            }
        }
        parts.append(.text(String(plain)))
        return parts
    }
}
