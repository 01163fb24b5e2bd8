import SpoolFormat

/// A datagram on `.router.notify` or `.scheduler.notify`: `NEW <directory> <name>…` (spool.md §8; several names are ours).
public enum SpoolNotice: Hashable, Sendable {
    case new(directory: String, ids: [SpoolID])
    /// Names were lost on the way: look through the directory.
    case scan

    /// Names in one datagram at most.
    public static let maximumNames = 256

    public var text: String {
        switch self {
        case .scan: "SCAN"
        case .new(let directory, let ids): "NEW \(directory) " + ids.map(\.description).joined(separator: " ")
        }
    }

    /// The scheduler's form `NEW <name>` has no directory. Unreadable text means ``scan``: a look costs little.
    public init(_ text: some StringProtocol) {
        let words = text.split(separator: " ")
        guard words.first == "NEW", words.count >= 2 else {
            self = .scan
            return
        }
        let hasDirectory = SpoolID(words[1]) == nil
        let ids = words.dropFirst(hasDirectory ? 2 : 1).compactMap { SpoolID($0) }
        self = ids.isEmpty ? .scan : .new(directory: hasDirectory ? String(words[1]) : "", ids: ids)
    }
}
