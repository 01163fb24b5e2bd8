import Synchronization

/// A number that only grows.
public final class MetricCounter: MetricFamily {
    private let name: String
    private let help: String
    private let cells = MetricCells(1)

    /// `name` ends in `_total`.
    public init(_ name: String, _ help: String) {
        self.name = name
        self.help = help
    }

    public func add(_ count: Int = 1) { cells.add(Int64(count), at: 0) }
    public var value: Int64 { cells[0] }

    public func append(to text: inout MetricWriter) {
        text.begin(name, .counter, help)
        text.sample(name, [], "\(cells[0])")
    }
}

/// Counters by the value of a label.
public final class MetricCounters<Label: MetricLabel>: MetricFamily {
    private let name: String
    private let label: String
    private let help: String
    private let cells = MetricCells(Label.allCases.count)
    private let places = Label.places()

    public init(_ name: String, _ label: String, _ help: String) {
        self.name = name
        self.label = label
        self.help = help
    }

    public func add(_ value: Label, _ count: Int = 1) {
        if let place = places[value] { cells.add(Int64(count), at: place) }
    }

    public subscript(value: Label) -> Int64 { places[value].map { cells[$0] } ?? 0 }

    public func append(to text: inout MetricWriter) {
        text.begin(name, .counter, help)
        for (index, value) in Label.allCases.enumerated() {
            text.sample(name, [(label, value.rawValue)], "\(cells[index])")
        }
    }
}

/// A number that goes up and down.
public final class MetricGauge: MetricFamily {
    private let name: String
    private let help: String
    private let cells = MetricCells(1)

    public init(_ name: String, _ help: String) {
        self.name = name
        self.help = help
    }

    public func set(_ value: Int) { cells.set(Int64(value), at: 0) }
    public func add(_ value: Int) { cells.add(Int64(value), at: 0) }
    public var value: Int64 { cells[0] }

    public func append(to text: inout MetricWriter) {
        text.begin(name, .gauge, help)
        text.sample(name, [], "\(cells[0])")
    }
}

/// A number that is found out when somebody asks; `read` must not block.
public final class MetricReading: MetricFamily {
    private let name: String
    private let help: String
    private let read: @Sendable () -> Int

    public init(_ name: String, _ help: String, _ read: @escaping @Sendable () -> Int) {
        self.name = name
        self.help = help
        self.read = read
    }

    public func append(to text: inout MetricWriter) {
        text.begin(name, .gauge, help)
        text.sample(name, [], "\(read())")
    }
}

/// How long something takes.
public final class MetricHistogram: MetricFamily {
    private let name: String
    private let help: String
    /// Upper bounds in milliseconds, rising.
    private let bounds: [Int64]
    /// A cell for each bound, one for what is above all, and the sum in microseconds.
    private let cells: MetricCells

    /// Milliseconds: what happens within one machine.
    public static let fast: [Int64] = [1, 2, 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10_000, 60_000]
    /// Milliseconds: what waits for other hosts; up to five days.
    public static let slow: [Int64] = [
        50, 250, 1000, 5000, 15_000, 60_000, 300_000, 900_000, 3_600_000, 14_400_000, 86_400_000, 432_000_000,
    ]

    /// `name` ends in `_seconds`.
    public init(_ name: String, _ help: String, bounds: [Int64] = MetricHistogram.fast) {
        self.name = name
        self.help = help
        self.bounds = bounds
        cells = MetricCells(bounds.count + 2)
    }

    public func observe(milliseconds: Int64) { observe(microseconds: max(0, min(milliseconds, .max / 2000)) * 1000) }

    public func observe(microseconds: Int64) {
        let value = max(0, microseconds)
        let place = bounds.firstIndex { value <= $0 * 1000 } ?? bounds.count
        cells.add(1, at: place)
        cells.add(value, at: bounds.count + 1)
    }

    public func append(to text: inout MetricWriter) {
        text.begin(name, .histogram, help)
        var count: Int64 = 0
        for (index, bound) in bounds.enumerated() {
            count += cells[index]
            text.sample("\(name)_bucket", [("le", Self.seconds(bound * 1000))], "\(count)")
        }
        count += cells[bounds.count]
        text.sample("\(name)_bucket", [("le", "+Inf")], "\(count)")
        text.sample("\(name)_sum", [], Self.seconds(cells[bounds.count + 1]))
        text.sample("\(name)_count", [], "\(count)")
    }

    /// Microseconds as seconds, without zeros that say nothing: `0.25`.
    static func seconds(_ microseconds: Int64) -> String {
        var fraction = String(microseconds % 1_000_000)
        fraction = String(repeating: "0", count: 6 - fraction.count) + fraction
        while fraction.last == "0" { fraction.removeLast() }
        return fraction.isEmpty ? "\(microseconds / 1_000_000)" : "\(microseconds / 1_000_000).\(fraction)"
    }
}

/// Rows whose labels come from the configuration (channels), replaced or added to by one thread, at most ``maximumRows`` of them: what
/// comes later is counted under `other`.
public final class MetricTable: MetricFamily {
    public static let maximumRows = 64

    private let name: String
    private let kind: MetricWriter.Kind
    private let labels: [String]
    private let help: String
    private let rows = Mutex<[[String]: Int64]>([:])

    public init(_ name: String, _ kind: MetricWriter.Kind, _ labels: [String], _ help: String) {
        self.name = name
        self.kind = kind
        self.labels = labels
        self.help = help
    }

    /// For counters.
    public func add(_ values: [String], _ count: Int64 = 1) {
        rows.withLock { Self.add(values, count, to: &$0) }
    }

    /// For gauges: the whole table anew.
    public func replace(_ new: [(values: [String], value: Int64)]) {
        var table: [[String]: Int64] = [:]
        for (values, value) in new { Self.add(values, value, to: &table) }
        let result = table
        rows.withLock { $0 = result }
    }

    /// Only the first value, which is the configuration's, can become `other`: the rest are ours.
    private static func add(_ values: [String], _ count: Int64, to table: inout [[String]: Int64]) {
        var key = values
        if table[key] == nil, table.count >= maximumRows, !key.isEmpty { key[0] = "other" }
        table[key, default: 0] += count
    }

    public func append(to text: inout MetricWriter) {
        let rows = rows.withLock { $0 }
        text.begin(name, kind, help)
        for (values, value) in rows.sorted(by: { $0.key.lexicographicallyPrecedes($1.key) }) {
            text.sample(name, Array(zip(labels, values)).map { (name: $0, value: $1) }, "\(value)")
        }
    }
}
