import Synchronization

/// How the places of all next hops have done lately, shared by the threads of the process: one that has failed is tried behind those
/// that have not, for a while.
///
/// Bounded: entries expire, and beyond `maximumEntries` the oldest go.
final class PlaceHealth: Sendable {
    private struct Entry: Sendable {
        var failures: Int
        var suspectUntil: Int64
        /// PIPELINING was offered, and commands got no reply.
        var distrustsPipelining = false
    }
    private struct State: Sendable {
        var entries: [Endpoint.Place: Entry] = [:]
    }

    private let state = Mutex(State())
    private let maximumEntries: Int
    /// Nanoseconds of a clock that never goes back.
    private let now: @Sendable () -> Int64

    /// The first failure counts for a minute, each further one for twice as long, half an hour at most.
    private static let firstPause: Int64 = 60_000_000_000
    private static let longestPause: Int64 = 1_800_000_000_000
    private static let maximumFailures = 10

    init(maximumEntries: Int = 10_000, now: @escaping @Sendable () -> Int64 = { Deadline.now }) {
        self.maximumEntries = maximumEntries
        self.now = now
    }

    /// The same places, those in good health first, otherwise in their order.
    func ordered(_ endpoints: [Endpoint]) -> [Endpoint] {
        guard endpoints.count > 1 else { return endpoints }
        let now = now()
        let suspects = state.withLock { state in
            endpoints.map { (state.entries[$0.place]?.suspectUntil ?? 0) > now }
        }
        guard suspects.contains(true) else { return endpoints }
        let both = zip(endpoints, suspects)
        return both.filter { !$0.1 }.map(\.0) + both.filter(\.1).map(\.0)
    }

    /// No session, or one that broke.
    func failed(_ place: Endpoint.Place) {
        change(place) { entry, now in
            entry.failures = min(entry.failures + 1, Self.maximumFailures)
            entry.suspectUntil = now + min(Self.firstPause << Int64(entry.failures - 1), Self.longestPause)
        }
    }

    /// A session stood, or a message went through.
    func succeeded(_ place: Endpoint.Place) {
        state.withLock { state in
            guard let entry = state.entries[place] else { return }
            // That it cannot pipeline stays true.
            state.entries[place] =
                entry.distrustsPipelining ? Entry(failures: 0, suspectUntil: 0, distrustsPipelining: true) : nil
        }
    }

    /// Commands that were sent ahead got no reply.
    func pipeliningFailed(_ place: Endpoint.Place) { change(place) { entry, _ in entry.distrustsPipelining = true } }

    func distrustsPipelining(_ place: Endpoint.Place) -> Bool {
        state.withLock { $0.entries[place]?.distrustsPipelining ?? false }
    }

    private func change(_ place: Endpoint.Place, _ body: (inout Entry, _ now: Int64) -> Void) {
        let now = now()
        state.withLock { state in
            if state.entries[place] == nil, state.entries.count >= maximumEntries {
                state.entries = state.entries.filter { $0.value.suspectUntil > now }
                if state.entries.count >= maximumEntries,
                    let oldest = state.entries.min(by: { $0.value.suspectUntil < $1.value.suspectUntil })
                {
                    state.entries[oldest.key] = nil
                }
            }
            var entry = state.entries[place] ?? Entry(failures: 0, suspectUntil: 0)
            body(&entry, now)
            state.entries[place] = entry
        }
    }
}
