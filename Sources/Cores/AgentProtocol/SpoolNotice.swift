import MailModel
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
        case .new(let directory, let ids):
            directory.isEmpty ? "NEW \(Self.names(ids))" : "NEW \(directory) \(Self.names(ids))"
        }
    }

    private static func names(_ ids: [SpoolID]) -> String {
        if ids.count == 1 { return ids[0].description }
        return ids.map(\.description).joined(separator: " ")
    }

    /// The scheduler's form `NEW <name>` has no directory. Unreadable text means ``scan``: a look costs little.
    public init(_ text: some StringProtocol) { self.init(octets: Array(text.utf8)[...]) }

    /// The same from octets. One name that cannot be read makes it a ``scan`` too: it stands for a file.
    public init(octets: ArraySlice<UInt8>) {
        let words = Octets.words(octets)
        guard words.count >= 2, Octets.equal(words[0], "NEW") else {
            self = .scan
            return
        }
        let hasDirectory = SpoolID(octets: words[1]) == nil
        let names = words.dropFirst(hasDirectory ? 2 : 1)
        let ids = names.compactMap { SpoolID(octets: $0) }
        if ids.isEmpty || ids.count < names.count {
            self = .scan
        } else {
            self = .new(directory: hasDirectory ? Octets.text(words[1]) : "", ids: ids)
        }
    }
}
