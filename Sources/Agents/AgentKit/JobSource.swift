import AgentProtocol
import Glibc

/// Standard input, shared by the threads: whoever is free reads the next job, the others wait for their turn. A job therefore
/// costs one wake-up, not two.
final class JobSource: @unchecked Sendable {
    // Sound: everything below is touched with `mutex` held; the mutex itself does not move.
    private let mutex = UnsafeMutablePointer<pthread_mutex_t>.allocate(capacity: 1)
    private let descriptor: Int32
    private let tickInterval: Duration
    /// Readable once the program is asked to end.
    private let termination: Int32?
    private var splitter = LineSplitter(maximumLineLength: maximumLineLength)
    private var lines: [String] = []
    private var next = 0
    private var hasEnded = false
    private var buffer = [UInt8](repeating: 0, count: 16384)

    /// Octets of one job line; a host is at most 255.
    private static let maximumLineLength = 4096

    init(descriptor: Int32 = STDIN_FILENO, termination: Int32? = nil, tickInterval: Duration = .seconds(5)) {
        self.descriptor = descriptor
        self.termination = termination
        self.tickInterval = tickInterval
        pthread_mutex_init(mutex, nil)
    }

    deinit {
        pthread_mutex_destroy(mutex)
        mutex.deallocate()
    }

    /// The next line, or `nil` at the end: EOF, an empty line, or a last line without its newline. Calls `tick` now and then
    /// while there is nothing.
    func line(tick: () -> Void) -> String? {
        pthread_mutex_lock(mutex)
        defer { pthread_mutex_unlock(mutex) }
        while true {
            if hasTerminated { return nil }
            if next < lines.count {
                let line = lines[next]
                next += 1
                if next == lines.count {
                    lines.removeAll(keepingCapacity: true)
                    next = 0
                }
                if line.isEmpty { hasEnded = true }
                if hasEnded && line.isEmpty { return nil }
                return line
            }
            if hasEnded { return nil }
            // A negative descriptor is passed over.
            var sources = [
                pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0),
                pollfd(fd: termination ?? -1, events: Int16(POLLIN), revents: 0),
            ]
            let ready = poll(&sources, 2, Int32(clamping: tickInterval.components.seconds * 1000))
            if ready == 0 { tick() }
            if ready < 0, errno != EINTR { hasEnded = true }
            if ready > 0, sources[1].revents != 0 { hasEnded = true }
            if ready > 0, sources[0].revents != 0, !hasEnded { fill() }
        }
    }

    /// Asked to end: what was handed out and not begun goes back with the end of the program.
    private var hasTerminated: Bool {
        guard let termination, next < lines.count else { return false }
        var source = pollfd(fd: termination, events: Int16(POLLIN), revents: 0)
        return poll(&source, 1, 0) > 0
    }

    /// Reads what is there; a last line without newline is discarded with the splitter.
    private func fill() {
        let count = buffer.withUnsafeMutableBytes { read(descriptor, $0.baseAddress, $0.count) }
        if count > 0 {
            buffer.withUnsafeBytes { octets in
                splitter.append(UnsafeRawBufferPointer(rebasing: octets[..<count])) { lines.append($0) }
            }
        } else if count == 0 || (errno != EINTR && errno != EAGAIN) {
            hasEnded = true
        }
    }
}
