/// Which mail of the queue is meant, as it goes to the scheduler (docs/protocols.md §5). Words of one kind are alternatives, all kinds
/// must hold.
public struct QueueFilter: Hashable, Sendable {
    public var ids: [String] = []
    public var senders: [String] = []
    public var recipients: [String] = []
    public var hosts: [String] = []
    public var channels: [String] = []
    public var statuses: [String] = []
    public var older: String?
    public var younger: String?
    public var larger: String?
    public var smaller: String?
    /// Everything, said as such.
    public var isAll = false

    public init() {}

    /// Nothing is said.
    public var isEmpty: Bool { fields.isEmpty }

    /// Something besides ``isAll`` is said.
    public var selects: Bool { fields != (isAll ? ["all"] : []) }

    var fields: [String] {
        var fields: [String] = []
        func add(_ key: String, _ values: [String]) { fields += values.map { "\(key)=\($0)" } }
        add("id", ids)
        add("sender", senders)
        add("recipient", recipients)
        add("host", hosts)
        add("channel", channels)
        add("status", statuses)
        add("older", [older].compactMap { $0 })
        add("younger", [younger].compactMap { $0 })
        add("larger", [larger].compactMap { $0 })
        add("smaller", [smaller].compactMap { $0 })
        if isAll { fields.append("all") }
        return fields
    }
}

/// A question with fields. What would end a field or the line cannot stand in one.
enum QueueQuestion {
    struct Problem: Error, CustomStringConvertible {
        let field: String
        var description: String {
            "'\(QueueListing.printable(field))' holds a control character; valid are printable characters"
        }
    }

    /// Octets that the scheduler takes.
    static let maximumLength = 1 << 18

    static func line(_ words: [String], _ fields: [String]) throws(Problem) -> String {
        for field in words + fields where field.utf8.contains(where: { $0 < 0x20 || $0 == 0x7f }) {
            throw Problem(field: field)
        }
        // A TAB makes a question with fields of it, also where there are none.
        let parts = words + fields
        return parts.count == 1 ? "\(parts[0])\t" : parts.joined(separator: "\t")
    }
}
