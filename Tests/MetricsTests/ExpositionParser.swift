import Testing

/// A strict reader of Prometheus's text format, version 0.0.4: what it does not know it refuses.
struct ExpositionParser {
    struct Sample: Hashable {
        var name: String
        var labels: [String: String]
        var value: Double
    }
    struct Failure: Error, CustomStringConvertible {
        let description: String
    }

    private(set) var kinds: [String: String] = [:]
    private(set) var samples: [Sample] = []

    init(_ text: String) throws {
        if !text.isEmpty, !text.hasSuffix("\n") { throw Failure(description: "the last line has no end") }
        var helps: Set<String> = []
        var current = ""
        for line in text.split(separator: "\n", omittingEmptySubsequences: false).dropLast() {
            if line.hasPrefix("# HELP ") {
                let words = line.dropFirst(7).split(separator: " ", maxSplits: 1)
                guard words.count == 2, Self.isName(words[0]), helps.insert(String(words[0])).inserted else {
                    throw Failure(description: "HELP: \(line)")
                }
                current = String(words[0])
            } else if line.hasPrefix("# TYPE ") {
                let words = line.dropFirst(7).split(separator: " ")
                guard words.count == 2, words[0] == current, kinds[current] == nil,
                    ["counter", "gauge", "histogram"].contains(words[1])
                else { throw Failure(description: "TYPE: \(line)") }
                kinds[current] = String(words[1])
            } else {
                let sample = try Self.sample(line)
                let names =
                    kinds[current] == "histogram" ? ["_bucket", "_sum", "_count"].map { current + $0 } : [current]
                guard names.contains(sample.name) else { throw Failure(description: "not of \(current): \(line)") }
                if samples.contains(where: { $0.name == sample.name && $0.labels == sample.labels }) {
                    throw Failure(description: "twice: \(line)")
                }
                samples.append(sample)
            }
        }
        for (name, kind) in kinds where kind == "histogram" { try checkHistogram(name) }
        for (name, kind) in kinds where kind == "counter" {
            guard name.hasSuffix("_total") else { throw Failure(description: "\(name) does not end in _total") }
        }
    }

    subscript(name: String, labels: [String: String] = [:]) -> Double? {
        samples.first { $0.name == name && $0.labels == labels }?.value
    }

    private func checkHistogram(_ name: String) throws {
        let buckets = samples.filter { $0.name == "\(name)_bucket" }
        let values = buckets.map(\.value)
        guard buckets.last?.labels["le"] == "+Inf", values == values.sorted(), self["\(name)_count"] == values.last,
            self["\(name)_sum"] != nil
        else { throw Failure(description: "histogram \(name)") }
        let bounds = buckets.dropLast().compactMap { $0.labels["le"].flatMap(Double.init) }
        guard bounds.count == buckets.count - 1, bounds == bounds.sorted() else {
            throw Failure(description: "bounds of \(name)")
        }
    }

    private static func isName(_ name: some StringProtocol) -> Bool {
        guard let first = name.unicodeScalars.first, first.properties.isAlphabetic || first == "_" else { return false }
        return name.utf8.allSatisfy {
            (48...57).contains($0) || (65...90).contains($0) || (97...122).contains($0) || $0 == 95
        }
    }

    private static func sample(_ line: Substring) throws -> Sample {
        let end = line.firstIndex { $0 == "{" || $0 == " " } ?? line.endIndex
        let name = line[..<end]
        guard isName(name) else { throw Failure(description: "name: \(line)") }
        var rest = line[end...]
        var labels: [String: String] = [:]
        if rest.first == "{" {
            rest.removeFirst()
            while rest.first != "}" {
                guard let equals = rest.firstIndex(of: "="), isName(rest[..<equals]) else {
                    throw Failure(description: "label: \(line)")
                }
                let label = String(rest[..<equals])
                rest = rest[rest.index(after: equals)...]
                guard rest.first == "\"" else { throw Failure(description: "quote: \(line)") }
                rest.removeFirst()
                var value = ""
                while let character = rest.first, character != "\"" {
                    rest.removeFirst()
                    if character == "\\" {
                        guard let escaped = rest.first, ["\\", "\"", "n"].contains(escaped) else {
                            throw Failure(description: "escape: \(line)")
                        }
                        value.append(escaped == "n" ? "\n" : escaped)
                        rest.removeFirst()
                    } else {
                        value.append(character)
                    }
                }
                guard rest.first == "\"", labels[label] == nil else { throw Failure(description: "end: \(line)") }
                labels[label] = value
                rest.removeFirst()
                if rest.first == "," { rest.removeFirst() }
            }
            rest.removeFirst()
        }
        guard rest.first == " ", let value = Double(rest.dropFirst()) else {
            throw Failure(description: "value: \(line)")
        }
        return Sample(name: String(name), labels: labels, value: value)
    }
}
