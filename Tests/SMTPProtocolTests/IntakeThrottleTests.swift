import SMTPProtocol
import Testing

@Suite("Slowing down the intake") struct IntakeThrottleTests {
    typealias Measure = IntakeThrottle.Measure

    static let settings = IntakeThrottle.Settings(
        minimumFreeKilobytes: 1000, minimumFreeInodes: 500, waitingLimit: 100, recipientLimit: 10_000,
        maximumDelay: 5000)
    static let plenty = Measure(freeKilobytes: 1_000_000, freeInodes: 1_000_000, waiting: 0, recipients: 0)

    private static func with(_ change: (inout Measure) -> Void) -> Measure {
        var measure = plenty
        change(&measure)
        return measure
    }

    struct Row: Sendable, CustomTestStringConvertible {
        let name: String
        let measure: Measure
        let state: IntakeThrottle.State
        var testDescription: String { name }
    }

    static let rows = [
        Row(name: "plenty of everything", measure: plenty, state: .open),
        Row(name: "nothing is known", measure: Measure(), state: .open),
        Row(name: "four fifths of a limit are no reason", measure: with { $0.waiting = 80 }, state: .open),
        Row(
            name: "more than that delays a little", measure: with { $0.waiting = 81 },
            state: .slow(.waiting, milliseconds: 250)),
        Row(
            name: "half way to the limit, half of the delay", measure: with { $0.waiting = 90 },
            state: .slow(.waiting, milliseconds: 2500)),
        Row(
            name: "at the limit the whole delay", measure: with { $0.waiting = 100 },
            state: .slow(.waiting, milliseconds: 5000)),
        Row(name: "above it nothing more", measure: with { $0.waiting = 101 }, state: .closed(.waiting)),
        Row(name: "far above it", measure: with { $0.waiting = .max }, state: .closed(.waiting)),
        Row(name: "recipients of the scheduler", measure: with { $0.recipients = 10_001 }, state: .closed(.recipients)),
        Row(name: "a disk with room", measure: with { $0.freeKilobytes = 1251 }, state: .open),
        Row(
            name: "a disk that fills up", measure: with { $0.freeKilobytes = 1100 },
            state: .slow(.space, milliseconds: 2725)),
        Row(name: "a full disk", measure: with { $0.freeKilobytes = 999 }, state: .closed(.space)),
        Row(name: "no octet is free", measure: with { $0.freeKilobytes = 0 }, state: .closed(.space)),
        Row(name: "no inode is free", measure: with { $0.freeInodes = 0 }, state: .closed(.inodes)),
        Row(
            name: "a file system without a number of inodes", measure: with { $0.freeInodes = .max }, state: .open),
        Row(
            name: "the nearest limit counts",
            measure: with { measure in
                measure.waiting = 85
                measure.freeInodes = 505
            }, state: .slow(.inodes, milliseconds: 4750)),
    ]

    @Test("each measure is judged by its limit", arguments: rows)
    func judged(_ row: Row) {
        var throttle = IntakeThrottle(Self.settings)
        let isChange = throttle.update(row.measure)
        #expect(throttle.state == row.state)
        #expect(isChange == (row.state != .open))
        let again = throttle.update(row.measure)
        #expect(!again, "the same again is no change")
    }

    @Test("what was closed opens again when there is some room, and not before")
    func hysteresis() {
        var throttle = IntakeThrottle(Self.settings)
        _ = throttle.update(Self.with { $0.waiting = 101 })
        for waiting in [100, 95, 91] {
            let isChange = throttle.update(Self.with { $0.waiting = waiting })
            #expect(!isChange && throttle.state == .closed(.waiting))
        }
        let hasOpened = throttle.update(Self.with { $0.waiting = 90 })
        #expect(hasOpened && throttle.state == .slow(.waiting, milliseconds: 2500))
        // On its way up it is not closed again before the limit.
        let hasClosed = throttle.update(Self.with { $0.waiting = 100 })
        #expect(!hasClosed && throttle.state == .slow(.waiting, milliseconds: 5000))
    }

    @Test("a disk opens again when a ninth more than the minimum is free")
    func space() {
        var throttle = IntakeThrottle(Self.settings)
        _ = throttle.update(Self.with { $0.freeKilobytes = 900 })
        let first = throttle.update(Self.with { $0.freeKilobytes = 1109 })
        #expect(!first && throttle.state == .closed(.space))
        let second = throttle.update(Self.with { $0.freeKilobytes = 1112 })
        #expect(second && throttle.state == .slow(.space, milliseconds: 2475))
    }

    @Test("the cause is the one that holds now")
    func cause() {
        var throttle = IntakeThrottle(Self.settings)
        _ = throttle.update(Self.with { $0.waiting = 200 })
        let both = Self.with { measure in
            measure.waiting = 95
            measure.freeKilobytes = 10
        }
        let isChange = throttle.update(both)
        #expect(isChange && throttle.state == .closed(.space))
    }

    @Test("without limits, and without a delay, everything is open until it is full")
    func switchedOff() {
        var settings = Self.settings
        settings.recipientLimit = 0
        settings.maximumDelay = 0
        var throttle = IntakeThrottle(settings)
        _ = throttle.update(
            Self.with { measure in
                measure.recipients = .max
                measure.waiting = 99
            })
        #expect(throttle.state == .open)
        _ = throttle.update(Self.with { $0.waiting = 101 })
        #expect(throttle.state == .closed(.waiting))
    }

    @Test("a delay is never above its bound, whatever is measured")
    func bounded() {
        for waiting in stride(from: 0, through: 150, by: 1) {
            for free in stride(from: 0, through: 3000, by: 50) {
                var throttle = IntakeThrottle(Self.settings)
                _ = throttle.update(
                    Self.with { measure in
                        measure.waiting = waiting
                        measure.freeKilobytes = free
                    })
                switch throttle.state {
                case .open: #expect(waiting <= 80 && free >= 1250)
                case .slow(_, let milliseconds):
                    #expect((1...5000).contains(milliseconds) && waiting <= 100 && free >= 1000)
                case .closed: #expect(waiting > 100 || free < 1000)
                }
            }
        }
    }
}
