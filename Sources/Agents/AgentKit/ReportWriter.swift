import Glibc
import Synchronization

/// Standard output: lines of several threads, none of them torn.
///
/// Without a lock: a pipe takes up to PIPE_BUF octets at once or not at all (pipe(7)), and nothing larger is written.
public final class ReportWriter: Sendable {
    private let descriptor: Int32
    private let isBroken = Atomic(false)

    /// PIPE_BUF of Linux, octets.
    private static let atomicCount = 4096

    public init(descriptor: Int32 = STDOUT_FILENO) { self.descriptor = descriptor }

    /// Whether nobody will ever read what is written: the scheduler has died. Its successor gives the waiting jobs out again.
    public var hasLostReader: Bool {
        var output = pollfd(fd: descriptor, events: 0, revents: 0)
        return poll(&output, 1, 0) > 0 && output.revents & Int16(POLLERR | POLLHUP | POLLNVAL) != 0
    }

    /// Writes whole lines, in order. `false` once the reader has gone; what was delivered by then stays unrecorded and is
    /// delivered again.
    @discardableResult
    public func write(_ lines: [UInt8]) -> Bool {
        lines.withUnsafeBytes { octets in
            var rest = octets[...]
            while !rest.isEmpty, !isBroken.load(ordering: .relaxed) {
                var part = rest.prefix(Self.atomicCount)
                if part.count < rest.count, let end = part.lastIndex(of: 0x0a) { part = part[...end] }
                writeAtOnce(UnsafeRawBufferPointer(rebasing: part))
                rest = rest.dropFirst(part.count)
            }
        }
        return !isBroken.load(ordering: .relaxed)
    }

    private func writeAtOnce(_ octets: UnsafeRawBufferPointer) {
        var rest = octets[...]
        while !rest.isEmpty {
            let count = Glibc.write(descriptor, UnsafeRawBufferPointer(rebasing: rest).baseAddress, rest.count)
            if count >= 0 {
                rest = rest.dropFirst(count)
            } else if errno == EAGAIN {
                var wait = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
                poll(&wait, 1, -1)
            } else if errno != EINTR {
                isBroken.store(true, ordering: .relaxed)
                return
            }
        }
    }
}
