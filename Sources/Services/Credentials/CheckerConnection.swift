import CPosix
import Glibc
import SASL

/// The checker's end of the connection: one line in, one line out. The descriptor stays its owner's.
struct CheckerConnection {
    let descriptor: Int32

    enum Trouble: String, Error {
        case late = "no question came in time"
        case closed = "the connection was closed before a whole question had come"
        case malformed = "that is no question of this protocol"
    }

    init(descriptor: Int32) {
        self.descriptor = descriptor
        _ = cposix_set_nonblocking(descriptor, 1)
    }

    /// Reads one line and what has come behind it, which would make it no question.
    func question(milliseconds: Int64) throws(Trouble) -> CredentialRequest {
        let deadline = cposix_monotonic_milliseconds() + milliseconds
        // Not growing: that would leave copies behind.
        let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: CredentialLine.maximumLength + 1, alignment: 1)
        defer { buffer.wipeAndDeallocate() }
        var count = 0
        while true {
            let got = read(descriptor, buffer.baseAddress?.advanced(by: count), buffer.count - count)
            if got == 0 { throw .closed }
            if got < 0 {
                if errno == EINTR { continue }
                guard errno == EAGAIN else { throw .closed }
                guard wait(POLLIN, deadline) else { throw .late }
                continue
            }
            let isEnded = buffer[count..<(count + got)].contains(0x0a)
            count += got
            if isEnded || count == buffer.count { break }
        }
        guard let request = CredentialRequest(line: buffer[..<count]) else { throw .malformed }
        return request
    }

    /// `false`: it could not be written.
    @discardableResult
    func answer(_ answer: CredentialAnswer) -> Bool {
        let deadline = cposix_monotonic_milliseconds() + 5000
        var rest = answer.line[...]
        while !rest.isEmpty {
            // MSG_NOSIGNAL: whoever has asked may have gone.
            let count = rest.withUnsafeBytes {
                send(descriptor, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL))
            }
            if count >= 0 {
                rest = rest.dropFirst(count)
            } else if errno == EAGAIN {
                guard wait(POLLOUT, deadline) else { return false }
            } else if errno != EINTR {
                return false
            }
        }
        return true
    }

    private func wait(_ events: Int32, _ deadline: Int64) -> Bool {
        var entry = pollfd(fd: descriptor, events: Int16(events), revents: 0)
        let left = deadline - cposix_monotonic_milliseconds()
        return left > 0 && (poll(&entry, 1, Int32(clamping: left)) != 0)
    }
}
