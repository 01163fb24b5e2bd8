import Testing

@testable import SMTPServer

@Suite struct TimeoutWheelTests {
    final class Entry: WheelEntry {
        var wheelPosition = WheelPosition()
        var expires: Int
        var fired: [Int] = []
        weak var wheel: TimeoutWheel<Entry>?

        init(_ expires: Int, _ wheel: TimeoutWheel<Entry>) {
            self.expires = expires
            self.wheel = wheel
            wheel.add(self)
        }

        func expired() {
            fired.append(wheel?.now ?? -1)
            wheel?.remove(self)
        }
    }

    @Test("an entry fires in its second, once")
    func fires() {
        let wheel = TimeoutWheel<Entry>()
        let entries = [1, 5, 5, 300].map { Entry($0, wheel) }
        wheel.advance(to: 1000)
        #expect(entries.map(\.fired) == [[1], [5], [5], [300]])
        #expect(wheel.count == 0)
    }

    @Test("a deadline that was moved later is looked at again, one moved earlier must be hastened")
    func moved() {
        let wheel = TimeoutWheel<Entry>()
        let later = Entry(5, wheel)
        let earlier = Entry(500, wheel)
        later.expires = 20
        earlier.expires = 7
        wheel.hasten(earlier)
        wheel.advance(to: 19)
        #expect(later.fired.isEmpty)
        #expect(earlier.fired == [7])
        wheel.advance(to: 20)
        #expect(later.fired == [20])
    }

    @Test("a deadline beyond the ring is met")
    func far() {
        let wheel = TimeoutWheel<Entry>()
        let entry = Entry(TimeoutWheel<Entry>.size * 2 + 3, wheel)
        wheel.advance(to: entry.expires - 1)
        #expect(entry.fired.isEmpty)
        wheel.advance(to: entry.expires)
        #expect(entry.fired == [entry.expires])
    }

    @Test("a removed entry does not fire, and its neighbours do")
    func removed() {
        let wheel = TimeoutWheel<Entry>()
        let entries = (0..<10).map { _ in Entry(3, wheel) }
        for index in [0, 9, 4] { wheel.remove(entries[index]) }
        wheel.remove(entries[0])
        #expect(wheel.count == 7)
        #expect(wheel.all.count == 7)
        wheel.advance(to: 3)
        for (index, entry) in entries.enumerated() { #expect(entry.fired == ([0, 9, 4].contains(index) ? [] : [3])) }
    }
}
