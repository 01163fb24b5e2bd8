import MailModel

/// What a filter has said of one message.
public struct FilterAnswer: Hashable, Sendable {
    /// `nil`: no valid result, and why.
    public var verdict: FilterVerdict?
    public var problem: String
    public var edits: MessageEdits

    public init(verdict: FilterVerdict?, problem: String = "", edits: MessageEdits = MessageEdits()) {
        self.verdict = verdict
        self.problem = problem
        self.edits = edits
    }
}

/// The dialogue with one filter process, with no I/O and no clock (docs/contentfilters.md).
///
/// A filter says `#hungry` for each message that it may be given at once. The first `#hungry` opens a short time in which more may
/// follow (``endAnnouncement()`` ends it); whoever has said one only, and says another while a message is with him, has no result for
/// that message.
public struct FilterDialogue: Sendable {
    public enum Event: Hashable, Sendable {
        /// The first `#hungry`: call ``FilterDialogue/endAnnouncement()`` a little later.
        case announced
        case finished(job: Int, FilterAnswer)
        /// `#…`, for the log.
        case remark(String)
        /// It does not keep to the protocol: it is to be given no more, and to read the end of its input.
        case violated(String)
    }

    private struct Job {
        let number: Int
        let path: [UInt8]
        var edits = MessageEdits()
        /// The last remark while it was there.
        var remark = ""
        /// A change was asked for that could not be understood: what is not refused has no result, because it would go on without.
        var isSpoiled = false
    }

    private enum Phase {
        case starting
        case announcing
        case serving
        /// Nothing is given any more; what it says of its jobs still counts.
        case broken
    }

    /// Octets of a line; a longer one is no result.
    public static let maximumLineLength = 65_536
    /// Messages that one process may have at once.
    public static let maximumCredits = 100

    private var phase = Phase.starting
    private var credits = 0
    /// The most messages that it may have at once, as far as it has said.
    private var capacity = 0
    /// Results whose `#hungry` has not come yet.
    private var owed = 0
    private var jobs: [Job] = []

    public init() {}

    /// Jobs that may be given now.
    public var freeCredits: Int { phase == .serving ? credits : 0 }
    public var isBroken: Bool { phase == .broken }
    public var hasStarted: Bool { phase != .starting }
    /// It has come to the point where it may be given jobs.
    public private(set) var hasServed = false
    /// Numbers of the jobs that it has, in the order in which they were given.
    public var openJobs: [Int] { jobs.map(\.number) }

    public mutating func endAnnouncement() {
        guard phase == .announcing else { return }
        phase = .serving
        hasServed = true
    }

    /// The line to send. Only with a credit.
    public mutating func begin(_ number: Int, path: String) -> [UInt8] {
        precondition(freeCredits > 0, "a job without a credit")
        credits -= 1
        let path = Array(path.utf8)
        jobs.append(Job(number: number, path: path))
        return path + [0x0a]
    }

    /// The job is no longer waited for; what the filter says of it later is of no interest.
    public mutating func forget(_ number: Int) {
        jobs.removeAll { $0.number == number }
        phase = .broken
    }

    /// It is to be given no more, whatever it says; results for what it has still count.
    public mutating func giveUp() { phase = .broken }

    /// A line without its LF. Text behind ``maximumLineLength`` must have been cut off, and `isCut` be set.
    public mutating func receive(_ line: ArraySlice<UInt8>, isCut: Bool = false) -> [Event] {
        if !isCut, Octets.equal(Self.trimmed(line), "#hungry") { return hungry() }
        guard !isCut || line.first == UInt8(ascii: "#") else {
            spoil(nil)
            return violate("a line of more than \(Self.maximumLineLength) octets")
        }
        var index = jobs.count == 1 ? 0 : nil
        var line = line
        if line.first == UInt8(ascii: "/"), let (named, rest) = addressed(line) {
            index = named
            line = rest
        }
        if line.first == UInt8(ascii: "#") { return [remark(line, of: index)] }
        do throws(MessageEdit.Problem) {
            if let edit = try MessageEdit(line: line) {
                guard let index else { return violate("for which message is '\(Self.quoted(line))'?") }
                guard jobs[index].edits.add(edit) else {
                    spoil(index)
                    return violate("more changes of one message than are possible")
                }
                return []
            }
        } catch {
            spoil(index)
            return violate("'\(Self.quoted(line))': \(error)")
        }
        guard let verdict = FilterVerdict(line: line) else { return violate("no result: '\(Self.quoted(line))'") }
        guard let index else { return violate("for which message is '\(Self.quoted(line))'?") }
        let job = jobs.remove(at: index)
        owed += 1
        if job.isSpoiled, verdict.disposition != .refuse {
            let problem = "a change that it asked for could not be understood"
            return [.finished(job: job.number, FilterAnswer(verdict: nil, problem: problem))]
        }
        return [.finished(job: job.number, FilterAnswer(verdict: verdict, edits: job.edits))]
    }

    /// `#none`: no result. Other remarks are for the log, and the last one for the reason why there was no result.
    private mutating func remark(_ line: ArraySlice<UInt8>, of index: Int?) -> Event {
        guard let index else { return .remark(Self.quoted(line)) }
        guard Octets.equal(Self.trimmed(line), "#none") else {
            jobs[index].remark = Self.quoted(line)
            return .remark(Self.quoted(line))
        }
        owed += 1
        return noResult(jobs.remove(at: index))
    }

    /// `nil`: it is not known which job was meant.
    private mutating func spoil(_ index: Int?) {
        for each in jobs.indices where index == nil || each == index { jobs[each].isSpoiled = true }
    }

    private func noResult(_ job: Job) -> Event {
        let reason = "no result\(job.remark.isEmpty ? "" : ": \(job.remark)")"
        return .finished(job: job.number, FilterAnswer(verdict: nil, problem: reason))
    }

    private mutating func hungry() -> [Event] {
        switch phase {
        case .broken:
            return []
        case .starting:
            phase = .announcing
            (credits, capacity) = (1, 1)
            return [.announced]
        case .announcing, .serving:
            if owed > 0 {
                owed -= 1
                credits += 1
                return []
            }
            if phase == .serving, capacity == 1, let job = jobs.first {
                jobs = []
                credits += 1
                return [noResult(job)]
            }
            guard capacity < Self.maximumCredits else { return [] }
            credits += 1
            capacity += 1
            return []
        }
    }

    private func addressed(_ line: ArraySlice<UInt8>) -> (index: Int, rest: ArraySlice<UInt8>)? {
        for (index, job) in jobs.enumerated() where line.starts(with: job.path) {
            let rest = line.dropFirst(job.path.count)
            if rest.first == 0x20 { return (index, rest.dropFirst()) }
        }
        return nil
    }

    private mutating func violate(_ what: String) -> [Event] {
        guard phase != .broken else { return [] }
        phase = .broken
        return [.violated(what)]
    }

    private static func trimmed(_ line: ArraySlice<UInt8>) -> ArraySlice<UInt8> {
        line.last == 0x0d ? line.dropLast() : line
    }

    /// For the log.
    private static func quoted(_ line: ArraySlice<UInt8>) -> String {
        Octets.cleaned(Octets.text(line.prefix(200))) + (line.count > 200 ? "…" : "")
    }
}
