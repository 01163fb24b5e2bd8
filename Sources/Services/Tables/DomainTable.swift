import MailModel
import Policy

/// Domains and what is said of them: `localnames`, `routes`. Keys are a domain, `.suffix` for a domain and
/// all below it, an address literal, or `.` for everything else.
public struct DomainTable: Hashable, Sendable {
    public struct Entry: Hashable, Sendable {
        /// The second column, empty if there is none.
        public let value: String
        /// 1-based.
        public let line: Int
    }

    /// What an entry looks like.
    public struct Form: Sendable {
        public enum Value: Sendable { case none, optional, required }
        let value: Value
        /// Whether `.`, everything else, is a key.
        let allowsDefault: Bool
        /// Why a value is wrong and what would be valid, `nil` if it is right.
        let check: @Sendable (String) -> String?

        public init(_ value: Value, allowsDefault: Bool, check: @escaping @Sendable (String) -> String? = { _ in nil })
        {
            self.value = value
            self.allowsDefault = allowsDefault
            self.check = check
        }
    }

    /// Lower-case keys; U-labels are A-labels.
    public private(set) var entries: [String: Entry] = [:]
    private var hasSuffixes = false

    public init() {}

    public static func parse(_ octets: [UInt8], file: String, form: Form) throws(TableErrors) -> DomainTable {
        let text = TableText(octets, file: file)
        var errors = text.errors
        var table = DomainTable()
        for line in text.lines {
            let words = TableText.words(line.text)
            guard let first = words.first else { continue }
            func fail(_ reason: String) {
                errors.append(TableError(file: file, line: line.number, key: first, reason: reason))
            }
            guard let key = key(first) else {
                fail("is no domain; valid are example.org, .example.org and [192.0.2.1]")
                continue
            }
            if key == ".", !form.allowsDefault {
                fail("would stand for every domain there is; valid are example.org and .example.org")
                continue
            }
            let value = words.dropFirst().joined(separator: " ")
            switch form.value {
            case .none where !value.isEmpty:
                fail("is followed by '\(value)'; valid is one domain a line")
                continue
            case .optional where words.count > 2:
                fail("has more than two columns")
                continue
            case .required where value.isEmpty:
                fail("has no value; valid is: domain channel!nexthop")
                continue
            case .none, .optional, .required: break
            }
            if !value.isEmpty, let reason = form.check(value) {
                fail(reason)
                continue
            }
            if let earlier = table.entries[key] {
                if earlier.value != value { fail("stands with another value on line \(earlier.line)") }
                continue
            }
            table.entries[key] = Entry(value: value, line: line.number)
            if key.utf8.first == UInt8(ascii: ".") { table.hasSuffixes = true }
        }
        guard errors.isEmpty else { throw TableErrors(errors.sorted { $0.line < $1.line }) }
        return table
    }

    private static func key(_ word: String) -> String? {
        if word == "." { return word }
        if word.utf8.first == UInt8(ascii: ".") { return DomainName(word.dropFirst()).map { ".\($0.lookupName)" } }
        return MailDomain(word)?.lookupName
    }

    /// The first that is there of `foo.bar.edu`, `.foo.bar.edu`, `.bar.edu`, `.edu`, `.` (router.md §4, order "pathalias").
    /// `key` as ``MailDomain/lookupName``; of an address literal only itself and `.`.
    public func lookup(_ key: String) -> Entry? {
        if let entry = entries[key] { return entry }
        guard hasSuffixes else { return nil }
        if key.utf8.first != UInt8(ascii: "[") {
            var suffix = ".\(key)"[...]
            while true {
                if let entry = entries[String(suffix)] { return entry }
                guard let dot = suffix.utf8.dropFirst().firstIndex(of: UInt8(ascii: ".")) else { break }
                suffix = suffix[dot...]
            }
        }
        return entries["."]
    }
}
