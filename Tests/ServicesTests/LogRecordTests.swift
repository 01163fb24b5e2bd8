import Glibc
import Telemetry
import Testing

@Suite("Log lines read back")
struct LogRecordTests {
    @Test("a line is what was written, whatever the values hold")
    func roundTrip() throws {
        let path = "/tmp/zl-record-\(getpid())"
        defer { unlink(path) }
        let values = ["", "plain", "two words", "a\"b\\c", "x=y z=\"q\"", "tab\tline\nend", "Grüße ✉", "\\x41", "a="]
        let log = try EventLog(program: "router", destination: .file(path))
        for value in values { log.info("routed", ["queue-id": "17", "msgid": value, "delay": "0"]) }
        let file = try #require(fopen(path, "r"))
        defer { fclose(file) }
        var buffer = [CChar](repeating: 0, count: 4096)
        for value in values {
            #expect(fgets(&buffer, 4096, file) != nil)
            let line = buffer.prefix { $0 != 0 && $0 != 10 }.map { UInt8(bitPattern: $0) }
            let record = try #require(LogRecord(line), "\(String(decoding: line, as: UTF8.self))")
            #expect(record.program == "router")
            #expect(record.pid == Int(getpid()))
            #expect((record.level, record.event) == ("info", "routed"))
            #expect(record.fields.map(\.key) == ["queue-id", "msgid", "delay"])
            #expect(record["msgid"] == value)
            #expect(record["delay"] == "0")
            #expect(String(decoding: line, as: UTF8.self).hasPrefix(record.time))
        }
    }

    @Test(
        "times are milliseconds since 1970",
        arguments: [
            ("1970-01-01T00:00:00.000Z", 0), ("2026-11-21T05:10:01.042Z", 1_795_237_801_042),
            ("2000-02-29T23:59:59.999Z", 951_868_799_999), ("2100-03-01T00:00:00.000Z", 4_107_542_400_000),
        ] as [(String, Int64)])
    func times(text: String, expected: Int64) throws {
        let record = try #require(LogRecord("\(text) smtpserver[1]: notice stopped".utf8))
        #expect(record.milliseconds == expected)
        #expect(record.time == text)
        #expect(record.fields == [])
    }

    @Test(
        "what is no line of ours is none",
        arguments: [
            "", "x", "2026-11-21T05:10:01.042Z", "2026-11-21T05:10:01.042Z ", "2026-11-21T05:10:01.042Z a: info b",
            "2026-11-21T05:10:01Z a[1]: info b", "2026-13-21T05:10:01.042Z a[1]: info b",
            "2026-11-21T05:10:01.042Z a[1]: info", "2026-11-21T05:10:01.042Z a[1]: info b c",
            "Nov 21 05:10:01 host a[1]: info b", "YOJXAAA0000r\tEHLO client.test",
        ])
    func others(line: String) { #expect(LogRecord(line.utf8) == nil) }

    @Test(
        "a line that is cut off counts as far as it goes",
        arguments: ["text=\"a b", "text=\"a b\\", "text=ab", "text="])
    func cut(end: String) throws {
        let record = try #require(LogRecord("2026-11-21T05:10:01.042Z a[1]: info b queue-id=17 \(end)".utf8))
        #expect(record["queue-id"] == "17")
        #expect(record["text"] != nil)
    }
}
