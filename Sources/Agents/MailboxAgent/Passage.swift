import Synchronization

/// Whether somebody still waits for what work on files leads to. When nobody does, the delivery has been deferred and will be
/// repeated, or its message may have been returned: nothing must appear any more.
final class Passage: Sendable {
    private let isClosed = Atomic(false)

    func close() { isClosed.store(true, ordering: .relaxed) }

    /// Throws when the work has come too late.
    func check() throws(DeliveryProblem) {
        guard isClosed.load(ordering: .relaxed) else { return }
        throw .temporary("4.3.0", "home did not answer in time")
    }
}
