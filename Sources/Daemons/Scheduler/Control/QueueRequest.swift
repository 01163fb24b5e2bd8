import Configuration
import Glibc
import MailModel
import Scheduling
import SpoolFormat

/// A question of the queue socket that has fields (docs/protocols.md §5): words separated by TABs, the first ones alone, the others
/// `key=value`.
struct QueueRequest {
    struct Problem: Error {
        let reason: String
        init(_ reason: String) { self.reason = reason }
    }

    let words: [String]
    let values: [(key: String, value: String)]

    init(_ line: String) throws(Problem) {
        let fields = line.split(separator: "\t", omittingEmptySubsequences: false).map(String.init)
        let count = fields.firstIndex { $0.contains("=") || $0 == "all" || $0 == "dry-run" } ?? fields.count
        words = Array(fields[..<count])
        var values: [(key: String, value: String)] = []
        for field in fields[count...] {
            guard let sign = field.firstIndex(of: "=") else {
                values.append((field, ""))
                continue
            }
            values.append((String(field[..<sign]), String(field[field.index(after: sign)...])))
        }
        self.values = values
    }

    static let selectionKeys = [
        "id", "sender", "recipient", "host", "channel", "status", "older", "younger", "larger", "smaller", "all",
    ]
    static let verbs = ["count", "retry", "hold", "release", "remove", "bounce", "move", "reroute"]

    /// `operate VERB …`.
    func operation(now: Int64) throws(Problem) -> QueueOperation {
        let selection = try selection(besides: ["by", "reason", "to", "dry-run"])
        let verb = try verb()
        let changes = verb != .count
        guard !changes || !selection.isEverything || has("all") else {
            throw Problem(
                "nothing says which mail is meant; valid are --id, --sender, --recipient, --host, --channel, --status, "
                    + "--older, --younger, --larger, --smaller, and --all for everything")
        }
        return QueueOperation(verb, selection, note(now), isDryRun: has("dry-run"))
    }

    private func verb() throws(Problem) -> QueueOperation.Verb {
        switch words.count == 2 ? words[1] : "" {
        case "count": return .count
        case "retry": return .retry
        case "hold": return .hold
        case "release": return .release
        case "remove": return .remove
        case "bounce": return .bounce
        case "reroute": return .reroute
        case "move":
            let text = value("to") ?? ""
            let parts = text.split(separator: "/", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
            guard parts.count == 2, parts.allSatisfy(Self.isWord) else {
                throw Problem("'\(text)' is no destination; valid is channel/host, for example smtp/mx.example.org")
            }
            return .move(channel: parts[0], host: parts[1])
        default: throw Problem("valid operations are \(Self.verbs.joined(separator: ", "))")
        }
    }

    /// As a control file can hold it.
    private static func isWord(_ text: String) -> Bool {
        (1...255).contains(text.utf8.count) && text.utf8.allSatisfy { $0 > 0x20 && $0 != 0x7f }
    }

    func note(_ now: Int64) -> OperatorNote {
        let name = value("by") ?? ""
        return OperatorNote(
            operatorName: String(Octets.cleaned(name.isEmpty ? "operator" : name).prefix(64)),
            reason: String(Octets.cleaned(value("reason") ?? "").prefix(500)), time: now)
    }

    func has(_ key: String) -> Bool { values.contains { $0.key == key } }
    func value(_ key: String) -> String? { values.last { $0.key == key }?.value }

    // MARK: Which mail

    func selection(besides others: [String]) throws(Problem) -> QueueSelection {
        var selection = QueueSelection()
        for (key, value) in values where !others.contains(key) {
            switch key {
            case "all": break
            case "id":
                guard let id = SpoolID(value) else {
                    throw Problem("'\(value)' is no queue id; valid are names as zmailer queue list shows them")
                }
                selection.ids.insert(id)
            case "sender": selection.senders.append(try pattern(value.isEmpty ? "<>" : value))
            case "recipient": selection.recipients.append(try pattern(value))
            case "host": selection.hosts.append(try pattern(value))
            case "channel": selection.channels.append(try pattern(value))
            case "status":
                guard let status = QueueSelection.Status(rawValue: value) else {
                    let valid = QueueSelection.Status.allCases.map(\.rawValue).joined(separator: ", ")
                    throw Problem("'\(value)' is no status; valid are \(valid)")
                }
                selection.statuses.insert(status)
            case "older": selection.olderThan = try seconds(value)
            case "younger": selection.youngerThan = try seconds(value)
            case "larger": selection.largerThan = try octets(value)
            case "smaller": selection.smallerThan = try octets(value)
            default:
                let valid = (Self.selectionKeys + others).joined(separator: ", ")
                throw Problem("'\(key)' says nothing; valid are \(valid)")
            }
        }
        let counts = [selection.senders, selection.recipients, selection.hosts, selection.channels].map(\.count)
        guard selection.ids.count <= QueueSelection.maximumIDs,
            counts.allSatisfy({ $0 <= QueueSelection.maximumPatterns })
        else {
            throw Problem(
                "too many; valid are \(QueueSelection.maximumIDs) ids and \(QueueSelection.maximumPatterns) patterns of a kind"
            )
        }
        return selection
    }

    private func pattern(_ text: String) throws(Problem) -> GlobPattern {
        guard (1...255).contains(text.utf8.count) else {
            throw Problem("a pattern has 1 to 255 octets; valid are words with * ? [a-z]")
        }
        return GlobPattern(text)
    }

    func seconds(_ text: String) throws(Problem) -> Int64 {
        guard let time = SchedulerTime.parse(text)?.components.seconds, time >= 0 else {
            throw Problem("'\(text)' is no time; valid are 90s, 30m, 12h, 7d, 1d12h")
        }
        return time
    }

    /// `500`, `20k`, `3M`, `1G`.
    private func octets(_ text: String) throws(Problem) -> Int {
        let digits = text.utf8.prefix { (48...57).contains($0) }
        let unit = String(text.utf8.dropFirst(digits.count)) ?? "?"
        let factor =
            switch unit {
            case "": 1
            case "k", "K": 1 << 10
            case "m", "M": 1 << 20
            case "g", "G": 1 << 30
            default: 0
            }
        guard factor > 0, let number = Int(String(digits) ?? ""), number <= Int.max / factor else {
            throw Problem("'\(text)' is no size; valid are 500, 20k, 3M, 1G")
        }
        return number * factor
    }

    // MARK: Suspensions

    /// `suspend …`.
    func suspension(now: Int64) throws(Problem) -> Suspension {
        for (key, _) in values
        where !["channel", "host", "sender", "recipient", "for", "forever", "by", "reason"].contains(key) {
            throw Problem("'\(key)' says nothing; valid are channel, host, sender, recipient, for, forever, by, reason")
        }
        func given(_ key: String) throws(Problem) -> GlobPattern? {
            guard let text = value(key) else { return nil }
            return try pattern(key == "sender" && text.isEmpty ? "<>" : text)
        }
        let note = note(now)
        var suspension = Suspension(
            channel: try given("channel"), host: try given("host"), sender: try given("sender"),
            recipient: try given("recipient"), since: now, operatorName: note.operatorName, reason: note.reason)
        guard suspension.hasPattern else {
            throw Problem("nothing says what is suspended; valid are --channel, --host, --sender, --recipient")
        }
        if let time = value("for") {
            let seconds = try seconds(time)
            guard (1...10 * 365 * 86400).contains(seconds) else {
                throw Problem("--for \(time): valid are times from 1s to 3650d")
            }
            suspension.until = now + seconds
        } else if value("forever") == nil {
            throw Problem("nothing says for how long; valid are --for TIME (30m, 12h, 7d) and --until-resumed")
        }
        return suspension
    }
}
