import MailModel
import SpoolFormat

/// Scheduler to agent: one line `file[\thost[\tkey=value …]]` (scheduler.md §3; the third field is ours).
public enum AgentJob: Hashable, Sendable {
    /// A control file in `transport/`, the host of the thread if the scheduler gives one, and what its clause asks of an agent.
    case deliver(file: SpoolID, host: String?, limits: AgentJobLimits = AgentJobLimits())
    /// `#idle`: nothing to do; keep what is open and wait.
    case idle

    /// Without the newline.
    public var line: String {
        switch self {
        case .deliver(let file, let host, let limits): Self.line(file, host, limits)
        case .idle: "#idle"
        }
    }

    public init?(line: some StringProtocol) { self.init(octets: Array(line.utf8)[...]) }

    /// The same from octets.
    public init?(octets: ArraySlice<UInt8>) {
        if Octets.equal(octets, "#idle") {
            self = .idle
            return
        }
        let parts = Octets.split(octets, at: 0x09, limit: 3)
        guard let id = SpoolID(octets: parts[0]) else { return nil }
        self = .deliver(
            file: id, host: parts.count >= 2 && !parts[1].isEmpty ? Octets.text(parts[1]) : nil,
            limits: parts.count == 3 ? AgentJobLimits(octets: parts[2]) : AgentJobLimits())
    }

    private static func line(_ file: SpoolID, _ host: String?, _ limits: AgentJobLimits) -> String {
        let words = limits.words
        // The host is the second field also where there is none.
        guard !words.isEmpty else { return host.map { "\(file)\t\(field($0))" } ?? "\(file)" }
        return "\(file)\t\(host.map(field) ?? "")\t\(words)"
    }

    /// A host in one field.
    private static func field(_ host: String) -> String { Octets.cleaned(host) }
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
    /// `ok2`: a success that the sender is told of unless he wants no report at all, though he did not ask for `SUCCESS`: a relay of
    /// RFC 2852 §4.1.4.
    public var isToBeTold: Bool
    public var message: String

    public init(
        file: SpoolID, offset: Int, notary: Notary?, result: DeliveryResult, message: String, isToBeTold: Bool = false
    ) {
        self.isToBeTold = isToBeTold
        self.file = file
        self.offset = offset
        self.notary = notary
        self.result = result
        self.message = message
    }

    /// Without the newline; newlines in the message become CR.
    public var line: String {
        var text = "\(file)/\(offset)\t"
        if let notary { text += notary.encoded }
        text += "\t"
        text += isToBeTold && result == .ok ? "ok2" : result.word
        text += " "
        if message.utf8.contains(where: { $0 == 0x0a || $0 == 0x09 }) {
            text += String(
                decoding: message.utf8.map { $0 == 0x0a ? 0x0d : $0 == 0x09 ? 0x20 : $0 }, as: UTF8.self)
        } else {
            text += message
        }
        return text
    }

    public init?(line: some StringProtocol) { self.init(octets: Array(line.utf8)[...]) }

    /// The same from octets.
    public init?(octets: ArraySlice<UInt8>) {
        let parts = Octets.split(octets, at: 0x09, limit: 3)
        guard parts.count == 3 else { return nil }
        let names = Octets.split(parts[0], at: UInt8(ascii: "/"), limit: 3)
        guard names.count == 2, let file = SpoolID(octets: names[0]), let offset = Octets.decimal(names[1]), offset >= 0
        else { return nil }
        guard let (result, message) = Self.result(parts[2]) else { return nil }
        let isToBeTold = Octets.equal(parts[2], "ok2") || Octets.hasPrefix(parts[2], "ok2 ")
        self.init(
            file: file, offset: offset, notary: parts[1].isEmpty ? nil : Notary(octets: parts[1]), result: result,
            message: Octets.text(message), isToBeTold: isToBeTold)
    }

    /// `<status>[ <message>]`, `retryat +<seconds>[ <message>]`.
    private static func result(_ text: ArraySlice<UInt8>) -> (DeliveryResult, message: ArraySlice<UInt8>)? {
        let parts = Octets.split(text, at: 0x20, limit: 2)
        let message = parts.count == 2 ? parts[1] : []
        switch Octets.text(parts[0]) {
        case "ok", "ok2", "ok3": return (.ok, message)
        case "error", "error2": return (.failed, message)
        case "deferred": return (.deferred, message)
        case "deferall": return (.deferredAll, message)
        case "deferback": return (.deferredBack, message)
        case "retryat":
            let rest = Octets.split(message, at: 0x20, limit: 2)
            guard rest[0].first == UInt8(ascii: "+"), let seconds = Octets.decimal(rest[0].dropFirst()),
                (0...31_536_000).contains(seconds)
            else { return nil }
            return (.retry(afterSeconds: seconds), rest.count == 2 ? rest[1] : [])
        default: return nil
        }
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

    public init(line: some StringProtocol) { self.init(octets: Array(line.utf8)[...]) }

    /// The same from octets.
    public init(octets: ArraySlice<UInt8>) {
        if Octets.equal(octets, "#hungry") {
            self = .hungry
        } else if Octets.hasPrefix(octets, "#resync "), let id = SpoolID(octets: octets.dropFirst(8)) {
            self = .resync(id)
        } else if octets.first != UInt8(ascii: "#"), let report = AgentReport(octets: octets) {
            self = .report(report)
        } else {
            self = .remark(Octets.text(octets))
        }
    }

    public var line: String {
        switch self {
        case .hungry: "#hungry"
        case .resync(let id): "#resync \(id)"
        case .report(let report): report.line
        case .remark(let text): text.utf8.first == 0x23 ? Octets.cleaned(text) : "#\(Octets.cleaned(text))"
        }
    }
}
