/// Who has which of the agent's threads, and who gets no more of them. No clock and no lock of its own.
struct DeliveryPlaces {
    struct Limits: Hashable, Sendable {
        /// Threads that one account may have at the same time.
        var places = 4
        /// How long another delivery waits for a place, and how long one may come no step further before others to the same
        /// account are deferred at once.
        var entry = Duration.seconds(10)
        /// How long work on files may come no step further before it is left to itself.
        var patience = Duration.seconds(30)
        /// How long it may take in all: a user may have made a file system that is always about to answer.
        var longest = Duration.seconds(1800)
        /// Threads that are left to themselves. With so many no new work on users' files is begun.
        var stuck = 200

        /// A quarter of the agent's threads for one account.
        init(jobs: Int = 16) { places = max(1, jobs / 4) }
    }

    typealias Instant = ContinuousClock.Instant

    private struct Work {
        let begun: Instant
        /// `nil`: a program, which may take its time.
        let passage: Passage?
        /// Left to itself.
        var isStuck = false
    }

    private struct User {
        var work: [UInt64: Work] = [:]

        /// When the work on files came a step further that has not for the longest time.
        var oldestProgress: Instant? { work.values.compactMap { $0.passage?.lastProgress }.min() }
    }

    private let limits: Limits
    /// By the account's name: accounts may share a uid.
    private var users: [String: User] = [:]
    /// Work that is left to itself.
    private(set) var stuck = 0
    /// Number of the work that was begun last. None is given twice: what ends late must end nothing else.
    private var last: UInt64 = 0

    init(_ limits: Limits) { self.limits = limits }

    func hasPlace(_ account: String) -> Bool { (users[account]?.work.count ?? 0) < limits.places }

    /// Why nothing more of an account is begun.
    func obstacle(_ account: String, _ now: Instant) -> DeliveryProblem? {
        if let user = users[account] {
            let isStuck = user.work.values.contains(where: \.isStuck)
            if let oldest = user.oldestProgress, isStuck || now - oldest >= limits.entry {
                return Self.silentProblem(account, now - oldest)
            }
            if user.work.count >= limits.places, let oldest = user.work.values.map(\.begun).min(),
                now - oldest >= limits.entry
            {
                return fullProblem(account)
            }
        }
        guard stuck < limits.stuck else {
            return .temporary("4.3.0", "home directories do not answer: \(stuck) deliveries to them are waiting")
        }
        return nil
    }

    /// When there is one, if nothing comes further by then.
    func nextObstacle(_ account: String) -> Instant? { (users[account]?.oldestProgress).map { $0 + limits.entry } }

    /// `passage`: `nil` for a program. Returns the number by which it ends.
    mutating func begin(_ account: String, _ passage: Passage?, _ now: Instant) -> UInt64 {
        last += 1
        users[account, default: User()].work[last] = Work(begun: now, passage: passage)
        return last
    }

    mutating func end(_ account: String, _ number: UInt64) {
        if users[account]?.work.removeValue(forKey: number)?.isStuck == true { stuck -= 1 }
        if users[account]?.work.isEmpty == true { users[account] = nil }
    }

    /// For how long it has come no step further; `nil`: it has ended.
    mutating func leaveToItself(_ account: String, _ number: UInt64, _ now: Instant) -> Duration? {
        guard let work = users[account]?.work[number], !work.isStuck else { return nil }
        users[account]?.work[number]?.isStuck = true
        stuck += 1
        return now - (work.passage?.lastProgress ?? work.begun)
    }

    static func silentProblem(_ account: String, _ time: Duration) -> DeliveryProblem {
        .temporary(
            "4.3.0",
            "home does not answer: files of \(account) have been waited for for \(time.components.seconds) s")
    }

    func fullProblem(_ account: String) -> DeliveryProblem {
        .temporary("4.3.0", "\(account) has \(limits.places) deliveries at work, and they take their time")
    }
}
