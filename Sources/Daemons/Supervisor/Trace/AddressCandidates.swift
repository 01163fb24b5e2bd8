import MailModel
import SpoolFormat
import Telemetry

/// Messages and refusals with a certain sender, a certain recipient, or both. Sender and recipient of a message stand in different lines.
struct AddressCandidates {
    enum Candidate: Hashable {
        case message(String)
        case refusal(session: String)
    }

    private struct Found {
        var hasSender: Bool
        var hasRecipient: Bool
        var time: Int64
    }

    private let from: String?
    private let to: String?
    private var found: [Candidate: Found] = [:]
    /// There were more than are kept.
    private(set) var isTruncated = false

    static let maximum = 200_000

    init(from: String?, to: String?) {
        self.from = from
        self.to = to
    }

    /// One that is known to match in both.
    mutating func add(message id: String) {
        note(.message(id), hasSender: true, hasRecipient: true, time: SpoolID(id)?.milliseconds ?? 0)
    }

    mutating func look(at record: LogRecord) {
        let hasSender = from.map { wanted in record["from"].map { Self.isSame($0, wanted) } ?? false } ?? true
        if let id = record["queue-id"] {
            let hasRecipient =
                to.map { wanted in
                    [record["to"], record["orig_to"]].contains { $0.map { Self.isSame($0, wanted) } ?? false }
                } ?? true
            // What a line does not speak of, another one does.
            let hasNews = from != nil && hasSender || to != nil && hasRecipient
            if hasNews {
                note(.message(id), hasSender: hasSender, hasRecipient: hasRecipient, time: record.milliseconds)
            }
        } else if let session = record["session"], let command = record["command"] {
            let hasRecipient = to.map { Self.names($0, in: command) } ?? true
            guard hasSender, hasRecipient else { return }
            note(.refusal(session: session), hasSender: true, hasRecipient: true, time: record.milliseconds)
        }
    }

    private mutating func note(_ candidate: Candidate, hasSender: Bool, hasRecipient: Bool, time: Int64) {
        guard found[candidate] != nil || found.count < Self.maximum else {
            isTruncated = true
            return
        }
        var entry = found[candidate] ?? Found(hasSender: from == nil, hasRecipient: to == nil, time: time)
        entry.hasSender = entry.hasSender || hasSender
        entry.hasRecipient = entry.hasRecipient || hasRecipient
        entry.time = max(entry.time, time)
        found[candidate] = entry
    }

    /// Those that match in all that was asked for, newest first.
    var newest: [Candidate] {
        found.filter { $0.value.hasSender && $0.value.hasRecipient }.sorted { $0.value.time > $1.value.time }.map(\.key)
    }

    /// ASCII case and brackets do not count.
    private static func isSame(_ text: String, _ wanted: String) -> Bool {
        let bare = text.hasPrefix("<") && text.hasSuffix(">") ? String(text.dropFirst().dropLast()) : text
        return lowered(bare) == lowered(wanted)
    }

    /// `RCPT TO:<a@b> …`
    private static func names(_ address: String, in command: String) -> Bool {
        guard let open = command.firstIndex(of: "<"), let close = command[open...].firstIndex(of: ">") else {
            return false
        }
        return command.utf8.prefix(4).map { $0 & 0xdf } == Array("RCPT".utf8)
            && lowered(String(command[command.index(after: open)..<close])) == lowered(address)
    }

    private static func lowered(_ text: String) -> [UInt8] {
        text.utf8.map { (65...90).contains($0) ? $0 + 32 : $0 }
    }
}
