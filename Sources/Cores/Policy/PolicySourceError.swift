/// A mistake in a policy source.
public struct PolicySourceError: Error, Hashable, Sendable, CustomStringConvertible {
    public let file: String
    /// From 1.
    public let line: Int
    /// The first word of the line, empty if it could not be read.
    public let key: String
    /// What is wrong, and what would be valid.
    public let reason: String

    public init(file: String, line: Int, key: String, reason: String) {
        self.file = file
        self.line = line
        self.key = key
        self.reason = reason
    }

    public var description: String {
        "\(file):\(line): \(key.isEmpty ? "" : "\(key.prefix(Self.shownKey))\(key.count > Self.shownKey ? "…" : ""): ")\(reason)"
    }

    /// Characters of a key that a message shows: a line without blanks would fill the log.
    private static let shownKey = 100
}

/// All mistakes of a source; at least one.
public struct PolicySourceErrors: Error, Hashable, Sendable, CustomStringConvertible {
    public let errors: [PolicySourceError]

    public init(_ errors: [PolicySourceError]) { self.errors = errors }

    public var description: String { errors.map(\.description).joined(separator: "\n") }
}
