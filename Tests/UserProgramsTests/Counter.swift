import Synchronization

final class Counter: Sendable {
    private let value = Atomic<Int>(0)

    func reset() { value.store(0, ordering: .relaxed) }
    func next() -> Int { value.add(1, ordering: .relaxed).newValue }
}
