import Configuration
import MailModel

/// Mail that an operator does not want tried for a time: all of its patterns must match.
public struct Suspension: Hashable, Sendable {
    /// Names it; never used again.
    public var number: Int
    public var channel: GlobPattern?
    public var host: GlobPattern?
    /// `<>` is the null sender.
    public var sender: GlobPattern?
    /// Of any recipient of a job: the recipients of a message at one host are tried together, and wait together.
    public var recipient: GlobPattern?
    /// `nil`: until somebody ends it.
    public var until: UnixTime?
    public var since: UnixTime
    /// Who wanted it, and why.
    public var operatorName: String
    public var reason: String

    public init(
        number: Int = 0, channel: GlobPattern? = nil, host: GlobPattern? = nil, sender: GlobPattern? = nil,
        recipient: GlobPattern? = nil, until: UnixTime? = nil, since: UnixTime = 0, operatorName: String = "",
        reason: String = ""
    ) {
        self.number = number
        self.channel = channel
        self.host = host
        self.sender = sender
        self.recipient = recipient
        self.until = until
        self.since = since
        self.operatorName = operatorName
        self.reason = reason
    }

    /// `host=*.example.org sender=<>`.
    public var target: String {
        [("channel", channel), ("host", host), ("sender", sender), ("recipient", recipient)]
            .compactMap { name, pattern in pattern.map { "\(name)=\($0)" } }.joined(separator: " ")
    }

    public var hasPattern: Bool { channel != nil || host != nil || sender != nil || recipient != nil }

    fileprivate func matches(_ job: inout JobOctets) -> Bool {
        if let channel, !channel.matches(job.channel) { return false }
        if let host, !host.matches(job.host) { return false }
        if let sender, !sender.matches(job.sender) { return false }
        guard let recipient else { return true }
        return job.recipients.contains { recipient.matches($0) }
    }
}

/// What patterns are compared with, in lower case, made when it is needed.
private struct JobOctets {
    let vertex: Vertex
    lazy var channel = Self.lowered(vertex.thread.key.channel)
    lazy var host = Self.lowered(vertex.thread.key.host)
    lazy var sender = Self.lowered(vertex.message.sender.isEmpty ? "<>" : vertex.message.sender)
    lazy var recipients = vertex.recipients.filter { !$0.isDone }.flatMap { recipient in
        [Self.lowered(recipient.address)] + [recipient.original.map(Self.lowered)].compactMap { $0 }
    }

    init(_ vertex: Vertex) { self.vertex = vertex }

    private static func lowered(_ text: String) -> [UInt8] { Array(asciiLowercased(text).utf8) }
}

/// What is suspended just now, in the order in which it was.
public struct Suspensions: Hashable, Sendable {
    public private(set) var entries: [Suspension] = []
    private var lastNumber = 0

    /// Each is compared with each job whose turn it is.
    public static let maximum = 200

    public init() {}

    public var isEmpty: Bool { entries.isEmpty }

    /// When the next one ends by itself.
    public var nextEnd: UnixTime? { entries.compactMap(\.until).min() }

    /// Its number; `nil`: there are ``maximum``. One with the same patterns is replaced.
    mutating func add(_ suspension: Suspension) -> Int? {
        if let index = entries.firstIndex(where: { $0.target == suspension.target }) {
            var changed = suspension
            changed.number = entries[index].number
            entries[index] = changed
            return changed.number
        }
        guard entries.count < Self.maximum else { return nil }
        lastNumber += 1
        var new = suspension
        new.number = lastNumber
        entries.append(new)
        return lastNumber
    }

    mutating func remove(where isMeant: (Suspension) -> Bool) -> [Suspension] {
        let removed = entries.filter(isMeant)
        entries.removeAll(where: isMeant)
        return removed
    }

    func first(for vertex: Vertex) -> Suspension? {
        var job = JobOctets(vertex)
        return entries.first { $0.matches(&job) }
    }

    // MARK: As a file (docs/spool.md §8)

    /// A line for the last number, then one for each; TAB separates fields.
    public var text: String {
        func field(_ text: String) -> String { Octets.cleaned(text) }
        var lines = "last\t\(lastNumber)\n"
        for entry in entries {
            let patterns = [entry.channel, entry.host, entry.sender, entry.recipient].map {
                field($0?.description ?? "")
            }
            let numbers = ["\(entry.number)", "\(entry.since)", entry.until.map(String.init) ?? "-"]
            lines +=
                (["suspend"] + numbers + patterns + [field(entry.operatorName), field(entry.reason)])
                .joined(separator: "\t") + "\n"
        }
        return lines
    }

    /// Lines that cannot be read are passed over and counted.
    public init(parsing text: String, unreadable: inout Int) {
        for line in text.split(separator: "\n") {
            let fields = line.split(separator: "\t", omittingEmptySubsequences: false).map(String.init)
            func pattern(_ index: Int) -> GlobPattern? { fields[index].isEmpty ? nil : GlobPattern(fields[index]) }
            if fields.count == 2, fields[0] == "last", let number = Int(fields[1]), number >= 0 {
                lastNumber = max(lastNumber, number)
                continue
            }
            guard fields.count == 10, fields[0] == "suspend", let number = Int(fields[1]), number > 0,
                let since = Int64(fields[2]), fields[3] == "-" || Int64(fields[3]) != nil,
                entries.count < Self.maximum, !entries.contains(where: { $0.number == number })
            else {
                unreadable += 1
                continue
            }
            let entry = Suspension(
                number: number, channel: pattern(4), host: pattern(5), sender: pattern(6), recipient: pattern(7),
                until: Int64(fields[3]), since: since, operatorName: fields[8], reason: fields[9])
            guard entry.hasPattern else {
                unreadable += 1
                continue
            }
            lastNumber = max(lastNumber, number)
            entries.append(entry)
        }
    }
}
