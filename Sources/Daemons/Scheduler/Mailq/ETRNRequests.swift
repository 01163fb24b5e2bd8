import AgentProtocol

/// ETRNs on their way to the core. Strangers give them, and one may cost a look at every message: those that come
/// together cost one look, and looks at most a twentieth of all time. Times are milliseconds of the steady clock.
struct ETRNRequests {
    private var targets: Set<ETRNTarget> = []
    private var notBefore: Int64 = 0

    /// Different names that may wait.
    static let maximumWaiting = 100

    /// When ``take(at:)`` has something; `.max`: nothing waits.
    var due: Int64 { targets.isEmpty ? .max : notBefore }

    /// `false`: too many wait already.
    mutating func add(_ target: ETRNTarget) -> Bool {
        guard targets.count < Self.maximumWaiting || targets.contains(target) else { return false }
        targets.insert(target)
        return true
    }

    /// Everything that waits, when it is time.
    mutating func take(at now: Int64) -> Set<ETRNTarget> {
        guard now >= due else { return [] }
        defer { targets = [] }
        return targets
    }

    /// What was taken is done.
    mutating func ended(started: Int64, at now: Int64) { notBefore = now + 20 * (now - started) }
}
