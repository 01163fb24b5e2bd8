import Synchronization

/// Places that have just failed, so that thousands of queued messages do not each wait for the same time out.
///
/// Bounded: entries live for seconds, and beyond `maximumEntries` the expired ones are dropped, then all.
final class FailedPlaces<Key: Hashable & Sendable>: Sendable {
    private struct Entry: Sendable {
        let until: Deadline
        let reason: String
    }
    private let entries = Mutex<[Key: Entry]>([:])
    private let maximumEntries: Int
    /// A failure is remembered for as long as it took, within these bounds: a refused connection costs nothing to try again, and a
    /// host that has just come back should not wait.
    private let lifetime: ClosedRange<Duration>

    init(lifetime: ClosedRange<Duration> = .milliseconds(200)...(.seconds(30)), maximumEntries: Int = 1000) {
        self.lifetime = lifetime
        self.maximumEntries = maximumEntries
    }

    /// Why it failed, if it did so a moment ago.
    func reason(_ key: Key) -> String? {
        entries.withLock { entries in
            guard let entry = entries[key] else { return nil }
            if entry.until.hasPassed {
                entries[key] = nil
                return nil
            }
            return entry.reason
        }
    }

    /// - Parameter elapsed: how long it took to fail.
    func insert(_ key: Key, reason: String, after elapsed: Duration) {
        let time = min(max(elapsed, lifetime.lowerBound), lifetime.upperBound)
        let entry = Entry(until: Deadline(after: time), reason: reason)
        entries.withLock { entries in
            if entries.count >= maximumEntries {
                entries = entries.filter { !$0.value.until.hasPassed }
                if entries.count >= maximumEntries { entries = [:] }
            }
            entries[key] = entry
        }
    }
}
