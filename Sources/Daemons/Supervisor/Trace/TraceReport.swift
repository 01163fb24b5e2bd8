import MailModel
import SpoolFormat
import Telemetry

/// What was found, for people and for programs.
struct TraceReport {
    let subject: TraceSubject
    /// Oldest first.
    let messages: [String]
    let events: [TraceEvent]
    let places: [TracePlace]
    /// What the scheduler says of messages that are with it.
    let queued: [JSONValue]
    let coverage: [TraceSearch.Coverage]
    /// Files that were not read, the scheduler that did not answer, limits that were met.
    let remarks: [String]
    /// Seconds since 1970.
    let now: Int

    var isEmpty: Bool { events.isEmpty && places.isEmpty && queued.isEmpty }

    // MARK: For people

    var text: String {
        var lines: [String] = []
        let width = messages.count > 1 ? messages.reduce(0) { max($0, $1.utf8.count) } + 2 : 0
        for event in events {
            let program = TraceText.program(event).padded(to: 12)
            let id = width > 0 ? (event.queueID ?? "").padded(to: width) : ""
            lines.append("\(Self.time(event.milliseconds))  \(program)\(id)\(TraceText.text(event))")
        }
        for id in messages { lines += next(id) }
        return lines.joined(separator: "\n")
    }

    /// Where it is now and what comes next.
    private func next(_ id: String) -> [String] {
        let name = "\(id) (\(SpoolID(id)?.zmailerName ?? "-"))"
        let own = places.filter { $0.queueID == id }
        guard !own.isEmpty else {
            return ["now: \(name) is no longer in the spool"]
        }
        var lines = own.map { "now: \(name) is \($0.name): \(QueueListing.printable($0.meaning))" }
        let listing = QueueListing(now: now)
        for value in queued where value["id"]?.string == id {
            // The first line repeats what is known.
            let text = listing.message(value).split(separator: "\n").dropFirst()
            lines += text.map(String.init)
        }
        return lines
    }

    /// `2026-11-21 05:10:01.042`, UTC.
    private static func time(_ milliseconds: Int64) -> String {
        let date = CalendarDate(unixTime: milliseconds / 1000).rfc3339
        let fraction = String(1000 + milliseconds % 1000).dropFirst()
        return date.map { $0 == "T" ? " " : $0 == "Z" ? "." : String($0) }.joined() + fraction
    }

    /// What was looked at, when nothing was found.
    var searched: String {
        let octets = coverage.reduce(0) { $0 + $1.octets }
        let files = coverage.map(\.path).joined(separator: "\n  ")
        return "nothing is known of \(subject.text)\n"
            + (coverage.isEmpty ? "no log was read" : "\(QueueListing.size(octets)) of logs were read:\n  \(files)")
    }

    // MARK: For programs

    /// One object (zmailer(8)).
    var json: String {
        JSONValue.object([
            "subject": .string(subject.text), "messages": .array(messages.map(JSONValue.string)),
            "events": .array(events.map(Self.value)),
            "places": .array(
                places.map {
                    .object([
                        "queue_id": .string($0.queueID), "name": .string($0.name), "meaning": .string($0.meaning),
                    ])
                }),
            "queue": .array(queued),
            "searched": .array(
                coverage.map {
                    .object([
                        "file": .string($0.path), "octets": .number(Double($0.octets)),
                        "complete": .bool($0.isComplete),
                    ])
                }),
            "remarks": .array(remarks.map(JSONValue.string)),
        ]).text
    }

    private static func value(_ event: TraceEvent) -> JSONValue {
        var members: [String: JSONValue] = [
            "time": .string(timestamp(event.milliseconds)), "program": .string(TraceText.program(event)),
            "text": .string(TraceText.text(event)),
        ]
        switch event.content {
        case .record(let record):
            members["pid"] = .number(Double(record.pid))
            members["level"] = .string(record.level)
            members["event"] = .string(record.event)
            members["queue_id"] = record["queue-id"].map(JSONValue.string) ?? .null
            // Keys that stand twice keep the first value, as everywhere.
            members["fields"] = .object(
                Dictionary(record.fields.map { ($0.key, .string($0.value)) }, uniquingKeysWith: { first, _ in first }))
        case .dialogue(let line, let session):
            members["event"] = .string("dialogue")
            members["queue_id"] = .null
            members["fields"] = .object([
                "session": .string(session), "direction": .string(String(line.kind)), "line": .string(line.text),
            ])
        }
        return .object(members)
    }

    private static func timestamp(_ milliseconds: Int64) -> String {
        let date = CalendarDate(unixTime: milliseconds / 1000).rfc3339.dropLast()
        return "\(date).\(String(1000 + milliseconds % 1000).dropFirst())Z"
    }
}
