import MailModel
import SpoolFormat
import Telemetry

/// Follows a subject through log files: lines by names, further names by lines, until nothing new is found.
struct TraceSearch {
    struct Options {
        /// Octets that may be read of all files in one pass, newest files first.
        var limit = Self.defaultLimit
        /// Of those that match addresses.
        var newest = 10

        static let defaultLimit = 4 << 30
    }

    /// What was read of one file.
    struct Coverage {
        let path: String
        var octets: Int
        var isComplete: Bool
    }

    private let options: Options
    private let sources: [LogSource]
    private(set) var names = TraceNames()
    private(set) var coverage: [Coverage] = []
    /// Files that could not be read.
    private(set) var problems: [String] = []
    /// Messages that match addresses beyond those that are followed.
    private(set) var further = 0
    /// There were more lines than are kept.
    private(set) var isTruncated = false
    /// By file and place in it.
    private var found: [Place: TraceEvent] = [:]
    /// Tags of `smtpserver -l`, by file.
    private var tags: [Int: [String: String]] = [:]

    private struct Place: Hashable {
        let source: Int
        let offset: Int
    }

    /// Lines that are kept; passes through the files.
    static let maximumEvents = 20_000
    static let maximumPasses = 8
    /// Milliseconds that clocks may have been set back.
    private static let clockSlack: Int64 = 3_600_000

    init(_ sources: [LogSource], _ options: Options) {
        self.sources = LogSource.newestFirst(sources)
        self.options = options
    }

    /// In the order of time.
    var events: [TraceEvent] {
        func key(_ entry: (place: Place, event: TraceEvent)) -> (Int64, Int, Int, Int) {
            (entry.event.milliseconds, entry.event.rank, entry.place.source, entry.place.offset)
        }
        return found.map { (place: $0.key, event: $0.value) }.sorted { key($0) < key($1) }.map(\.event)
    }

    /// Looks for messages that are named beside the logs, too.
    mutating func run(_ subject: TraceSubject, alsoMessages queued: [String] = []) {
        switch subject {
        case .queueID(let id): names.add(message: "\(id)")
        case .session(let session): names.add(session: session)
        case .messageID(let id): findMessages(of: id)
        case .addresses(let from, let to): findMessages(from: from, to: to, queued: queued)
        }
        for _ in 0..<Self.maximumPasses {
            let fresh = names.takeFresh()
            if fresh.isEmpty { break }
            collect(fresh)
        }
        collectDialogues()
    }

    // MARK: Passes

    /// Calls `body` for each line that may be wanted. `earliest`: nothing before is of interest, milliseconds since 1970.
    private mutating func scan(
        _ matcher: LogMatcher, earliest: Int64, only: Set<Int>? = nil,
        _ body: (inout TraceSearch, _ source: Int, _ line: UnsafeRawBufferPointer, _ offset: Int) -> Void
    ) {
        var rest = options.limit
        for (index, source) in sources.enumerated() where only?.contains(index) ?? true {
            if source.modified < earliest - Self.clockSlack { continue }
            guard rest > 0 else {
                note(Coverage(path: source.path, octets: 0, isComplete: false))
                continue
            }
            do throws(LogLines.Failure) {
                let read = try LogLines(limit: rest).read(source) { line, offset in
                    if matcher.matches(line) { body(&self, index, line, offset) }
                }
                rest -= read.octets
                note(Coverage(path: source.path, octets: read.octets, isComplete: read.isComplete))
            } catch {
                if !problems.contains(error.description) { problems.append(error.description) }
            }
        }
    }

    private mutating func note(_ new: Coverage) {
        guard let index = coverage.firstIndex(where: { $0.path == new.path }) else { return coverage.append(new) }
        coverage[index].octets = max(coverage[index].octets, new.octets)
        coverage[index].isComplete = coverage[index].isComplete && new.isComplete
    }

    private mutating func collect(_ fresh: Set<String>) {
        let earliest = fresh.map(Self.made).min() ?? 0
        scan(.identifiers(Set(fresh.map { Array($0.utf8) })), earliest: earliest) { search, source, line, offset in
            guard let record = LogRecord(line) else {
                if let line = SessionLogLine(line), let session = line.session, search.names.has(session: session) {
                    search.tags[source, default: [:]][line.tag] = session
                }
                return
            }
            search.names.follow(record)
            if search.names.wants(record) { search.keep(TraceEvent(record), source, offset) }
        }
    }

    /// When a message or session got its name: both carry the time. 0: a name that does not.
    private static func made(_ name: String) -> Int64 {
        if let id = SpoolID(name), name.utf8.count > 13 { return id.milliseconds }
        return UInt64(name, radix: 36).map { SpoolID(rawValue: $0).milliseconds } ?? 0
    }

    private mutating func keep(_ event: TraceEvent, _ source: Int, _ offset: Int) {
        guard found.count < Self.maximumEvents else {
            isTruncated = true
            return
        }
        found[Place(source: source, offset: offset)] = event
    }

    private mutating func collectDialogues() {
        guard !tags.isEmpty else { return }
        let tags = tags
        let all = Set(tags.values.flatMap(\.keys).map { Array($0.utf8) })
        let earliest = tags.values.flatMap(\.values).map(Self.made).min() ?? 0
        scan(.tags(all), earliest: earliest, only: Set(tags.keys)) { search, source, octets, offset in
            guard let line = SessionLogLine(octets), let session = tags[source]?[line.tag] else { return }
            search.keep(TraceEvent(line, session: session, start: Self.made(session)), source, offset)
        }
    }

    // MARK: Where to begin

    private mutating func findMessages(of messageID: String) {
        var ids: [(id: String, time: Int64)] = []
        scan(.messageIDs, earliest: 0) { _, _, line, _ in
            guard let record = LogRecord(line), record["msgid"] == messageID, let id = record["queue-id"],
                ids.count < TraceNames.maximumMessages
            else { return }
            ids.append((id, record.milliseconds))
        }
        for (id, _) in ids.sorted(by: { $0.time < $1.time }) { names.add(message: id) }
    }

    /// The newest messages and refusals that match. `queued`: messages that the scheduler knows, with both addresses.
    private mutating func findMessages(from: String?, to: String?, queued: [String]) {
        var candidates = AddressCandidates(from: from, to: to)
        for id in queued { candidates.add(message: id) }
        let matcher = LogMatcher.addresses(from: from.map { Array($0.utf8) }, to: to.map { Array($0.utf8) })
        scan(matcher, earliest: 0) { _, _, line, _ in
            if let record = LogRecord(line) { candidates.look(at: record) }
        }
        isTruncated = candidates.isTruncated
        let chosen = candidates.newest
        further = max(0, chosen.count - options.newest)
        for candidate in chosen.prefix(options.newest) {
            switch candidate {
            case .message(let id): names.add(message: id)
            case .refusal(let session): names.add(context: session)
            }
        }
    }
}
