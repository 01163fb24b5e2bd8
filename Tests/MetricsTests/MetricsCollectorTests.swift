import CPosix
import Configuration
import Glibc
import MailModel
import MetricsCollection
import Telemetry
import Testing

@Suite("Metrics of all programs") struct MetricsCollectorTests {
    private func folder() throws -> String {
        var template = Array("/tmp/zm-metrics-XXXXXX".utf8CString)
        try #require(mkdtemp(&template) != nil)
        return String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }

    @Test("are one text, which says who has answered, beside programs that are down or hang")
    func collection() throws {
        let folder = try folder()
        defer {
            for program in MetricsCollector.programs { unlink(MetricServer.path(folder, program)) }
            rmdir(folder)
        }
        let routed = MetricCounter("a_total", "x")
        routed.add(3)
        #expect(MetricServer.serve(Metrics([routed]), of: "router", in: folder))
        let hanging = cposix_unix_listen(
            MetricServer.path(folder, "scheduler"), Int32(SOCK_STREAM.rawValue), 0o600, 16)
        defer { close(hanging) }
        let collector = MetricsCollector(postoffice: folder)
        let begun = cposix_monotonic_milliseconds()
        let parsed = try ExpositionParser(collector.text)
        #expect(cposix_monotonic_milliseconds() - begun < 10_000)
        #expect(parsed["a_total"] == 3)
        #expect(parsed["zmailer_up", ["program": "router"]] == 1)
        #expect(parsed["zmailer_up", ["program": "scheduler"]] == 0)
        #expect(parsed["zmailer_up", ["program": "smtpserver"]] == 0)
        #expect(MetricsCollector.isAnybodyUp(collector.text))
    }

    @Test("come by HTTP at METRICS, for several at a time", arguments: ["127.0.0.1", "[::1]"])
    func http(host: String) throws {
        let folder = try folder()
        defer {
            unlink(MetricServer.path(folder, "router"))
            rmdir(folder)
        }
        #expect(MetricServer.serve(Metrics([MetricCounter("a_total", "x")]), of: "router", in: folder))
        let port = 20_000 + Int(getpid()) % 20_000 + (host == "127.0.0.1" ? 0 : 1)
        let address = try #require(MetricsAddress("\(host):\(port)"))
        try MetricsListener.serve(address, MetricsCollector(postoffice: folder))
        // Those that say nothing.
        let silent = try (0..<3).map { _ in try connect(host, port) }
        let descriptor = try connect(host, port)
        let question = Array("GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n".utf8)
        try #require(send(descriptor, question, question.count, Int32(MSG_NOSIGNAL)) == question.count)
        var answer: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 65536)
        while true {
            let count = recv(descriptor, &chunk, chunk.count, 0)
            guard count > 0 else { break }
            answer += chunk[..<count]
        }
        close(descriptor)
        for descriptor in silent { close(descriptor) }
        let parts = String(decoding: answer, as: UTF8.self).split(separator: "\r\n\r\n", maxSplits: 1)
        #expect(parts.first?.hasPrefix("HTTP/1.1 200 OK\r\n") ?? false)
        #expect(try ExpositionParser(String(try #require(parts.last)))["a_total"] == 0)
    }

    private func connect(_ host: String, _ port: Int) throws -> Int32 {
        if host == "127.0.0.1" {
            var name = sockaddr_in()
            name.sin_family = sa_family_t(AF_INET)
            name.sin_port = UInt16(port).bigEndian
            name.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
            return try connect(AF_INET, name)
        }
        var name = sockaddr_in6()
        name.sin6_family = sa_family_t(AF_INET6)
        name.sin6_port = UInt16(port).bigEndian
        withUnsafeMutableBytes(of: &name.sin6_addr) { $0[15] = 1 }
        return try connect(AF_INET6, name)
    }

    private func connect<Name>(_ family: Int32, _ name: Name) throws -> Int32 {
        let descriptor = socket(family, Int32(SOCK_STREAM.rawValue), 0)
        let result = withUnsafePointer(to: name) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                Glibc.connect(descriptor, $0, socklen_t(MemoryLayout<Name>.size))
            }
        }
        try #require(result == 0, "\(errno)")
        return descriptor
    }
}
