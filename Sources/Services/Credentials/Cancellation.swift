import CPosix
import Glibc

/// Tells work on another thread that nobody waits for it any more.
final class Cancellation: Sendable {
    /// Readable from then on.
    let descriptor: Int32

    init() {
        descriptor = cposix_eventfd()
        precondition(descriptor >= 0, "eventfd failed: no descriptors left at start")
    }

    deinit { close(descriptor) }

    func cancel() {
        var one: UInt64 = 1
        _ = write(descriptor, &one, MemoryLayout<UInt64>.size)
    }
}
