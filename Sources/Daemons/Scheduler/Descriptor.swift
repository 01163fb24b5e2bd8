import Glibc

/// File descriptors of this process: closed in children, which get theirs by number.
enum Descriptor {
    /// Read end and write end.
    static func pipe() -> (read: Int32, write: Int32)? {
        var ends: [Int32] = [-1, -1]
        guard Glibc.pipe(&ends) == 0 else { return nil }
        for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
        return (ends[0], ends[1])
    }

    static func setNonblocking(_ descriptor: Int32) {
        let flags = fcntl(descriptor, F_GETFL)
        _ = fcntl(descriptor, F_SETFL, flags | O_NONBLOCK)
    }

    /// As many descriptors as the system allows this process: four for each agent.
    static func raiseLimit() {
        var limit = rlimit()
        guard getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0 else { return }
        limit.rlim_cur = limit.rlim_max
        _ = setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
    }
}

/// Octets that wait for a descriptor to take them.
struct OutputBuffer {
    private var octets: [UInt8] = []
    private var start = 0

    var isEmpty: Bool { start == octets.count }
    var count: Int { octets.count - start }

    mutating func append(_ text: String) { octets.append(contentsOf: text.utf8) }

    enum Outcome {
        case done
        /// Wait until it is writable.
        case full
        /// Nobody reads any more.
        case closed
    }

    mutating func write(to descriptor: Int32) -> Outcome {
        while start < octets.count {
            let count = octets.withUnsafeBytes {
                Glibc.write(descriptor, $0.baseAddress?.advanced(by: start), $0.count - start)
            }
            if count > 0 {
                start += count
            } else if errno == EAGAIN {
                compact()
                return .full
            } else if errno != EINTR {
                octets = []
                start = 0
                return .closed
            }
        }
        octets.removeAll(keepingCapacity: octets.capacity <= 1 << 16)
        start = 0
        return .done
    }

    private mutating func compact() {
        guard start > 1 << 16 else { return }
        octets.removeFirst(start)
        start = 0
    }
}
