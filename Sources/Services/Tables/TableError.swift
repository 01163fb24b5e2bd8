/// A mistake in a table: where it is and what would be valid.
public struct TableError: Error, Hashable, Sendable, CustomStringConvertible {
    public let file: String
    /// 1-based; 0 for the file as a whole.
    public let line: Int
    /// The key of the entry, empty if there is none yet.
    public let key: String
    public let reason: String

    public init(file: String, line: Int, key: String = "", reason: String) {
        self.file = file
        self.line = line
        self.key = key
        self.reason = reason
    }

    public var description: String {
        "\(file)\(line > 0 ? ":\(line)" : "")\(key.isEmpty ? "" : ": \(key)"): \(reason)"
    }
}

/// All mistakes of one table, reported together.
public struct TableErrors: Error, Hashable, Sendable, CustomStringConvertible {
    public let errors: [TableError]
    public init(_ errors: [TableError]) { self.errors = errors }
    public var description: String { errors.map(\.description).joined(separator: "\n") }
}

/// A table has no version that can be used now: whoever asks gets a temporary failure.
public struct TableTrouble: Error, Hashable, Sendable, CustomStringConvertible {
    public let description: String
    public init(_ description: String) { self.description = description }
}
