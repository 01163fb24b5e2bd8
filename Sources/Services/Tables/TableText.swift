import MailModel

/// The lines of a text table: comments and trailing blanks are gone, empty lines left out.
struct TableText {
    struct Line {
        /// 1-based.
        let number: Int
        /// Whether it begins with a blank.
        let isIndented: Bool
        let text: String
    }

    private(set) var lines: [Line] = []
    private(set) var errors: [TableError] = []

    /// A `#` begins a comment at the start of a line or behind a blank, outside double quotes.
    init(_ octets: [UInt8], file: String) {
        var number = 0
        // Some editors begin a file with a byte order mark; a part of the first name it would be otherwise.
        let content = octets.starts(with: Self.byteOrderMark) ? octets.dropFirst(Self.byteOrderMark.count) : octets[...]
        for raw in content.split(separator: 0x0a, omittingEmptySubsequences: false) {
            number += 1
            let content = Self.trimmed(raw[..<Self.commentStart(raw)])
            guard !content.isEmpty else { continue }
            guard let text = String(validating: content, as: UTF8.self) else {
                errors.append(TableError(file: file, line: number, reason: "is not UTF-8"))
                continue
            }
            guard !text.utf8.contains(where: { ($0 < 0x20 && $0 != 0x09) || $0 == 0x7f }) else {
                errors.append(TableError(file: file, line: number, reason: "holds a control character"))
                continue
            }
            let isIndented = raw.first == 0x20 || raw.first == 0x09
            lines.append(Line(number: number, isIndented: isIndented, text: text))
        }
    }

    private static let byteOrderMark: [UInt8] = [0xef, 0xbb, 0xbf]

    private static func commentStart(_ line: ArraySlice<UInt8>) -> Int {
        var isQuoted = false
        var previous: UInt8 = 0x20
        var index = line.startIndex
        while index < line.endIndex {
            let byte = line[index]
            if byte == UInt8(ascii: "\\"), isQuoted {
                index += 2
                previous = 0
                continue
            }
            if byte == UInt8(ascii: "\"") { isQuoted.toggle() }
            if byte == UInt8(ascii: "#"), !isQuoted, previous == 0x20 || previous == 0x09 { return index }
            previous = byte
            index += 1
        }
        return line.endIndex
    }

    static func isBlank(_ byte: UInt8) -> Bool { byte == 0x20 || byte == 0x09 || byte == 0x0d }

    private static func trimmed(_ octets: ArraySlice<UInt8>) -> ArraySlice<UInt8> {
        var view = octets.drop(while: isBlank)
        while let last = view.last, isBlank(last) { view.removeLast() }
        return view
    }

    /// The words of a line.
    static func words(_ text: String) -> [String] {
        text.utf8.split(whereSeparator: isBlank).map { String(Substring($0)) }
    }

    /// Without blanks at both ends.
    static func trimmed(_ text: some StringProtocol) -> String {
        String(decoding: trimmed(Array(text.utf8)[...]), as: UTF8.self)
    }
}
