/// A DBTYPE of zmailer.conf and of the command lines.
public enum DatabaseType: String, Hashable, Sendable, CaseIterable {
    /// A GDBM file, `<basename>.gdbm`.
    case gdbm
    /// No database: whoever uses the text reads it as it is. `makedb` checks it.
    case text

    /// Types of ZMailer that this system does not have; what they name is built as GDBM.
    public static let replaced = ["btree", "ndbm", "dbm", "bhash"]

    /// By name, in any case.
    public init?(name: String) {
        let name = name.lowercased()
        if Self.replaced.contains(name) {
            self = .gdbm
        } else {
            self.init(rawValue: name)
        }
    }

    /// What to tell whoever named a type that is not the one he gets; `nil`: it is.
    public static func note(name: String) -> String? {
        guard replaced.contains(name.lowercased()) else { return nil }
        return "'\(name)' is not in this system; built and read as gdbm"
    }

    /// For usage texts and mistakes.
    public static let listing =
        "gdbm, text (no database, only checked); \(replaced.joined(separator: ", ")) stand for gdbm"

    /// Of the file.
    public var suffix: String {
        switch self {
        case .gdbm: ".gdbm"
        case .text: ""
        }
    }
}
