import MailModel

/// `users`: names of mailboxes, one a line (`ACCOUNTS=file:PATH`). Found without regard to ASCII case, kept as written.
public struct NameTable: Hashable, Sendable {
    public struct Entry: Hashable, Sendable {
        public let name: String
        /// 1-based.
        public let line: Int
    }

    /// In the order of the file.
    public private(set) var names: [Entry] = []
    private var index: [String: Int] = [:]

    public init() {}

    /// Octets of one name.
    public static let maximumNameLength = 64

    public static func parse(_ octets: [UInt8], file: String) throws(TableErrors) -> NameTable {
        let text = TableText(octets, file: file)
        var errors = text.errors
        var table = NameTable()
        for line in text.lines {
            let words = TableText.words(line.text)
            guard let name = words.first else { continue }
            if words.count > 1 {
                errors.append(TableError(file: file, line: line.number, key: name, reason: "valid is one name a line"))
            } else if !isValid(name) {
                errors.append(
                    TableError(
                        file: file, line: line.number, key: name,
                        reason: "is no user name; valid are letters, digits, '.', '_', '-' and UTF-8, "
                            + "not a dot first, at most \(maximumNameLength) octets"))
            } else if table.index[asciiLowercased(name)] == nil {
                table.index[asciiLowercased(name)] = table.names.count
                table.names.append(Entry(name: name, line: line.number))
            }
        }
        guard errors.isEmpty else { throw TableErrors(errors.sorted { $0.line < $1.line }) }
        return table
    }

    /// A name becomes part of a path, so nothing in it may lead elsewhere.
    static func isValid(_ name: String) -> Bool {
        let bytes = name.utf8
        guard (1...maximumNameLength).contains(bytes.count), bytes.first != UInt8(ascii: ".") else { return false }
        return bytes.allSatisfy { byte in
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "."), UInt8(ascii: "_"), UInt8(ascii: "-"), 0x80...:
                true
            default: false
            }
        }
    }

    public func lookup(_ name: String) -> Entry? { index[asciiLowercased(name)].map { names[$0] } }
}
