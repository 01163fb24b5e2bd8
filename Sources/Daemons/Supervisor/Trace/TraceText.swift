import Telemetry

/// Log lines as a person reads them.
enum TraceText {
    static func text(_ event: TraceEvent) -> String {
        switch event.content {
        case .record(let record): QueueListing.printable(text(record))
        case .dialogue(let line, _):
            switch line.kind {
            case "r": "client: \(QueueListing.printable(line.text))"
            case "w": "server: \(QueueListing.printable(line.text))"
            default: QueueListing.printable(line.text)
            }
        }
    }

    static func program(_ event: TraceEvent) -> String {
        switch event.content {
        case .record(let record): record.program
        case .dialogue: "smtpserver"
        }
    }

    private static func text(_ record: LogRecord) -> String {
        func value(_ key: String) -> String { record[key] ?? "?" }
        func path(_ key: String) -> String { bracketed(value(key)) }
        switch record.event {
        case "accepted":
            let freeze = record["freeze"].map { ", frozen (\($0)): \(value("reason"))" } ?? ""
            return "accepted from \(path("from")), client \(value("client")), recipients \(value("nrcpt")), "
                + "\(value("size")) octets, session \(value("session"))\(freeze)"
        case "refused", "connection-refused":
            return "refused \(value("command")): \(value("reply")) (\(value("reason")))"
        case "refused-more": return "\(value("count")) more refusals that are not in the log"
        case "dropped": return "dropped without a word (\(value("reason")))"
        case "ended": return "the session was ended: \(value("reason"))"
        case "aborted": return "the client left after \(value("octets")) octets of a message"
        case "not-stored": return "could not be stored: \(value("reason"))"
        case "routed":
            return "routed, recipients \(value("nrcpts")), Message-ID \(value("msgid"))"
        case "deferred" where record["to"] == nil: return "routing is tried again: \(value("reason"))"
        case "rejected": return "could not be routed, moved to \(value("moved-to")): \(value("reason"))"
        case "delivery": return delivery(record)
        case "report":
            return "notification \(value("report-id")) to \(path("to")) about recipients \(value("recipients"))"
        case "poison": return poison(record)
        case "freezer-released":
            let cause = record["reason"].map { "; it was there because: \($0)" } ?? ", after an interruption"
            return "let out of the freezer, by \(value("by"))\(cause)"
        case "freezer-dropped": return "dropped from the freezer, by \(value("by")): \(value("reason"))"
        case "freezer-bounced":
            return "returned from the freezer, by \(value("by")): notification \(value("report-id")) to \(path("to")) "
                + "about recipients \(value("recipients")): \(value("reason"))"
        case "no-clause": return "waits: \(value("reason"))"
        case "routed-again": return "routed again: \(value("reason"))"
        case "set-aside", "cleared": return value("reason")
        case "spool-trouble": return "spool trouble, tried again \(value("next-try")): \(value("reason"))"
        default: return plain(record)
        }
    }

    private static func delivery(_ record: LogRecord) -> String {
        let to = record["to"] ?? "?"
        let original = record["orig_to"].map { $0 == to ? "" : " (for \(bracketed($0)))" } ?? ""
        let route = record["channel"].map { " by \($0)/\(record["host"] ?? "-")" } ?? ""
        let relay = record["relay"].map { $0 == "-" || $0.isEmpty ? "" : " at \($0)" } ?? ""
        let security = record["tls"].map { $0 == "-" || $0.isEmpty ? "" : " (TLS: \($0))" } ?? ""
        let status = record["status"] ?? record["stat"] ?? "?"
        let delay = record["delay"].map { " after \($0) s" } ?? ""
        return
            "\(bracketed(to))\(original)\(route): \(status)\(relay)\(security)\(delay), \(record["dsn"] ?? "") \(record["text"] ?? "")"
    }

    private static func poison(_ record: LogRecord) -> String {
        let place = record["moved-to"].map { ", moved to \($0)" } ?? ""
        return "poison\(place): \(record["reason"] ?? "?")"
    }

    /// What has no form of its own.
    private static func plain(_ record: LogRecord) -> String {
        let fields = record.fields.filter { $0.key != "queue-id" }.map { field in
            field.value.contains(" ") || field.value.isEmpty
                ? "\(field.key)=\"\(field.value)\"" : "\(field.key)=\(field.value)"
        }
        return ([record.event] + fields).joined(separator: " ")
    }

    /// Some lines have the brackets, others not.
    private static func bracketed(_ address: String) -> String {
        address.hasPrefix("<") && address.hasSuffix(">") ? address : "<\(address)>"
    }
}
