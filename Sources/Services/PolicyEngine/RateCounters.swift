/// What the last hour has had, by client or user: eight slots of 450 s, so that the hour is 52.5 to 60 minutes (policy.md §9).
/// Kept in memory: a restart forgets it.
struct RateCounters<Key: Hashable> {
    struct Count: Hashable {
        /// Messages; or failed logins.
        var messages = 0
        var recipients = 0
    }

    static var slots: Int { 8 }
    /// Seconds.
    static var slotLength: Int64 { 450 }

    private struct Window {
        /// The number of the slot, counted from the clock's beginning, that was written last.
        var last: Int64
        var slots = [Count](repeating: Count(), count: RateCounters.slots)

        /// Empties the slots that are over.
        mutating func advance(to slot: Int64) {
            guard slot > last else { return }
            for step in 1...min(slot - last, Int64(RateCounters.slots)) {
                slots[Int((last + step) % Int64(RateCounters.slots))] = Count()
            }
            last = slot
        }
    }

    private var windows: BoundedCache<Key, Window>

    /// `limit`: clients or users at most; those that came longest ago are forgotten first.
    init(limit: Int) { windows = BoundedCache(limit: limit) }

    /// `now`: seconds of a steady clock, 0 and up.
    mutating func add(_ key: Key, messages: Int, recipients: Int, now: Int64) {
        let slot = max(0, now) / Self.slotLength
        var window = windows[key] ?? Window(last: slot)
        window.advance(to: slot)
        let index = Int(window.last % Int64(Self.slots))
        window.slots[index].messages = Self.sum(window.slots[index].messages, messages)
        window.slots[index].recipients = Self.sum(window.slots[index].recipients, recipients)
        windows[key] = window
    }

    func count(_ key: Key, now: Int64) -> Count {
        guard var window = windows.peek(key) else { return Count() }
        window.advance(to: max(0, now) / Self.slotLength)
        return window.slots.reduce(into: Count()) { total, slot in
            total.messages = Self.sum(total.messages, slot.messages)
            total.recipients = Self.sum(total.recipients, slot.recipients)
        }
    }

    /// Numbers of an asker: a sum that does not fit stays the largest.
    private static func sum(_ one: Int, _ other: Int) -> Int {
        let (sum, overflow) = one.addingReportingOverflow(max(0, other))
        return overflow ? .max : sum
    }
}
