import CPosix
import Glibc
import Synchronization
import Telemetry
import Testing

enum Outcome: String, MetricLabel {
    case accepted
    case refused
    case notStored = "not-stored"
}

@Suite("Metrics") struct MetricsTests {
    @Test("all kinds are written as Prometheus reads them")
    func kinds() throws {
        let counter = MetricCounter("a_total", "All of them.")
        counter.add()
        counter.add(41)
        let counters = MetricCounters<Outcome>("b_total", "outcome", "By outcome.")
        counters.add(.notStored, 3)
        let gauge = MetricGauge("c", "Now.")
        gauge.add(5)
        gauge.add(-7)
        let reading = MetricReading("d_oldest_seconds", "Read.") { 9 }
        let histogram = MetricHistogram("e_seconds", "Time.", bounds: [1, 250, 2000])
        for milliseconds in [0, 1, 2, 250, 251, 1999, 2001, -5] { histogram.observe(milliseconds: Int64(milliseconds)) }
        let table = MetricTable("f", .gauge, ["channel", "state"], "Table.")
        table.replace([(["smtp", "active"], 3), (["a\"\\\nb\u{1b}", "held"], 4)])
        let text = Metrics([counter, counters, gauge, reading, histogram, table]).text
        let parsed = try ExpositionParser(text)
        #expect(parsed["a_total"] == 42)
        #expect(parsed["b_total", ["outcome": "not-stored"]] == 3 && parsed["b_total", ["outcome": "accepted"]] == 0)
        #expect(counters[.notStored] == 3)
        #expect(parsed["c"] == -2 && parsed["d_oldest_seconds"] == 9)
        #expect(parsed["e_seconds_bucket", ["le": "0.001"]] == 3)
        #expect(parsed["e_seconds_bucket", ["le": "0.25"]] == 5)
        #expect(parsed["e_seconds_bucket", ["le": "2"]] == 7)
        #expect(parsed["e_seconds_bucket", ["le": "+Inf"]] == 8 && parsed["e_seconds_count"] == 8)
        #expect(parsed["e_seconds_sum"] == 4.504)
        #expect(parsed["f", ["channel": "smtp", "state": "active"]] == 3)
        #expect(parsed["f", ["channel": "a\"\\\nb?", "state": "held"]] == 4)
        #expect(parsed.kinds["f"] == "gauge" && parsed.kinds["a_total"] == "counter")
    }

    @Test("adds of many threads are all counted")
    func threads() throws {
        let counter = MetricCounter("a_total", "x")
        let histogram = MetricHistogram("b_seconds", "x")
        let done = Atomic<Int>(0)
        for _ in 0..<4 {
            runOnThread {
                for _ in 0..<50_000 {
                    counter.add()
                    histogram.observe(microseconds: 3000)
                }
                done.add(1, ordering: .releasing)
            }
        }
        while done.load(ordering: .acquiring) < 4 { usleep(1000) }
        #expect(counter.value == 200_000)
        #expect(try ExpositionParser(Metrics([histogram]).text)["b_seconds_count"] == 200_000)
    }

    @Test("a table has an end, whatever the configuration says")
    func bounded() throws {
        let table = MetricTable("a_total", .counter, ["channel"], "x")
        for number in 0..<1000 { table.add(["c\(number)"]) }
        let parsed = try ExpositionParser(Metrics([table]).text)
        #expect(parsed.samples.count == MetricTable.maximumRows + 1)
        #expect(parsed["a_total", ["channel": "other"]] == Double(1000 - MetricTable.maximumRows))
    }

    @Test("texts of several programs are added up; of ages the largest counts")
    func sums() throws {
        var all = MetricText()
        let one = """
            # HELP a_total Counted so far, all of it.
            # TYPE a_total counter
            a_total{x="1 2"} 3
            a_total{x="b"} 1
            # HELP q_oldest_seconds Age.
            # TYPE q_oldest_seconds gauge
            q_oldest_seconds 7
            # HELP h_seconds H.
            # TYPE h_seconds histogram
            h_seconds_bucket{le="1"} 1
            h_seconds_bucket{le="+Inf"} 2
            h_seconds_sum 1.5
            h_seconds_count 2

            """
        let other = one.replacing("x=\"b\"", with: "x=\"c\"").replacing("seconds 7", with: "seconds 4")
        let taken = [one, other, "HTTP/1.1 500\nno metrics 5\n", ""].map { all.add($0) }
        #expect(taken == [true, true, false, false])
        let parsed = try ExpositionParser(all.text)
        #expect(parsed["a_total", ["x": "1 2"]] == 6)
        #expect(parsed["a_total", ["x": "b"]] == 1 && parsed["a_total", ["x": "c"]] == 1)
        #expect(parsed["q_oldest_seconds"] == 7)
        #expect(parsed["h_seconds_bucket", ["le": "+Inf"]] == 4 && parsed["h_seconds_sum"] == 3)
        #expect(all.text.contains("# HELP a_total Counted so far, all of it.\n"))
    }

    @Test("a program without an end of samples is cut off")
    func endless() {
        var all = MetricText()
        var text = "# HELP a x\n# TYPE a gauge\n"
        for number in 0..<(MetricText.maximumSamples + 500) { text += "a{n=\"\(number)\"} 1\n" }
        all.add(text)
        #expect(all.text.split(separator: "\n").count == MetricText.maximumSamples + 2)
    }

    static let hasParser = Python.run("import prometheus_client", "") != nil

    @Test("Prometheus's own library reads it", .enabled(if: hasParser))
    func library() throws {
        let histogram = MetricHistogram("e_seconds", "Time.", bounds: MetricHistogram.slow)
        histogram.observe(milliseconds: 70_000)
        let counters = MetricCounters<Outcome>("b_total", "outcome", "By outcome.")
        counters.add(.refused, 7)
        let table = MetricTable("f", .gauge, ["channel", "state"], "Table.")
        table.replace([(["x\"\\\ny", "held"], 4)])
        var all = MetricText()
        all.add(Metrics([histogram, counters, table]).text)
        all.add(Metrics([histogram, counters]).text)
        let script = """
            import sys
            from prometheus_client.parser import text_string_to_metric_families
            for family in text_string_to_metric_families(sys.stdin.read()):
                for s in family.samples:
                    print(family.type, s.name, sorted(s.labels.items()), float(s.value))
            """
        let output = try #require(Python.run(script, all.text))
        #expect(output.contains("counter b_total [('outcome', 'refused')] 14.0"))
        #expect(output.contains("histogram e_seconds_bucket [('le', '60')] 0.0"))
        #expect(output.contains("histogram e_seconds_bucket [('le', '300')] 2.0"))
        #expect(output.contains("histogram e_seconds_sum [] 140.0"))
        #expect(output.contains("gauge f [('channel', 'x\"\\\\\\ny'), ('state', 'held')] 4.0"))
    }
}

enum Python {
    /// Standard output; `nil` if it failed.
    static func run(_ script: String, _ input: String) -> String? {
        var template = Array("/tmp/zm-metrics-XXXXXX".utf8CString)
        guard mkdtemp(&template) != nil else { return nil }
        let folder = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
        defer {
            for name in ["script", "in", "out"] { unlink("\(folder)/\(name)") }
            rmdir(folder)
        }
        for (name, text) in [("script", script), ("in", input)] {
            guard let file = fopen("\(folder)/\(name)", "w") else { return nil }
            fputs(text, file)
            fclose(file)
        }
        guard system("python3 \(folder)/script < \(folder)/in > \(folder)/out 2>/dev/null") == 0,
            let file = fopen("\(folder)/out", "r")
        else { return nil }
        defer { fclose(file) }
        var buffer = [UInt8](repeating: 0, count: 1 << 20)
        return String(decoding: buffer[..<fread(&buffer, 1, buffer.count, file)], as: UTF8.self)
    }
}

private final class Body {
    let run: @Sendable () -> Void
    init(_ run: @escaping @Sendable () -> Void) { self.run = run }
}

func runOnThread(_ run: @escaping @Sendable () -> Void) {
    var thread = pthread_t()
    pthread_create(
        &thread, nil,
        { raw in
            if let raw { Unmanaged<Body>.fromOpaque(raw).takeRetainedValue().run() }
            return nil
        }, Unmanaged.passRetained(Body(run)).toOpaque())
    pthread_detach(thread)
}
