import MailModel

/// `aliases`: `name: target, target…`; continuation lines are indented (router.md §4).
public struct AliasTable: Hashable, Sendable {
    public struct Entry: Hashable, Sendable {
        /// As written, but without the quotes around `"|command"` and `"/file"`.
        public let targets: [String]
        /// 1-based; of the line with the name.
        public let line: Int
    }

    /// Keys in lower case, without quotes.
    public private(set) var entries: [String: Entry] = [:]

    public init() {}

    /// `check` says why a target is wrong and what would be valid, `nil` if it is right.
    public static func parse(
        _ octets: [UInt8], file: String, check: (String) -> String? = { _ in nil }
    ) throws(TableErrors) -> AliasTable {
        let text = TableText(octets, file: file)
        var errors = text.errors
        var table = AliasTable()
        for (line, content) in joined(text.lines, file, &errors) {
            let (name, rest, problem) = key(content)
            func fail(_ reason: String) {
                errors.append(TableError(file: file, line: line, key: name, reason: reason))
            }
            if let problem {
                fail(problem)
                continue
            }
            if name.utf8.contains(UInt8(ascii: "@")) {
                fail("is an address; valid is a local part, for which every domain of localnames stands")
                continue
            }
            let list = TargetList.split(rest)
            if let problem = list.problem {
                fail(problem)
                continue
            }
            if list.targets.isEmpty {
                fail("has no target; valid is: name: target, target")
                continue
            }
            let wrong = list.targets.compactMap { target in check(target).map { "'\(target)' \($0)" } }
            for reason in wrong { fail(reason) }
            let key = asciiLowercased(name)
            if let earlier = table.entries[key] {
                fail("stands on line \(earlier.line) too")
            } else if wrong.isEmpty {
                table.entries[key] = Entry(targets: list.targets, line: line)
            }
        }
        guard errors.isEmpty else { throw TableErrors(errors.sorted { $0.line < $1.line }) }
        return table
    }

    /// Lines with their continuations.
    static func joined(
        _ lines: [TableText.Line], _ file: String, _ errors: inout [TableError]
    ) -> [(line: Int, text: String)] {
        var result: [(line: Int, text: String)] = []
        for line in lines {
            if !line.isIndented {
                result.append((line.number, line.text))
            } else if let last = result.popLast() {
                result.append((last.line, "\(last.text) \(line.text)"))
            } else {
                errors.append(
                    TableError(file: file, line: line.number, reason: "continues a line, but there is none before it"))
            }
        }
        return result
    }

    /// `name` or `"name"`, and what follows the colon.
    static func key(_ line: String) -> (name: String, rest: String, problem: String?) {
        let bytes = Array(line.utf8)
        var name: [UInt8] = []
        var index = 0
        if bytes.first == UInt8(ascii: "\"") {
            index = 1
            while index < bytes.count, bytes[index] != UInt8(ascii: "\"") {
                if bytes[index] == UInt8(ascii: "\\"), index + 1 < bytes.count { index += 1 }
                name.append(bytes[index])
                index += 1
            }
            guard index < bytes.count else { return (line, "", "the quote is not closed") }
            index += 1
            while index < bytes.count, TableText.isBlank(bytes[index]) { index += 1 }
        } else {
            while index < bytes.count, bytes[index] != UInt8(ascii: ":") {
                name.append(bytes[index])
                index += 1
            }
        }
        let text = TableText.trimmed(String(decoding: name, as: UTF8.self))
        guard index < bytes.count, bytes[index] == UInt8(ascii: ":") else {
            return (text, "", "has no colon; valid is: name: target, target")
        }
        if text.isEmpty { return (text, "", "the name is missing; valid is: name: target, target") }
        if bytes.first != UInt8(ascii: "\""), text.utf8.contains(where: TableText.isBlank) {
            return (text, "", "has blanks; a name with blanks needs double quotes")
        }
        return (text, String(decoding: bytes[(index + 1)...], as: UTF8.self), nil)
    }

    /// `name` without regard to ASCII case.
    public func lookup(_ name: String) -> Entry? { entries[asciiLowercased(name)] }
}

/// `:include:` files: addresses, one or several with commas a line, `#` comments.
public struct AddressListTable: Hashable, Sendable {
    public private(set) var targets: [String] = []

    public init() {}

    public static func parse(
        _ octets: [UInt8], file: String, check: (String) -> String? = { _ in nil }
    ) throws(TableErrors) -> AddressListTable {
        let text = TableText(octets, file: file)
        var errors = text.errors
        var table = AddressListTable()
        for line in text.lines {
            let list = TargetList.split(line.text)
            if let problem = list.problem {
                errors.append(TableError(file: file, line: line.number, reason: problem))
            }
            for target in list.targets {
                if let reason = check(target) {
                    errors.append(TableError(file: file, line: line.number, key: target, reason: reason))
                } else {
                    table.targets.append(target)
                }
            }
        }
        guard errors.isEmpty else { throw TableErrors(errors.sorted { $0.line < $1.line }) }
        return table
    }
}

/// Targets separated by commas outside double quotes.
enum TargetList {
    static func split(_ text: String) -> (targets: [String], problem: String?) {
        var targets: [String] = []
        var current: [UInt8] = []
        var isQuoted = false
        var isEscaped = false
        func finish() {
            let target = unwrapped(TableText.trimmed(String(decoding: current, as: UTF8.self)))
            if !target.isEmpty { targets.append(target) }
            current.removeAll()
        }
        for byte in text.utf8 {
            if isEscaped {
                isEscaped = false
            } else if byte == UInt8(ascii: "\\") {
                isEscaped = true
            } else if byte == UInt8(ascii: "\"") {
                isQuoted.toggle()
            } else if byte == UInt8(ascii: ","), !isQuoted {
                finish()
                continue
            }
            current.append(byte)
        }
        finish()
        return (targets, isQuoted ? "a double quote is not closed" : nil)
    }

    /// `"|program a"`, `|"program a"`, `"/file"`, `":include:/list"` without the quotes; `"quoted local"@domain` keeps them.
    private static func unwrapped(_ target: String) -> String {
        let bytes = Array(target.utf8)
        guard bytes.count > 2, bytes.last == UInt8(ascii: "\"") else { return target }
        let isPiped = bytes[0] == UInt8(ascii: "|") && bytes[1] == UInt8(ascii: "\"")
        let isWhole =
            bytes[0] == UInt8(ascii: "\"")
            && [UInt8(ascii: "|"), UInt8(ascii: "/"), UInt8(ascii: ":")].contains(bytes[1])
        guard isPiped || isWhole else { return target }
        var inner: [UInt8] = isPiped ? [UInt8(ascii: "|")] : []
        var index = isPiped ? 2 : 1
        while index < bytes.count - 1 {
            if bytes[index] == UInt8(ascii: "\\"), index + 2 < bytes.count { index += 1 }
            inner.append(bytes[index])
            index += 1
        }
        return String(decoding: inner, as: UTF8.self)
    }
}
