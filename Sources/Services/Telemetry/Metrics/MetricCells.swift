import Synchronization

/// Numbers that any thread adds to without a lock: an add costs one atomic instruction.
///
/// Sound as `@unchecked Sendable`: the memory is made and let go with this object, and touched by atomic operations alone.
final class MetricCells: @unchecked Sendable {
    let count: Int
    private let cells: UnsafeMutablePointer<Atomic<Int64>>

    init(_ count: Int) {
        self.count = count
        cells = .allocate(capacity: count)
        for index in 0..<count { (cells + index).initialize(to: Atomic(0)) }
    }

    deinit {
        for index in 0..<count { (cells + index).deinitialize(count: 1) }
        cells.deallocate()
    }

    func add(_ value: Int64, at index: Int) { cells[index].wrappingAdd(value, ordering: .relaxed) }
    func set(_ value: Int64, at index: Int) { cells[index].store(value, ordering: .relaxed) }
    subscript(index: Int) -> Int64 { cells[index].load(ordering: .relaxed) }
}

/// A value of a label: a case of a closed enum, so that what a stranger sends can never become one.
public protocol MetricLabel: CaseIterable, Hashable, Sendable, RawRepresentable<String> {}

extension MetricLabel {
    /// Its place among all of them.
    static func places() -> [Self: Int] {
        var places: [Self: Int] = [:]
        for (index, value) in allCases.enumerated() { places[value] = index }
        return places
    }
}

/// Something that writes itself in Prometheus's text format, version 0.0.4.
public protocol MetricFamily: Sendable {
    func append(to text: inout MetricWriter)
}

/// Text of metrics. Names and labels are ours; values of labels are escaped all the same.
public struct MetricWriter: Sendable {
    public private(set) var text = ""

    public init() {}

    public enum Kind: String, Sendable { case counter, gauge, histogram }

    public mutating func begin(_ name: String, _ kind: Kind, _ help: String) {
        text += "# HELP \(name) \(help)\n# TYPE \(name) \(kind.rawValue)\n"
    }

    public mutating func sample(_ name: String, _ labels: [(name: String, value: String)], _ value: String) {
        text += name
        if !labels.isEmpty {
            text += "{"
            for (index, label) in labels.enumerated() {
                text += "\(index > 0 ? "," : "")\(label.name)=\"\(Self.escaped(label.value))\""
            }
            text += "}"
        }
        text += " \(value)\n"
    }

    static func escaped(_ value: String) -> String {
        guard value.utf8.contains(where: { $0 == 0x22 || $0 == 0x5c || $0 < 0x20 || $0 == 0x7f }) else { return value }
        var out = ""
        for scalar in value.unicodeScalars {
            switch scalar {
            case "\"": out += "\\\""
            case "\\": out += "\\\\"
            case "\n": out += "\\n"
            default: out.unicodeScalars.append(scalar.value < 0x20 || scalar.value == 0x7f ? "?" : scalar)
            }
        }
        return out
    }
}
