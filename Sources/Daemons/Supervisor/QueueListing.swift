import MailModel

/// Queue answers as a person reads them.
struct QueueListing {
    /// Seconds since 1970.
    let now: Int

    /// A message and a line for each of its recipients that is not done.
    func message(_ value: JSONValue) -> String {
        let sender = value["sender"]?.string ?? ""
        var text = head(
            id: value["id"]?.string ?? "?", size: value["size"]?.integer ?? 0, arrived: value["arrived"]?.integer ?? now
        )
        text += "<\(Self.printable(sender))>" + requests(value)
        for recipient in value["recipients"]?.elements ?? [] where !isDone(recipient) {
            text += "\n" + self.recipient(recipient)
        }
        return text
    }

    /// What SMTP extensions have asked for: the release time, the deliver-by-time, the priority.
    private func requests(_ value: JSONValue) -> String {
        var text = ""
        if let time = value["held_until"]?.integer {
            text += ", held until \(Self.date(time)) (\(Self.age(time - now)))"
        }
        if let time = value["held_since"]?.integer { text += ", held for \(Self.age(now - time))" }
        if let time = value["deliver_by"]?.integer { text += ", deliver by \(Self.date(time))" }
        if let priority = value["priority"]?.integer, priority != 0 { text += ", priority \(priority)" }
        return text
    }

    private static func date(_ time: Int) -> String { CalendarDate(unixTime: Int64(time)).rfc3339 }

    func unrouted(_ message: UnroutedMessage) -> String {
        head(id: message.name, size: message.size, arrived: message.arrived)
            + message.state.text
    }

    func thread(_ value: JSONValue) -> String {
        let name = "\(value["channel"]?.string ?? "")/\(value["host"]?.string ?? "")"
        var text = Self.printable(name).padded(to: 32)
        text += " N=\(value["messages"]?.integer ?? 0) R=\(value["recipients"]?.integer ?? 0)"
        text += " A=\(value["attempts"]?.integer ?? 0) active=\(value["active"]?.integer ?? 0)"
        text += next(value) + reason(value)
        return text
    }

    func summary(_ value: JSONValue, unrouted: [UnroutedMessage]) -> String {
        let frozen = unrouted.count { $0.state == .frozen }
        func number(_ key: String) -> Int { value[key]?.integer ?? 0 }
        let all = number("held") + number("held_by_operator")
        var held = all == 0 ? "" : " Held: \(all)"
        if number("suspensions") > 0 { held += " Suspensions: \(number("suspensions"))" }
        return "Msgs: \(number("messages")) Rcpnts: \(number("recipients")) Thrds: \(number("threads"))"
            + " Kids: \(number("agents")) Active: \(number("active"))\(held) Unrouted: \(unrouted.count - frozen)"
            + (frozen == 0 ? "" : " Frozen: \(frozen)") + " Uptime: \(Self.age(number("uptime")))"
    }

    private func isDone(_ recipient: JSONValue) -> Bool {
        let state = recipient["state"]?.string
        return state == "delivered" || state == "failed" || state == "removed"
    }

    private func head(id: String, size: Int, arrived: Int) -> String {
        let age = Self.age(now - arrived)
        return "\(Self.printable(id).padded(to: 20)) \(Self.size(size).padded(to: 7)) \(age.padded(to: 8)) "
    }

    private func recipient(_ value: JSONValue) -> String {
        let route = "\(value["channel"]?.string ?? "")/\(value["host"]?.string ?? "")"
        var text = "    <\(Self.printable(value["address"]?.string ?? ""))> \(Self.printable(route))"
        text += " \(Self.printable(value["state"]?.string ?? "?")), attempts \(value["attempts"]?.integer ?? 0)"
        text += next(value) + reason(value)
        if let kept = value["reason"]?.string, !kept.isEmpty { text += "\n        \(Self.printable(kept))" }
        return text
    }

    private func next(_ value: JSONValue) -> String {
        guard let next = value["next_attempt"]?.integer, next > now else { return "" }
        return ", next in \(Self.age(next - now))"
    }

    private func reason(_ value: JSONValue) -> String {
        let status = value["status"]?.string ?? ""
        let last = value["last"]?.string ?? ""
        let text = [status, last].filter { !$0.isEmpty }.joined(separator: " ")
        return text.isEmpty ? "" : "\n        \(Self.printable(text))"
    }

    /// Addresses and replies are strangers' texts: nothing of them reaches the terminal but printable characters.
    static func printable(_ text: String) -> String {
        String(
            String.UnicodeScalarView(
                text.unicodeScalars.map { scalar in
                    switch scalar.properties.generalCategory {
                    case .control, .format, .surrogate, .privateUse, .unassigned, .lineSeparator, .paragraphSeparator:
                        "?"
                    default: scalar
                    }
                }))
    }

    /// `45s`, `12m`, `3h05m`, `2d07h`.
    static func age(_ seconds: Int) -> String {
        func two(_ value: Int) -> String { value < 10 ? "0\(value)" : String(value) }
        switch seconds {
        case ..<0: return "0s"
        case ..<60: return "\(seconds)s"
        case ..<3600: return "\(seconds / 60)m"
        case ..<86400: return "\(seconds / 3600)h\(two(seconds / 60 % 60))m"
        default: return "\(seconds / 86400)d\(two(seconds / 3600 % 24))h"
        }
    }

    /// `512`, `4.0K`, `12M`.
    static func size(_ octets: Int) -> String {
        let units = ["K", "M", "G", "T"]
        var value = octets
        guard value >= 1024 else { return String(value) }
        for unit in units {
            if value < 10 * 1024 { return "\(value / 1024).\(value % 1024 * 10 / 1024)\(unit)" }
            if value < 1024 * 1024 || unit == units.last { return "\(value / 1024)\(unit)" }
            value /= 1024
        }
        return String(octets)
    }
}
