import Synchronization

/// Between work on files and who waits for it: the work says whenever it has come a step further, and asks whether somebody still
/// waits. When nobody does, the delivery has been deferred and will be repeated, or its message may have been returned.
final class Passage: Sendable {
    private let isLeft = Atomic(false)
    private let progress: Mutex<ContinuousClock.Instant>
    private let now: @Sendable () -> ContinuousClock.Instant

    init(now: @escaping @Sendable () -> ContinuousClock.Instant = { .now }) {
        self.now = now
        progress = Mutex(now())
    }

    /// When the work came a step further, or began.
    var lastProgress: ContinuousClock.Instant { progress.withLock { $0 } }

    /// A call to the file system has come back: what is slow is not dead.
    func advance() {
        let now = now()
        progress.withLock { $0 = now }
    }

    func close() { isLeft.store(true, ordering: .relaxed) }

    var isClosed: Bool { isLeft.load(ordering: .relaxed) }

    /// Throws when the work has come too late.
    func check() throws(DeliveryProblem) {
        guard isClosed else { return }
        throw .temporary("4.3.0", "home did not answer in time")
    }
}
