import CPosix
import Glibc
import Telemetry
import Testing

@Suite("Metrics at a socket", .serialized) struct MetricServerTests {
    final class Served {
        let folder: String
        let counter = MetricCounter("a_total", "x")
        private let extra: MetricTable

        init(rows: Int = 0) throws {
            var template = Array("/tmp/zm-metrics-XXXXXX".utf8CString)
            try #require(mkdtemp(&template) != nil)
            folder = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
            extra = MetricTable("b_total", .counter, ["channel"], "x")
            // Larger than what a socket holds.
            for number in 0..<rows { extra.add(["\(number)" + String(repeating: "x", count: 100_000)]) }
            let metrics = Metrics([counter, extra])
            try #require(MetricServer.serve(metrics, of: "router", in: folder))
        }

        deinit {
            unlink(MetricServer.path(folder, "router"))
            rmdir(folder)
        }

        func connect() throws -> Int32 {
            let descriptor = cposix_unix_connect(MetricServer.path(folder, "router"), Int32(SOCK_STREAM.rawValue), 0)
            try #require(descriptor >= 0)
            return descriptor
        }

        func ask(_ question: String) throws -> String {
            let descriptor = try connect()
            defer { close(descriptor) }
            let octets = Array(question.utf8)
            try #require(send(descriptor, octets, octets.count, Int32(MSG_NOSIGNAL)) == octets.count)
            return all(of: descriptor)
        }

        func all(of descriptor: Int32) -> String {
            var answer: [UInt8] = []
            var chunk = [UInt8](repeating: 0, count: 65536)
            while true {
                let count = recv(descriptor, &chunk, chunk.count, 0)
                guard count > 0 else { return String(decoding: answer, as: UTF8.self) }
                answer += chunk[..<count]
            }
        }
    }

    @Test(
        "a line gets the text, HTTP gets HTTP",
        arguments: [
            ("metrics\n", "# HELP a_total x\n"),
            ("GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Type: text/plain; version=0.0.4"),
            ("GET /metrics?x=1 HTTP/1.0\r\n\r\n", "HTTP/1.1 200 OK\r\n"),
            ("HEAD / HTTP/1.0\r\n\r\n", "HTTP/1.1 200 OK\r\n"),
            ("GET /etc/passwd HTTP/1.1\r\n\r\n", "HTTP/1.1 404 Not Found\r\n"),
            ("POST /metrics HTTP/1.1\r\n\r\n", "HTTP/1.1 405 Method Not Allowed\r\n"),
            ("GET  HTTP/1.1\r\n\r\n", "HTTP/1.1 405 Method Not Allowed\r\n"),
        ])
    func answers(question: String, beginning: String) throws {
        let served = try Served()
        served.counter.add(7)
        let answer = try served.ask(question)
        #expect(answer.hasPrefix(beginning), "\(answer)")
        if question.hasPrefix("GET /metrics") {
            let parts = answer.split(separator: "\r\n\r\n", maxSplits: 1)
            #expect(parts[0].contains("Content-Length: \(parts[1].utf8.count)\r\n"))
            #expect(parts[1].contains("a_total 7\n"))
        }
    }

    @Test("the socket is for its owner alone")
    func mode() throws {
        let served = try Served()
        var info = stat()
        try #require(lstat(MetricServer.path(served.folder, "router"), &info) == 0)
        #expect(info.st_mode & 0o777 == 0o600)
    }

    @Test("a scraper that says nothing, never reads, or talks without end is let go, and the next one served")
    func hostile() throws {
        let served = try Served(rows: 40)
        let silent = try served.connect()
        let deaf = try served.connect()
        _ = send(deaf, "metrics\n", 8, Int32(MSG_NOSIGNAL))
        let endless = try served.connect()
        let noise = [UInt8](repeating: UInt8(ascii: "x"), count: 65536)
        runOnThread { while send(endless, noise, noise.count, Int32(MSG_NOSIGNAL)) > 0 {} }
        let begun = cposix_monotonic_milliseconds()
        // Nobody waits for them but this one, on the same single thread.
        let answer = try served.ask("metrics\n")
        let spent = cposix_monotonic_milliseconds() - begun
        #expect(answer.contains("a_total 0\n") && answer.utf8.count > 4_000_000)
        #expect(spent < 12_000)
        // And the program itself was never held up.
        for _ in 0..<1000 { served.counter.add() }
        for descriptor in [silent, deaf] { close(descriptor) }
        shutdown(endless, Int32(SHUT_RDWR))
    }
}
