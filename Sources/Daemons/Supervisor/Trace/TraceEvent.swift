import Telemetry

/// One line that belongs to what is traced.
struct TraceEvent {
    enum Content {
        case record(LogRecord)
        /// A line of `smtpserver -l`, and the session that it belongs to.
        case dialogue(SessionLogLine, session: String)
    }

    /// Since 1970.
    let milliseconds: Int64
    let content: Content

    init(_ record: LogRecord) {
        milliseconds = record.milliseconds
        content = .record(record)
    }

    /// `start` of the session, milliseconds since 1970.
    init(_ line: SessionLogLine, session: String, start: Int64) {
        milliseconds = start + Int64(line.seconds) * 1000
        content = .dialogue(line, session: session)
    }

    /// Of what was written in the same millisecond, what comes first in the way of a message stands first.
    var rank: Int {
        switch content {
        case .dialogue: 0
        case .record(let record): ["smtpserver": 1, "router": 2, "scheduler": 3][record.program] ?? 4
        }
    }

    var queueID: String? {
        switch content {
        case .record(let record): record["queue-id"]
        case .dialogue: nil
        }
    }
}

/// The names that a trace follows: they are found in lines, and lines are found by them.
struct TraceNames {
    /// Messages, in the order in which they were found.
    private(set) var messages: [String] = []
    /// Sessions all of whose messages are wanted, and those of which only what is theirs.
    private(set) var sessions: Set<String> = []
    private(set) var contexts: Set<String> = []
    /// Not yet looked for.
    private var fresh: Set<String> = []
    /// There were more messages than are followed.
    private(set) var isTruncated = false

    /// Messages that are followed at most.
    static let maximumMessages = 500

    func has(message id: String) -> Bool { messages.contains(id) }
    func has(session: String) -> Bool { sessions.contains(session) || contexts.contains(session) }

    mutating func add(message id: String) {
        guard !has(message: id) else { return }
        guard messages.count < Self.maximumMessages else {
            isTruncated = true
            return
        }
        messages.append(id)
        fresh.insert(id)
    }

    mutating func add(session: String) {
        if sessions.insert(session).inserted { fresh.insert(session) }
    }

    mutating func add(context session: String) {
        guard !sessions.contains(session), contexts.insert(session).inserted else { return }
        fresh.insert(session)
    }

    mutating func takeFresh() -> Set<String> {
        defer { fresh = [] }
        return fresh
    }

    /// Whether a line belongs to what is traced. What it says of others is left out: a session may have had other messages.
    func wants(_ record: LogRecord) -> Bool {
        if let id = record["queue-id"] {
            return has(message: id) || record["report-id"].map(has(message:)) ?? false
                || record["session"].map(sessions.contains) ?? false
        }
        return record["session"].map(has(session:)) ?? record["report-id"].map(has(message:)) ?? false
    }

    /// What the line tells of further names: session and messages of each other, a notification and what it tells of.
    mutating func follow(_ record: LogRecord) {
        let id = record["queue-id"]
        let session = record["session"]
        if let session, sessions.contains(session) {
            if let id { add(message: id) }
        } else if let id, let session, has(message: id) {
            add(context: session)
        }
        guard let id, let report = record["report-id"] else { return }
        if has(message: id) { add(message: report) }
        if has(message: report) { add(message: id) }
    }
}
