import Glibc
import Synchronization

/// SIGTERM as something that poll(2) sees.
enum Termination {
    /// The end of a pipe that becomes readable with the first SIGTERM; `nil` when there is no pipe to be had, and the signal
    /// keeps its effect.
    static func descriptor() -> Int32? {
        var ends: [Int32] = [-1, -1]
        guard pipe(&ends) == 0 else { return nil }
        for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
        writeEnd.store(ends[1], ordering: .relaxed)
        signal(SIGTERM) { _ in
            // Only calls that signal-safety(7) allows.
            signal(SIGTERM, SIG_DFL)
            var octet: UInt8 = 0
            _ = write(writeEnd.load(ordering: .relaxed), &octet, 1)
        }
        return ends[0]
    }
}

/// What the signal handler writes to: a handler can hold nothing itself.
private let writeEnd = Atomic<Int32>(-1)
