import CPosix
import Glibc

/// Waits for readiness of descriptors (epoll, level-triggered). Confined to one thread; the descriptors stay the caller's.
public final class Poller {
    public struct Interest: OptionSet, Hashable, Sendable {
        public let rawValue: UInt8
        public init(rawValue: UInt8) { self.rawValue = rawValue }
        public static let read = Interest(rawValue: 1)
        public static let write = Interest(rawValue: 2)
    }

    private let epoll: Int32
    private var handlers: [Int32: (Interest) -> Void] = [:]
    /// Removed since the last wait: what the kernel reported for them is about descriptors that may be others by now.
    private var removed: Set<Int32> = []
    private var events = [cposix_event](repeating: cposix_event(), count: 128)

    public init() {
        epoll = cposix_epoll_create()
        precondition(epoll >= 0, "epoll_create1 failed: no descriptors left at start")
    }

    deinit { close(epoll) }

    /// Calls `handler` while `descriptor` is ready; errors and hang-ups count as both readable and writable.
    /// `false` with errno set if the kernel refuses the descriptor.
    @discardableResult
    public func add(_ descriptor: Int32, _ interest: Interest, _ handler: @escaping (Interest) -> Void) -> Bool {
        guard cposix_epoll_set(epoll, Int32(CPOSIX_ADD), descriptor, Int32(interest.rawValue)) == 0 else {
            return false
        }
        handlers[descriptor] = handler
        return true
    }

    public func change(_ descriptor: Int32, _ interest: Interest) {
        _ = cposix_epoll_set(epoll, Int32(CPOSIX_CHANGE), descriptor, Int32(interest.rawValue))
    }

    /// Call before closing the descriptor.
    public func remove(_ descriptor: Int32) {
        guard handlers.removeValue(forKey: descriptor) != nil else { return }
        removed.insert(descriptor)
        _ = cposix_epoll_set(epoll, Int32(CPOSIX_REMOVE), descriptor, 0)
    }

    /// Waits at most `milliseconds` (−1: without end) and calls the handlers of what is ready.
    public func wait(milliseconds: Int32) {
        removed.removeAll(keepingCapacity: true)
        let count = cposix_epoll_wait(epoll, &events, Int32(events.count), milliseconds)
        guard count > 0 else { return }
        for event in events[0..<Int(count)] where !removed.contains(event.fd) {
            handlers[event.fd]?(Interest(rawValue: UInt8(event.ready)))
        }
    }
}

/// Signals as a descriptor. Make it first thing in main, before any thread: the signals are blocked in all later threads.
public final class SignalSource {
    public let descriptor: Int32

    public init(_ signals: [Int32]) {
        signal(SIGPIPE, SIG_IGN)
        // A file over a limit of the process is an error of that write (EFBIG), not the end of the program.
        signal(SIGXFSZ, SIG_IGN)
        // Whoever started us may have ignored it; then the kernel would throw away how our children ended.
        signal(SIGCHLD, SIG_DFL)
        descriptor = cposix_signalfd(signals, Int32(signals.count))
        precondition(descriptor >= 0, "signalfd failed: no descriptors left at start")
    }

    deinit { close(descriptor) }

    /// The next pending signal, `nil` if there is none.
    public func next() -> Int32? {
        let number = cposix_signalfd_read(descriptor)
        return number > 0 ? number : nil
    }
}
