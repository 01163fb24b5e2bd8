import Glibc
import Synchronization

/// Standard output: whole groups of lines, one group at a time.
public final class ReportWriter: Sendable {
    private let descriptor: Int32
    private let isBroken = Mutex(false)

    public init(descriptor: Int32 = STDOUT_FILENO) { self.descriptor = descriptor }

    /// Whether nobody will ever read what is written: the scheduler has died. Its successor gives the waiting jobs out again.
    public var hasLostReader: Bool {
        var output = pollfd(fd: descriptor, events: 0, revents: 0)
        return poll(&output, 1, 0) > 0 && output.revents & Int16(POLLERR | POLLHUP | POLLNVAL) != 0
    }

    /// `false` once the reader has gone; what was delivered by then stays unrecorded and is delivered again.
    @discardableResult
    public func write(_ octets: [UInt8]) -> Bool {
        isBroken.withLock { isBroken in
            var rest = octets[...]
            while !rest.isEmpty, !isBroken {
                let count = rest.withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress, $0.count) }
                if count >= 0 {
                    rest = rest.dropFirst(count)
                } else if errno == EAGAIN {
                    var wait = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
                    poll(&wait, 1, -1)
                } else if errno != EINTR {
                    isBroken = true
                }
            }
            return !isBroken
        }
    }
}
