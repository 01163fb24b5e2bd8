import DequeModule

/// The messages handed out for a thread in the last interval: what a rate allows is never exceeded in any span of that length, which is
/// what the other side counts. After a pause all of it may go at once.
struct HandOutWindow {
    /// Messages handed out in less than a sixtieth of the interval count as if all were handed out at the last one's time: so there
    /// are at most 61 entries, whatever the rate.
    private struct Entry {
        let first: UnixTime
        var last: UnixTime
        var count: Int
    }

    private var entries: Deque<Entry> = []
    private var count = 0

    /// From when on everything in it is out of its interval; `nil`: it is empty.
    func end(interval: Int64) -> UnixTime? { entries.last.map { $0.last + interval } }

    mutating func note(at now: UnixTime, interval: Int64) {
        count += 1
        if let entry = entries.last, now - entry.first < (interval + 59) / 60 {
            entries[entries.count - 1].last = now
            entries[entries.count - 1].count += 1
        } else {
            entries.append(Entry(first: now, last: now, count: 1))
        }
    }

    /// From when on another one may be handed out; in the past or `now`: at once.
    mutating func opens(at now: UnixTime, limit: Int, interval: Int64) -> UnixTime {
        while let entry = entries.first, entry.last + interval <= now {
            count -= entry.count
            entries.removeFirst()
        }
        // After a change of the limit more than one entry may have to go.
        var rest = count
        for entry in entries {
            if rest < limit { break }
            rest -= entry.count
            if rest < limit { return entry.last + interval }
        }
        return now
    }
}
