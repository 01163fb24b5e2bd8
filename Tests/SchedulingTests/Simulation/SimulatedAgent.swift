import SpoolFormat

/// An agent that works on as many jobs at a time as it has said `#hungry`; what it is handed ahead waits.
final class SimulatedAgent {
    struct Job: Equatable {
        let id: SpoolID
        let host: String
        let number: Int
    }
    let channel: String
    let workers: Int
    var working: [Job] = []
    var ahead: [Job] = []
    var isClosing = false

    init(channel: String, workers: Int) {
        self.channel = channel
        self.workers = workers
    }
}

/// Events in the order of their times, those of one time in the order in which they were made.
struct SimulatedTime<Event> {
    private var heap: [(time: Int64, number: UInt64, event: Event)] = []
    private var number: UInt64 = 0

    var next: Int64? { heap.first?.time }

    mutating func add(_ event: Event, at time: Int64) {
        number += 1
        heap.append((time, number, event))
        var child = heap.count - 1
        while child > 0, precedes(child, (child - 1) / 2) {
            heap.swapAt(child, (child - 1) / 2)
            child = (child - 1) / 2
        }
    }

    mutating func pop(due time: Int64) -> Event? {
        guard let first = heap.first, first.time <= time else { return nil }
        heap.swapAt(0, heap.count - 1)
        heap.removeLast()
        var parent = 0
        while true {
            var least = parent
            for child in [2 * parent + 1, 2 * parent + 2] where child < heap.count && precedes(child, least) {
                least = child
            }
            if least == parent { break }
            heap.swapAt(parent, least)
            parent = least
        }
        return first.event
    }

    private func precedes(_ left: Int, _ right: Int) -> Bool {
        (heap[left].time, heap[left].number) < (heap[right].time, heap[right].number)
    }
}
