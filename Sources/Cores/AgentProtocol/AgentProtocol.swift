import SpoolFormat

/// Scheduler to agent: one line `file[\thost]` (scheduler.md §3).
public enum AgentJob: Hashable, Sendable {
    /// A control file in `transport/`, and the host of the thread if the scheduler gives one.
    case deliver(file: SpoolID, host: String?)
    /// `#idle`: nothing to do; keep what is open and wait.
    case idle

    /// Without the newline.
    public var line: String {
        switch self {
        case .deliver(let file, nil): "\(file)"
        case .deliver(let file, let host?): "\(file)\t\(host)"
        case .idle: "#idle"
        }
    }

    public init?(line: some StringProtocol) {
        if line == "#idle" {
            self = .idle
            return
        }
        let parts = line.split(separator: "\t", maxSplits: 1)
        guard let name = parts.first, let id = SpoolID(name) else { return nil }
        self = .deliver(file: id, host: parts.count == 2 ? String(parts[1]) : nil)
    }
}

/// The status word of a report (scheduler.md §3).
public enum DeliveryResult: Hashable, Sendable {
    /// `ok`, `ok2`, `ok3`: done.
    case ok
    /// `error`, `error2`: permanently failed.
    case failed
    /// `deferred`: this recipient, by the thread's schedule.
    case deferred
    /// `deferall`: this and all waiting recipients of the thread (the host cannot be reached).
    case deferredAll
    /// `deferback`.
    case deferredBack
    /// `retryat +seconds`.
    case retry(afterSeconds: Int)

    public var word: String {
        switch self {
        case .ok: "ok"
        case .failed: "error"
        case .deferred: "deferred"
        case .deferredAll: "deferall"
        case .deferredBack: "deferback"
        case .retry(let seconds): "retryat +\(seconds)"
        }
    }

    public var isFinal: Bool {
        switch self {
        case .ok, .failed: true
        case .deferred, .deferredAll, .deferredBack, .retry: false
        }
    }
}

/// One result: `<file>/<offset>\t<notary>\t<status> <message>`.
public struct AgentReport: Hashable, Sendable {
    public var file: SpoolID
    /// The recipient's offset in the control file.
    public var offset: Int
    /// `nil`: no change to what is known.
    public var notary: Notary?
    public var result: DeliveryResult
    public var message: String

    public init(file: SpoolID, offset: Int, notary: Notary?, result: DeliveryResult, message: String) {
        self.file = file
        self.offset = offset
        self.notary = notary
        self.result = result
        self.message = message
    }

    /// Without the newline; newlines in the message become CR.
    public var line: String {
        let text = String(decoding: message.utf8.map { $0 == 0x0a ? 0x0d : $0 == 0x09 ? 0x20 : $0 }, as: UTF8.self)
        return "\(file)/\(offset)\t\(notary?.encoded ?? "")\t\(result.word) \(text)"
    }

    public init?(line: some StringProtocol) {
        let parts = line.split(separator: "\t", maxSplits: 2, omittingEmptySubsequences: false)
        guard parts.count == 3 else { return nil }
        let names = parts[0].split(separator: "/")
        guard names.count == 2, let file = SpoolID(names[0]), let offset = Int(names[1]), offset >= 0 else {
            return nil
        }
        var words = parts[2].split(separator: " ", maxSplits: 1, omittingEmptySubsequences: false)
        guard !words.isEmpty else { return nil }
        let result: DeliveryResult
        switch words.removeFirst() {
        case "ok", "ok2", "ok3": result = .ok
        case "error", "error2": result = .failed
        case "deferred": result = .deferred
        case "deferall": result = .deferredAll
        case "deferback": result = .deferredBack
        case "retryat":
            let rest = (words.first ?? "").split(separator: " ", maxSplits: 1, omittingEmptySubsequences: false)
            guard let first = rest.first, first.hasPrefix("+"), let seconds = Int(first.dropFirst()),
                (0...31_536_000).contains(seconds)
            else { return nil }
            result = .retry(afterSeconds: seconds)
            words = rest.count > 1 ? [rest[1]] : []
        default: return nil
        }
        self.init(
            file: file, offset: offset, notary: parts[1].isEmpty ? nil : Notary(parts[1]), result: result,
            message: String(words.first ?? ""))
    }
}

/// Agent to scheduler: one line.
public enum AgentMessage: Hashable, Sendable {
    /// One credit: ready for one more job.
    case hungry
    /// The control file holds nothing for this agent: read it again.
    case resync(SpoolID)
    case report(AgentReport)
    /// `#…` and whatever cannot be read: goes to the log.
    case remark(String)

    public init(line: some StringProtocol) {
        if line == "#hungry" {
            self = .hungry
        } else if line.hasPrefix("#resync "), let id = SpoolID(line.dropFirst(8)) {
            self = .resync(id)
        } else if let report = AgentReport(line: line) {
            self = .report(report)
        } else {
            self = .remark(String(line))
        }
    }

    public var line: String {
        switch self {
        case .hungry: "#hungry"
        case .resync(let id): "#resync \(id)"
        case .report(let report): report.line
        case .remark(let text): text.hasPrefix("#") ? text : "#\(text)"
        }
    }
}
