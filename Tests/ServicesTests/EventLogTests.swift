import CPosix
import Glibc
import Testing

@testable import Telemetry

@Suite("Log lines") struct EventLogTests {
    private func escaped(_ value: String) -> String {
        var line: [UInt8] = []
        LogValue.append(value, to: &line)
        return String(validating: line, as: UTF8.self) ?? "not UTF-8"
    }

    @Test(
        "values are plain, quoted or escaped",
        arguments: [
            ("abc", "abc"), ("a=b,<c>", "a=b,<c>"), ("", "\"\""), ("a b", "\"a b\""), ("a\"b", "\"a\\\"b\""),
            ("a\\b", "\"a\\\\b\""),
            ("a\nb", "\"a\\x0ab\""), ("\r\n", "\"\\x0d\\x0a\""), ("\u{0}\u{1b}[31m\u{7f}", "\"\\x00\\x1b[31m\\x7f\""),
            ("ü", "\"ü\""),
            ("\u{9b}31m", "\"\\xc2\\x9b31m\""), ("a\u{2028}b", "\"a\\xe2\\x80\\xa8b\""),
            ("\u{202e}x", "\"\\xe2\\x80\\xaex\""),
        ])
    func escaping(value: String, text: String) { #expect(escaped(value) == text) }

    @Test("long values are cut, never inside a character")
    func cut() {
        let limit = EventLog.maximumValueLength
        #expect(escaped(String(repeating: "a", count: limit)) == String(repeating: "a", count: limit))
        #expect(
            escaped(String(repeating: "a", count: limit + 1)) == "\"" + String(repeating: "a", count: limit) + "…\"")
        for front in 0..<4 {
            let text = escaped(String(repeating: "a", count: front) + String(repeating: "😀", count: 1000))
            #expect(text.hasSuffix("…\"") && text.utf8.count <= limit + 5)
        }
        #expect(escaped(String(repeating: "\n", count: 5000)).utf8.count == 4 * limit + 5)
    }

    @Test(
        "times are UTC with milliseconds",
        arguments: [
            (0, "1970-01-01T00:00:00.000Z"), (1_795_237_801_042, "2026-11-21T05:10:01.042Z"),
            (951_782_399_999, "2000-02-28T23:59:59.999Z"),
            (951_782_400_000, "2000-02-29T00:00:00.000Z"), (2_147_483_648_001, "2038-01-19T03:14:08.001Z"),
            (4_107_542_400_000, "2100-03-01T00:00:00.000Z"), (-1, "1970-01-01T00:00:00.000Z"),
            (.min, "1970-01-01T00:00:00.000Z"),
            (.max, "9999-12-31T23:59:59.999Z"),
        ] as [(Int64, String)])
    func time(milliseconds: Int64, text: String) {
        var line: [UInt8] = []
        Timestamp.append(milliseconds: milliseconds, to: &line)
        #expect(String(decoding: line, as: UTF8.self) == text)
    }

    @Test("the clock's dates agree with the C library's over two centuries")
    func agreement() {
        for day in 0..<73_000 {
            var seconds = time_t(day * 86400 + day % 86400)
            var parts = tm()
            gmtime_r(&seconds, &parts)
            var line: [UInt8] = []
            Timestamp.append(milliseconds: Int64(seconds) * 1000, to: &line)
            func number(_ range: Range<Int>) -> Int32 { line[range].reduce(0) { $0 * 10 + Int32($1) - 0x30 } }
            let isSame =
                number(0..<4) == parts.tm_year + 1900 && number(5..<7) == parts.tm_mon + 1
                && number(8..<10) == parts.tm_mday
                && number(11..<13) == parts.tm_hour && number(14..<16) == parts.tm_min
                && number(17..<19) == parts.tm_sec
            if !isSame { Issue.record("\(String(decoding: line, as: UTF8.self)) on day \(day)") }
        }
    }

    @Test("a line has time, program, pid, level, event and fields; lower levels are left out")
    func lines() throws {
        let folder = try ScratchFolder()
        let log = try EventLog(program: "test", destination: .file("\(folder.path)/log"), level: .info)
        log.info("accepted", ["queue-id": "5", "from": "a b"])
        log.debug("detail", ["x": "y"])
        log.error("broken")
        log.warning("w")
        log.notice("n")
        let lines = try #require(folder.read("log")).split(separator: "\n")
        #expect(lines.count == 4)
        #expect(lines[0].hasSuffix("Z test[\(getpid())]: info accepted queue-id=5 from=\"a b\""))
        #expect(
            lines[1].hasSuffix(": error broken") && lines[2].hasSuffix(": warning w")
                && lines[3].hasSuffix(": notice n"))
        let debug = try EventLog(program: "test", destination: .file("\(folder.path)/debug"), level: .debug)
        debug.debug("detail", ["x": "y"])
        #expect(folder.read("debug")?.hasSuffix("debug detail x=y\n") == true)
    }

    @Test("after a rotation the lines go into the new file; threads do not mix theirs")
    func rotation() throws {
        let folder = try ScratchFolder()
        let log = try EventLog(program: "test", destination: .file("\(folder.path)/log"))
        log.info("one")
        try #require(rename("\(folder.path)/log", "\(folder.path)/log.1") == 0)
        log.info("two")
        log.reopen()
        onThreads(4) { index in
            for _ in 0..<100 { log.info("line", ["thread": "\(index)", "text": String(repeating: "x", count: 300)]) }
        }
        #expect(folder.read("log.1")?.split(separator: "\n").count == 2)
        let lines = try #require(folder.read("log")).split(separator: "\n")
        #expect(lines.count == 400 && lines.allSatisfy { $0.utf8.count == lines[0].utf8.count })
    }

    @Test(
        "a program that nobody tells of a rotation sees it itself, and goes on with the old file where there can be no new one"
    )
    func followsName() throws {
        let folder = try ScratchFolder()
        let path = "\(folder.path)/log"
        let log = try EventLog(program: "smtp", destination: .file(path), followsNameEvery: 0)
        let other = try EventLog(program: "smtp", destination: .file(path), followsNameEvery: EventLog.lookInterval)
        log.info("one")
        other.info("one")
        try #require(rename(path, "\(path).1") == 0)
        // It has just looked.
        other.info("two")
        log.info("three")
        #expect(folder.read("log.1")?.split(separator: "\n").count == 3)
        #expect(folder.read("log")?.contains("info three") == true)
        try #require(unlink(path) == 0)
        log.info("four")
        #expect(folder.read("log")?.hasSuffix("info four\n") == true)
    }

    @Test("lines of a batch are written together: at the flush, or when they have become many")
    func batch() throws {
        let folder = try ScratchFolder()
        let log = try EventLog(program: "test", destination: .file("\(folder.path)/log"))
        let batch = LogBatch(log)
        #expect(batch.isEmpty)
        batch.info("refused", ["n": "1"])
        batch.info("refused", ["n": "2"])
        #expect(!batch.isEmpty && folder.read("log") == "")
        batch.flush()
        batch.flush()
        #expect(batch.isEmpty && folder.read("log")?.split(separator: "\n").count == 2)
        for _ in 0..<200 { batch.info("refused", ["text": String(repeating: "x", count: 300)]) }
        let written = try #require(folder.read("log"))
        #expect(written.utf8.count > LogBatch.limit && written.hasSuffix("\n"))
        let quiet = LogBatch(try EventLog(program: "test", destination: .file("\(folder.path)/q"), level: .notice))
        quiet.info("refused")
        #expect(quiet.isEmpty)
    }

    @Test("a log that cannot be opened is an error; one that cannot be opened again stays")
    func errors() throws {
        let folder = try ScratchFolder()
        let error = try #require(throws: EventLogError.self) {
            try EventLog(program: "x", destination: .file("\(folder.path)/none/log"))
        }
        #expect(error.code == ENOENT && error.description.contains("none/log"))
        try #require(mkdir("\(folder.path)/d", 0o700) == 0)
        let log = try EventLog(program: "x", destination: .file("\(folder.path)/d/log"))
        try #require(rename("\(folder.path)/d", "\(folder.path)/e") == 0)
        log.reopen()
        log.info("still")
        #expect(folder.read("e/log")?.hasSuffix("info still\n") == true)
    }
}
