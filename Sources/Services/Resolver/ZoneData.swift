/// Local DNS data that answers instead of the network: the zones of a test instance, or an operator's private names.
///
/// Lines of the file (`#` starts a comment):
///
///     zone example.test. static
///     data "example.test. 300 IN MX 10 mail.example.test."
///
/// `zone` takes the local-zone types of unbound.conf(5): `static` answers NXDOMAIN for what the data does not hold, `transparent`
/// asks the network for it, `refuse` and `always_refuse` fail temporarily.
public struct ZoneData: Hashable, Sendable {
    public struct Zone: Hashable, Sendable {
        public let name: String
        public let type: String
    }
    public private(set) var zones: [Zone] = []
    /// Resource records in the form of master files.
    public private(set) var records: [String] = []

    public init() {}

    public var isEmpty: Bool { zones.isEmpty && records.isEmpty }

    /// Throws all errors at once, each with its line number.
    public init(parsing text: String, file: String = "zones") throws(ResolverError) {
        var errors: [String] = []
        var number = 0
        for line in text.split(separator: "\n", omittingEmptySubsequences: false) {
            number += 1
            let trimmed = Self.trimmed(line)
            if trimmed.isEmpty || trimmed.first == "#" { continue }
            let words = trimmed.split(maxSplits: 1, whereSeparator: \.isWhitespace)
            let argument = words.count == 2 ? Self.trimmed(words[1]) : ""
            switch words[0] {
            case "zone":
                let parts = argument.split(whereSeparator: \.isWhitespace)
                if parts.count == 2, Self.zoneTypes.contains(String(parts[1])) {
                    zones.append(Zone(name: String(parts[0]), type: String(parts[1])))
                } else {
                    let types = Self.zoneTypes.joined(separator: " ")
                    errors.append("\(file):\(number): zone needs a name and one of: \(types)")
                }
            case "data":
                var record = argument
                if record.count >= 2, record.first == "\"", record.last == "\"" {
                    record = record.dropFirst().dropLast()
                }
                if record.split(whereSeparator: \.isWhitespace).count >= 3 {
                    records.append(String(record))
                } else {
                    errors.append("\(file):\(number): data needs a record, as \"host.example. 300 IN A 192.0.2.1\"")
                }
            default:
                errors.append("\(file):\(number): unknown word '\(words[0])'; valid are zone and data")
            }
        }
        guard errors.isEmpty else { throw ResolverError(errors) }
    }

    private static let zoneTypes = [
        "static", "transparent", "typetransparent", "redirect", "refuse", "deny", "nodefault", "always_refuse",
        "always_nxdomain", "always_nodata", "always_deny",
    ]

    private static func trimmed(_ text: Substring) -> Substring {
        var text = text.drop(while: \.isWhitespace)
        while text.last?.isWhitespace == true { text.removeLast() }
        return text
    }
}

/// A configuration that the resolver cannot work with.
public struct ResolverError: Error, Hashable, CustomStringConvertible {
    /// One line each, for the operator.
    public let messages: [String]

    public init(_ messages: [String]) { self.messages = messages }

    public var description: String { messages.joined(separator: "\n") }
}
