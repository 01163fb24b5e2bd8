import CPosix
import Glibc
import Synchronization

/// One call on a thread of its own, for which its owner need not wait until it returns.
final class BackgroundWork<Value: Sendable>: Sendable {
    enum Outcome {
        case done(Value)
        case hangUp
        case late
    }

    private let value = Mutex<Value?>(nil)
    private let body: @Sendable () -> Value
    /// Readable when there is a value.
    private let event: Int32

    init(_ body: @escaping @Sendable () -> Value) {
        self.body = body
        event = cposix_eventfd()
        precondition(event >= 0, "eventfd failed: no descriptors left at start")
        var thread = pthread_t()
        let argument = Unmanaged.passRetained(Start { self.run() })
        let code = pthread_create(&thread, nil, runBackgroundWork, argument.toOpaque())
        if code == 0 {
            pthread_detach(thread)
        } else {
            // Then its owner has to wait.
            argument.takeRetainedValue().body()
        }
    }

    deinit { close(event) }

    private func run() {
        let result = body()
        value.withLock { $0 = result }
        var one: UInt64 = 1
        _ = write(event, &one, MemoryLayout<UInt64>.size)
    }

    /// Waits for the value, but not after both directions of `descriptor`, if there is one, are closed.
    func wait(milliseconds: Int64, unlessHangUpOf descriptor: Int32? = nil) -> Outcome {
        let deadline = cposix_monotonic_milliseconds() + milliseconds
        while true {
            let left = deadline - cposix_monotonic_milliseconds()
            guard left > 0 else { return .late }
            var entries = [
                pollfd(fd: event, events: Int16(POLLIN), revents: 0),
                pollfd(fd: descriptor ?? -1, events: 0, revents: 0),
            ]
            _ = poll(&entries, 2, Int32(clamping: left))
            if let value = value.withLock({ $0 }) { return .done(value) }
            if Int32(entries[1].revents) & (POLLHUP | POLLERR) != 0 { return .hangUp }
        }
    }
}

private final class Start: Sendable {
    let body: @Sendable () -> Void
    init(_ body: @escaping @Sendable () -> Void) { self.body = body }
}

private func runBackgroundWork(_ argument: UnsafeMutableRawPointer?) -> UnsafeMutableRawPointer? {
    guard let argument else { return nil }
    Unmanaged<Start>.fromOpaque(argument).takeRetainedValue().body()
    return nil
}
