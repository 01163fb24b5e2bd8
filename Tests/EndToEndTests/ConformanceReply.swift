import Foundation

/// A reply as it came: all its lines, octets without CRLF.
struct ConformanceReply: CustomStringConvertible, Sendable {
    struct Line: Sendable {
        let code: String
        /// `-` or a blank; nil: the line ends behind the code.
        let separator: Character?
        /// `2.1.0`, if the text begins with one.
        let status: String?
        /// Behind code and status.
        let text: String
    }

    let lines: [Line]
    let description: String
    /// What RFC 5321 §4.2 and RFC 2034 §4 say of every reply and this one is not.
    let faults: [String]

    var code: String { lines.last?.code ?? "" }
    /// The texts of an EHLO reply behind its first line.
    var keywords: [String] { lines.dropFirst().map { $0.text.uppercased() } }

    /// - Parameters:
    ///   - octets: of all lines, line ends included.
    ///   - hasStatus: whether EHLO offered ENHANCEDSTATUSCODES to this client.
    ///   - hostName: the first word of the greeting; it begins also the replies to HELO and EHLO.
    init(_ octets: [[UInt8]], hasStatus: Bool, hostName: String) {
        var faults: [String] = []
        var lines: [Line] = []
        for line in octets {
            // RFC 5321 §4.5.3.1.5
            if line.count > 512 { faults.append("a reply line of \(line.count) octets; 512 are allowed") }
            guard line.count >= 2, line[line.count - 2] == 13 else {
                faults.append("a reply line without CRLF")
                continue
            }
            let content = line.dropLast(2)
            // RFC 5321 §4.2: textstring = 1*(%d09 / %d32-126)
            if let odd = content.first(where: { !(32...126).contains($0) && $0 != 9 }) {
                faults.append("octet \(odd) in a reply; 9 and 32 to 126 are allowed")
            }
            lines.append(Self.parsed(String(decoding: content, as: UTF8.self)))
        }
        for line in lines {
            // RFC 5321 §4.2: Reply-code = %x32-35 %x30-35 %x30-39
            let digits = Array(line.code.utf8)
            let isCode =
                digits.count == 3 && (0x32...0x35).contains(digits[0]) && (0x30...0x35).contains(digits[1])
                && (0x30...0x39).contains(digits[2])
            if !isCode { faults.append("\"\(line.code)\" is no reply code") }
            if line.code != lines[0].code { faults.append("the codes \(lines[0].code) and \(line.code) in one reply") }
            if let separator = line.separator, separator != " ", separator != "-" {
                faults.append("\"\(separator)\" behind the code")
            }
            if let status = line.status, status.first != line.code.first {
                faults.append("\(line.code) with \(status): the classes differ (RFC 2034 §4)")
            }
        }
        let isHello = lines.first.map { $0.code == "250" && ($0.text + " ").hasPrefix(hostName + " ") } ?? false
        if hasStatus, let first = lines.first, first.code.first != "3", first.code != "220", !isHello {
            if lines.contains(where: { $0.status == nil }) {
                faults.append("a line without an enhanced status code (RFC 2034 §4)")
            }
        }
        self.lines = lines
        self.faults = faults
        description = octets.map { line in
            String(decoding: line, as: UTF8.self).replacingOccurrences(of: "\r\n", with: "")
        }.joined(separator: " / ")
    }

    private static func parsed(_ text: String) -> Line {
        let code = String(text.prefix(3))
        var rest = text.dropFirst(3)
        let separator = rest.popFirst()
        let word = rest.prefix { $0 != " " }
        let numbers = word.split(separator: ".", omittingEmptySubsequences: false)
        guard numbers.count == 3, numbers.allSatisfy({ (1...3).contains($0.count) && $0.allSatisfy(\.isNumber) }),
            numbers[0].count == 1
        else { return Line(code: code, separator: separator, status: nil, text: String(rest)) }
        return Line(
            code: code, separator: separator, status: String(word), text: String(rest.dropFirst(word.count + 1)))
    }

    /// EHLO's keywords in the form that RFC 5321 §4.1.1.1 gives; nil if they have it.
    var keywordFault: String? {
        for line in lines.dropFirst() {
            let words = line.text.split(separator: " ", omittingEmptySubsequences: false)
            let keyword = words.first ?? ""
            let isKeyword =
                keyword.utf8.first.map { $0 != 0x2d } ?? false
                && keyword.utf8.allSatisfy {
                    (0x30...0x39).contains($0) || (0x41...0x5a).contains($0) || (0x61...0x7a).contains($0) || $0 == 0x2d
                }
            // AUTH=LOGIN is no keyword, and is what clients of the last century look for.
            if !isKeyword, !keyword.hasPrefix("AUTH=") { return "\"\(keyword)\" is no EHLO keyword" }
            if words.dropFirst().contains("") { return "an empty parameter of \(keyword)" }
        }
        return nil
    }
}

/// What a row expects of a reply: `550|553 5.1.x *text*`.
struct ConformanceReplyPattern: Hashable, Sendable, CustomStringConvertible {
    /// Each of three characters, `x` for any digit.
    private let codes: [String]
    /// Empty: not looked at.
    private let statuses: [[Substring]]
    /// Matches at least one line; nil: any.
    private let text: ConformanceGlob?
    let description: String

    init(_ pattern: String) throws(ConformanceMistake) {
        description = pattern
        let words = pattern.split(separator: " ", maxSplits: 1)
        codes = (words.first ?? "").split(separator: "|").map(String.init)
        let isValid = codes.allSatisfy { code in
            code.count == 3 && "2345".contains(code.first ?? "x") && code.allSatisfy { $0.isNumber || $0 == "x" }
        }
        guard !codes.isEmpty, isValid else {
            throw ConformanceMistake("\(pattern): a reply begins with a code, or some: 250, 5xx, 550|553")
        }
        var rest = words.count > 1 ? words[1] : ""
        let first = rest.prefix { $0 != " " }
        let statuses = first.split(separator: "|").map { $0.split(separator: ".") }
        if !statuses.isEmpty, statuses.allSatisfy({ Self.isStatus($0) }) {
            self.statuses = statuses
            rest = rest.dropFirst(first.count + 1)
        } else {
            self.statuses = []
        }
        text = rest.isEmpty ? nil : ConformanceGlob(String(rest))
    }

    private static func isStatus(_ numbers: [Substring]) -> Bool {
        numbers.count == 3 && numbers.allSatisfy { $0 == "x" || $0.allSatisfy(\.isNumber) }
            && "245".contains(numbers[0].first ?? "x")
    }

    /// Nil if it is as expected; else what is not.
    func fault(of reply: ConformanceReply, id: String) -> String? {
        guard codes.contains(where: { Self.isLike($0, reply.code) }) else { return "expected \(description)" }
        for line in reply.lines where !statuses.isEmpty {
            let numbers = (line.status ?? "").split(separator: ".")
            let isExpected = statuses.contains { status in
                numbers.count == 3 && zip(status, numbers).allSatisfy { $0 == "x" || $0 == $1 }
            }
            guard isExpected else { return "expected \(description)" }
        }
        guard let text else { return nil }
        return reply.lines.contains { text.matches($0.text, id: id) } ? nil : "no line like \"\(text)\""
    }

    private static func isLike(_ pattern: String, _ code: String) -> Bool {
        pattern.count == code.count && zip(pattern, code).allSatisfy { $0 == "x" || $0 == $1 }
    }
}

/// Text with `*` for anything, and `{id}`.
struct ConformanceGlob: Hashable, Sendable, CustomStringConvertible {
    let description: String
    init(_ pattern: String) { description = pattern }

    func matches(_ text: String, id: String) -> Bool {
        let pieces = description.replacingOccurrences(of: "{id}", with: id)
            .split(separator: "*", omittingEmptySubsequences: false)
        guard pieces.count > 1 else { return text == String(pieces.first ?? "") }
        guard text.hasPrefix(pieces[0]) else { return false }
        var rest = text.dropFirst(pieces[0].count)
        for piece in pieces.dropFirst().dropLast() where !piece.isEmpty {
            guard let found = rest.range(of: piece) else { return false }
            rest = rest[found.upperBound...]
        }
        return rest.hasSuffix(pieces[pieces.count - 1])
    }
}
