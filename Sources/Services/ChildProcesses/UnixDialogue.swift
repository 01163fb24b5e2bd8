import CPosix
import Glibc

/// One question to a Unix stream socket, and its answer as lines until the end of the connection. Blocks.
public enum UnixDialogue {
    /// Octets of a line.
    public static let maximumLine = 1 << 20

    /// Calls `take` for each line of the answer, without its LF; ETIMEDOUT when not all has come within `milliseconds`.
    public static func ask(
        _ path: String, _ question: String, milliseconds: Int64, _ take: (ArraySlice<UInt8>) -> Void
    ) throws(UnixSocket.Failure) {
        let end = SteadyClock.milliseconds + milliseconds
        let descriptor = cposix_unix_connect(path, Int32(SOCK_STREAM.rawValue), 1)
        guard descriptor >= 0 else { throw UnixSocket.Failure(path: path, code: errno) }
        defer { close(descriptor) }
        try send(Array(question.utf8), descriptor, path, until: end)
        var rest: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 65536)
        while true {
            try wait(descriptor, POLLIN, path, until: end)
            let count = recv(descriptor, &chunk, chunk.count, 0)
            if count < 0, errno == EINTR || errno == EAGAIN { continue }
            guard count >= 0 else { throw UnixSocket.Failure(path: path, code: errno) }
            if count == 0 {
                if !rest.isEmpty { take(rest[...]) }
                return
            }
            rest += chunk[..<count]
            var start = 0
            while let newline = rest[start...].firstIndex(of: 0x0a) {
                take(rest[start..<newline])
                start = newline + 1
            }
            rest.removeFirst(start)
            guard rest.count <= maximumLine else { throw UnixSocket.Failure(path: path, code: EMSGSIZE) }
        }
    }

    private static func send(
        _ octets: [UInt8], _ descriptor: Int32, _ path: String, until end: Int64
    ) throws(UnixSocket.Failure) {
        var sent = 0
        while sent < octets.count {
            try wait(descriptor, POLLOUT, path, until: end)
            let count = octets.withUnsafeBytes {
                Glibc.send(descriptor, $0.baseAddress?.advanced(by: sent), $0.count - sent, Int32(MSG_NOSIGNAL))
            }
            if count < 0, errno == EINTR || errno == EAGAIN { continue }
            guard count > 0 else { throw UnixSocket.Failure(path: path, code: errno) }
            sent += count
        }
    }

    private static func wait(
        _ descriptor: Int32, _ event: Int32, _ path: String, until end: Int64
    ) throws(UnixSocket.Failure) {
        while true {
            let left = end - SteadyClock.milliseconds
            guard left > 0 else { throw UnixSocket.Failure(path: path, code: ETIMEDOUT) }
            var entry = pollfd(fd: descriptor, events: Int16(event), revents: 0)
            if poll(&entry, 1, Int32(clamping: left)) > 0 { return }
        }
    }
}
