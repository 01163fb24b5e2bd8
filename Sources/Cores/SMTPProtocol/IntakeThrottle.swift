/// Whether new mail is taken at once, slowly, or not at all, by what the spool and the queue have room for. A function of the
/// measures and of what it said before: no clock, no I/O.
public struct IntakeThrottle: Sendable {
    public struct Settings: Hashable, Sendable {
        /// Below these MAIL is refused.
        public var minimumFreeKilobytes: Int
        public var minimumFreeInodes: Int
        /// Above these MAIL is refused; 0: no limit. Files that wait for the router, and recipients that the scheduler has.
        public var waitingLimit: Int
        public var recipientLimit: Int
        /// The longest delay in front of the reply to MAIL, in milliseconds; 0: none.
        public var maximumDelay: Int

        public init(
            minimumFreeKilobytes: Int, minimumFreeInodes: Int, waitingLimit: Int, recipientLimit: Int = 0,
            maximumDelay: Int
        ) {
            self.minimumFreeKilobytes = minimumFreeKilobytes
            self.minimumFreeInodes = minimumFreeInodes
            self.waitingLimit = waitingLimit
            self.recipientLimit = recipientLimit
            self.maximumDelay = maximumDelay
        }
    }

    /// What one look has found; `nil`: not known, which is no reason to refuse anything.
    public struct Measure: Hashable, Sendable {
        public var freeKilobytes: Int?
        public var freeInodes: Int?
        public var waiting: Int?
        public var recipients: Int?

        public init(freeKilobytes: Int? = nil, freeInodes: Int? = nil, waiting: Int? = nil, recipients: Int? = nil) {
            self.freeKilobytes = freeKilobytes
            self.freeInodes = freeInodes
            self.waiting = waiting
            self.recipients = recipients
        }
    }

    public enum Cause: String, CaseIterable, Hashable, Sendable {
        case space
        case inodes
        case waiting
        case recipients
    }

    public enum State: Hashable, Sendable {
        case open
        /// MAIL is answered this many milliseconds later.
        case slow(Cause, milliseconds: Int)
        case closed(Cause)
    }

    /// Thousandths of a limit from which on mail is slowed down, and to which a measure must fall before mail is taken again. Free
    /// space and inodes are counted as their minimum divided by what is free: half full at twice the minimum.
    static let slowShare = 800
    static let reopenShare = 900

    public private(set) var state = State.open
    private let settings: Settings

    public init(_ settings: Settings) { self.settings = settings }

    /// Takes a new measure. - Returns: whether mail is taken otherwise than before (a longer or shorter delay is no change).
    public mutating func update(_ measure: Measure) -> Bool {
        let before = state
        state = next(measure)
        switch (before, state) {
        case (.open, .open), (.slow, .slow): return false
        case (.closed(let old), .closed(let new)): return old != new
        case (.open, _), (.slow, _), (.closed, _): return true
        }
    }

    private func next(_ measure: Measure) -> State {
        let shares = Cause.allCases.map { ($0, share($0, measure)) }
        // What has closed it keeps it closed until there is some room; without that it would open and close with each message.
        if case .closed(let cause) = state, share(cause, measure) > Self.reopenShare {
            return .closed(shares.first { $0.1 > 1000 }?.0 ?? cause)
        }
        guard let worst = shares.max(by: { $0.1 < $1.1 }) else { return .open }
        if worst.1 > 1000 { return .closed(worst.0) }
        let delay = settings.maximumDelay * (worst.1 - Self.slowShare) / (1000 - Self.slowShare)
        return worst.1 > Self.slowShare && delay > 0 ? .slow(worst.0, milliseconds: delay) : .open
    }

    /// In thousandths; above 1000 the limit is passed.
    private func share(_ cause: Cause, _ measure: Measure) -> Int {
        switch cause {
        case .space: Self.share(of: settings.minimumFreeKilobytes, among: measure.freeKilobytes)
        case .inodes: Self.share(of: settings.minimumFreeInodes, among: measure.freeInodes)
        case .waiting: settings.waitingLimit > 0 ? Self.share(of: measure.waiting, among: settings.waitingLimit) : 0
        case .recipients:
            settings.recipientLimit > 0 ? Self.share(of: measure.recipients, among: settings.recipientLimit) : 0
        }
    }

    /// A passed limit is above 1000 by however little.
    private static func share(of part: Int?, among limit: Int?) -> Int {
        guard let part, let limit, part > 0 else { return 0 }
        if part <= limit { return Int(Double(part) / Double(limit) * 1000) }
        // Nothing is free, or far too much waits.
        guard limit > 0, part / limit < 1_000_000 else { return 1_000_000_000 }
        return max(1001, Int(Double(part) / Double(limit) * 1000))
    }
}
