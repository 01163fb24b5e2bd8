/// Something with a deadline on a ``TimeoutWheel``.
protocol WheelEntry: AnyObject {
    /// Where it stands on the wheel; only the wheel writes it.
    var wheelPosition: WheelPosition { get set }
    /// Seconds on the wheel's clock. Moving it later costs nothing: the wheel looks when the old second comes.
    var expires: Int { get }
    func expired()
}

struct WheelPosition {
    var slot: Int32 = -1
    var index: Int32 = 0
}

/// The idle deadlines of all sessions of one event loop: a ring of seconds, one timer for all.
///
/// A session costs one reference here; activity only writes its `expires`. Confined to its event loop.
final class TimeoutWheel<Entry: WheelEntry> {
    /// Seconds; deadlines further away are looked at when the ring comes round.
    static var size: Int { 2048 }

    /// Seconds since some start; moved by ``advance(to:)``.
    private(set) var now = 0
    private var slots: [[Entry]] = Array(repeating: [], count: TimeoutWheel.size)
    private(set) var count = 0

    init() {}

    func add(_ entry: Entry) {
        place(entry)
        count += 1
    }

    func remove(_ entry: Entry) {
        guard entry.wheelPosition.slot >= 0 else { return }
        take(entry)
        count -= 1
    }

    /// When `expires` has become earlier than it was.
    func hasten(_ entry: Entry) {
        guard entry.wheelPosition.slot >= 0 else { return }
        take(entry)
        place(entry)
    }

    func advance(to second: Int) {
        while now < second {
            now += 1
            let slot = now % Self.size
            guard !slots[slot].isEmpty else { continue }
            let due = slots[slot]
            slots[slot] = []
            for entry in due {
                entry.wheelPosition.slot = -1
                if entry.expires > now { place(entry) } else { place(entry, at: now + 1) }
            }
            for entry in due where entry.expires <= now { entry.expired() }
        }
    }

    var all: [Entry] { slots.flatMap { $0 } }

    private func place(_ entry: Entry) { place(entry, at: max(entry.expires, now + 1)) }

    private func place(_ entry: Entry, at second: Int) {
        let slot = min(second, now + Self.size - 1) % Self.size
        entry.wheelPosition = WheelPosition(slot: Int32(slot), index: Int32(slots[slot].count))
        slots[slot].append(entry)
    }

    private func take(_ entry: Entry) {
        let slot = Int(entry.wheelPosition.slot)
        let index = Int(entry.wheelPosition.index)
        entry.wheelPosition.slot = -1
        let last = slots[slot].removeLast()
        if last !== entry {
            slots[slot][index] = last
            last.wheelPosition.index = Int32(index)
        }
        if slots[slot].isEmpty { slots[slot] = [] }
    }
}
