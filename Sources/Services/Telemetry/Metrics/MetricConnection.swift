import CPosix
import Glibc

/// One scraper: a question within ``patience``, an answer within ``patience``, and the end. Blocks, and never for longer.
enum MetricConnection {
    /// Milliseconds.
    static let patience: Int64 = 2000
    /// Octets of a request with its header.
    static let maximumRequest = 8192

    enum Request: Equatable {
        /// A line that is no HTTP: the text alone.
        case plain
        case get(path: String)
        case head(path: String)
        case other
    }

    static func serve(_ descriptor: Int32, _ text: () -> String) {
        defer { close(descriptor) }
        _ = cposix_set_nonblocking(descriptor, 1)
        guard let request = read(descriptor, until: cposix_monotonic_milliseconds() + patience) else { return }
        let answer: String =
            switch request {
            case .plain: text()
            case .get("/metrics"), .get("/"): response("200 OK", text())
            case .head("/metrics"), .head("/"): response("200 OK", "")
            case .get, .head: response("404 Not Found", "metrics are at /metrics\n")
            case .other: response("405 Method Not Allowed", "only GET\n")
            }
        write(Array(answer.utf8), descriptor, until: cposix_monotonic_milliseconds() + patience)
    }

    private static func response(_ status: String, _ body: String) -> String {
        "HTTP/1.1 \(status)\r\nContent-Type: text/plain; version=0.0.4; charset=utf-8\r\n"
            + "Content-Length: \(body.utf8.count)\r\nConnection: close\r\n\r\n\(body)"
    }

    private static func read(_ descriptor: Int32, until end: Int64) -> Request? {
        var octets: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 2048)
        while octets.count < maximumRequest {
            guard wait(descriptor, POLLIN, until: end) else { return nil }
            let count = recv(descriptor, &chunk, chunk.count, 0)
            if count < 0, errno == EAGAIN || errno == EINTR { continue }
            guard count > 0 else { return nil }
            octets += chunk[..<count]
            if let request = request(octets) { return request }
        }
        return .other
    }

    /// `nil`: not all of it has come.
    static func request(_ octets: [UInt8]) -> Request? {
        guard let newline = octets.firstIndex(of: 0x0a) else { return nil }
        let line = String(decoding: octets[..<newline].filter { $0 != 0x0d }, as: UTF8.self)
        let words = line.split(separator: " ")
        guard words.count == 3, words[2].hasPrefix("HTTP/") else { return line.contains("HTTP/") ? .other : .plain }
        // What comes behind the first line is of no interest, but a client that is cut off while it writes sees an error.
        guard ends(octets) else { return nil }
        let path = String(words[1].prefix { $0 != "?" })
        switch words[0] {
        case "GET": return .get(path: path)
        case "HEAD": return .head(path: path)
        default: return .other
        }
    }

    private static func ends(_ octets: [UInt8]) -> Bool {
        octets.suffix(4).elementsEqual([0x0d, 0x0a, 0x0d, 0x0a]) || octets.suffix(2).elementsEqual([0x0a, 0x0a])
    }

    private static func write(_ octets: [UInt8], _ descriptor: Int32, until end: Int64) {
        var sent = 0
        while sent < octets.count {
            guard wait(descriptor, POLLOUT, until: end) else { return }
            let count = octets.withUnsafeBytes {
                send(descriptor, $0.baseAddress?.advanced(by: sent), $0.count - sent, Int32(MSG_NOSIGNAL))
            }
            if count < 0, errno == EAGAIN || errno == EINTR { continue }
            guard count > 0 else { return }
            sent += count
        }
        shutdown(descriptor, Int32(SHUT_WR))
        // Until the peer has taken all of it, or its time is over: a close with something unread would cut the answer off.
        var chunk = [UInt8](repeating: 0, count: 2048)
        while wait(descriptor, POLLIN, until: end) {
            let count = recv(descriptor, &chunk, chunk.count, 0)
            if count == 0 || count < 0 && errno != EAGAIN && errno != EINTR { return }
        }
    }

    private static func wait(_ descriptor: Int32, _ event: Int32, until end: Int64) -> Bool {
        while true {
            let left = end - cposix_monotonic_milliseconds()
            guard left > 0 else { return false }
            var entry = pollfd(fd: descriptor, events: Int16(event), revents: 0)
            let ready = poll(&entry, 1, Int32(clamping: left))
            if ready > 0 { return true }
            if ready < 0, errno != EINTR { return false }
        }
    }
}
