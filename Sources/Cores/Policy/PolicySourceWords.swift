import MailModel

/// The words of a source line; kept between lines for its memory.
struct PolicySourceWords {
    /// Where a line comes from.
    struct Origin {
        var file: ArraySlice<UInt8>
        var line: Int

        /// `file:line`, at most ``PolicyKey/maximumLength`` octets.
        var octets: [UInt8] {
            var octets = Array(file.prefix(PolicyKey.maximumLength - 20))
            octets.append(UInt8(ascii: ":"))
            octets.append(contentsOf: String(line).utf8)
            return octets
        }
    }

    /// Without the quotes of a quoted value.
    private(set) var list: [Range<Int>] = []
    /// Indices of words with a backslash in them, which stands before a quote or another backslash.
    private var escaped: [Int] = []

    /// The words, and the origin if a mark at the end of the line tells it. The result is what is wrong, if anything.
    mutating func split(_ octets: ArraySlice<UInt8>, _ origin: inout Origin) -> String? {
        list.removeAll(keepingCapacity: true)
        escaped.removeAll(keepingCapacity: true)
        let base = octets.startIndex
        var problem: String?
        var comment: Int?
        octets.withUnsafeBufferPointer { buffer in
            var index = 0
            while index < buffer.count {
                let byte = buffer[index]
                if byte == 0x20 || byte == 0x09 || byte == 0x0d {
                    index += 1
                } else if byte == UInt8(ascii: "#") {
                    comment = index
                    return
                } else if byte == UInt8(ascii: "\"") {
                    let start = index
                    index += 1
                    var hasEscape = false
                    while index < buffer.count, buffer[index] != UInt8(ascii: "\"") {
                        if buffer[index] == UInt8(ascii: "\\"), index + 1 < buffer.count {
                            hasEscape = true
                            index += 1
                        }
                        index += 1
                    }
                    guard index < buffer.count else {
                        problem = "a quote is not closed"
                        return
                    }
                    index += 1
                    if list.isEmpty {
                        // A key such as "john doe"@example.org keeps its quotes.
                        while index < buffer.count, !Self.isBlank(buffer[index]) { index += 1 }
                        list.append((base + start)..<(base + index))
                        continue
                    }
                    guard index == buffer.count || Self.isBlank(buffer[index]) else {
                        problem = "a blank must follow a closing quote"
                        return
                    }
                    if hasEscape { escaped.append(list.count) }
                    list.append((base + start + 1)..<(base + index - 1))
                } else {
                    let start = index
                    while index < buffer.count, !Self.isBlank(buffer[index]) { index += 1 }
                    list.append((base + start)..<(base + index))
                }
            }
        }
        if let comment { Self.readMark(octets[(base + comment)...], &origin) }
        return problem
    }

    /// Without its escaping backslashes.
    func value(_ index: Int, _ octets: ArraySlice<UInt8>) -> ArraySlice<UInt8> {
        let word = octets[list[index]]
        guard escaped.contains(index) else { return word }
        var plain: [UInt8] = []
        var isEscaped = false
        for byte in word {
            if byte == UInt8(ascii: "\\"), !isEscaped {
                isEscaped = true
            } else {
                plain.append(byte)
                isEscaped = false
            }
        }
        return plain[...]
    }

    private static func isBlank(_ byte: UInt8) -> Bool { byte == 0x20 || byte == 0x09 || byte == 0x0d }

    /// `#@file:7` and nothing behind it; any other comment tells nothing.
    private static func readMark(_ comment: ArraySlice<UInt8>, _ origin: inout Origin) {
        guard Octets.hasPrefix(comment, "#@") else { return }
        var mark = comment.dropFirst(2)
        while let last = mark.last, isBlank(last) { mark.removeLast() }
        guard let colon = mark.lastIndex(of: UInt8(ascii: ":")), colon > mark.startIndex,
            let line = Octets.decimal(mark[(colon + 1)...]), line > 0
        else { return }
        origin = Origin(file: mark[..<colon], line: line)
    }

    /// `#@line 7 "file"`.
    static func lineMark(_ octets: ArraySlice<UInt8>) -> (file: String, line: Int)? {
        guard Octets.hasPrefix(octets, "#@line ") else { return nil }
        let parts = Octets.split(octets, at: 0x20, limit: 3)
        guard parts.count == 3, let line = Octets.decimal(parts[1]), line > 0 else { return nil }
        let file = parts[2].filter { $0 != UInt8(ascii: "\"") && $0 != 0x0d }
        return file.isEmpty ? nil : (Octets.text(file[...]), line)
    }
}
