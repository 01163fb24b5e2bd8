/// Metrics of several programs as one text: what they call alike is added up; of ages and times the largest counts.
public struct MetricText: Sendable {
    private struct Family {
        var help: String
        var kind: String
        /// By name and labels as they stand, in the order in which they came.
        var samples: [String: Double] = [:]
        var order: [String] = []
    }

    private var families: [String: Family] = [:]
    private var names: [String] = []

    /// Families, and samples of all of them; more of a program are passed over.
    public static let maximumSamples = 20_000

    public init() {}

    private var count = 0

    /// Takes the text of one program. What is no metric in it is passed over. - Returns: whether there was anything.
    @discardableResult
    public mutating func add(_ text: String) -> Bool {
        var family = ""
        var found = false
        for line in text.split(separator: "\n") {
            let words = line.split(separator: " ", maxSplits: 3)
            if line.hasPrefix("# HELP "), words.count >= 3 {
                family = String(words[2])
                begin(family, help: words.count > 3 ? String(words[3]) : "")
            } else if line.hasPrefix("# TYPE "), words.count == 4, String(words[2]) == family {
                families[family]?.kind = String(words[3])
            } else if !line.hasPrefix("#"), let blank = line.lastIndex(of: " "), line.hasPrefix(family),
                !family.isEmpty,
                let value = Double(line[line.index(after: blank)...])
            {
                found = true
                add(String(line[..<blank]), value, to: family)
            }
        }
        return found
    }

    private mutating func begin(_ name: String, help: String) {
        guard families[name] == nil else { return }
        families[name] = Family(help: help, kind: "untyped")
        names.append(name)
    }

    private mutating func add(_ sample: String, _ value: Double, to name: String) {
        guard var family = families.removeValue(forKey: name) else { return }
        if let before = family.samples[sample] {
            family.samples[sample] = Self.isLargest(name) ? max(before, value) : before + value
        } else if count < Self.maximumSamples {
            count += 1
            family.samples[sample] = value
            family.order.append(sample)
        }
        families[name] = family
    }

    private static func isLargest(_ name: String) -> Bool {
        name.hasSuffix("_oldest_seconds") || name.hasSuffix("_timestamp_seconds") || name.hasSuffix("_state")
    }

    public var text: String {
        var out = ""
        for name in names {
            guard let family = families[name] else { continue }
            out += "# HELP \(name) \(family.help)\n# TYPE \(name) \(family.kind)\n"
            for sample in family.order { out += "\(sample) \(Self.number(family.samples[sample] ?? 0))\n" }
        }
        return out
    }

    /// Whole numbers without a fraction, up to 2^53 exactly.
    static func number(_ value: Double) -> String {
        value.rounded() == value && abs(value) < 9e15 ? String(Int64(value)) : String(value)
    }
}
