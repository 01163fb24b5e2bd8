import MailModel
import Routing

/// What a `.forward` file says (forward(5)): targets, one or several with commas a line; a line that begins with `#` is a comment.
struct ForwardText: Hashable {
    /// In order, none twice.
    private(set) var targets: [AliasTarget] = []

    /// Octets of a file.
    static let maximumSize = 64 * 1024
    /// Of all files that one delivery reads.
    static let maximumTargets = 100

    struct Problem: Error, Hashable {
        /// 1-based.
        let line: Int
        let reason: String
    }

    init(_ octets: [UInt8]) throws(Problem) {
        var number = 0
        for raw in octets.split(separator: 0x0a, omittingEmptySubsequences: false) {
            number += 1
            guard let text = String(validating: raw, as: UTF8.self) else {
                throw Problem(line: number, reason: "is not UTF-8")
            }
            let line = Self.trimmed(text)
            if line.isEmpty || line.hasPrefix("#") { continue }
            for word in try Self.split(line, number) {
                guard let target = AliasTarget(word) else {
                    throw Problem(line: number, reason: "'\(word.prefix(200))': \(AliasTarget.validForms)")
                }
                if case .name(let local) = target, local.text.contains("/") {
                    throw Problem(line: number, reason: "'\(word.prefix(200))': a file is named by its absolute path")
                }
                if targets.contains(target) { continue }
                guard targets.count < Self.maximumTargets else {
                    throw Problem(line: number, reason: "more than \(Self.maximumTargets) targets")
                }
                targets.append(target)
            }
        }
    }

    /// Parts between commas outside of double quotes, unwrapped.
    private static func split(_ line: String, _ number: Int) throws(Problem) -> [String] {
        var words: [String] = []
        var current: [UInt8] = []
        var isQuoted = false
        var isEscaped = false
        for octet in Array(line.utf8) + [UInt8(ascii: ",")] {
            if isEscaped {
                isEscaped = false
            } else if octet == UInt8(ascii: "\\"), isQuoted {
                isEscaped = true
            } else if octet == UInt8(ascii: "\"") {
                isQuoted.toggle()
            } else if octet == UInt8(ascii: ","), !isQuoted {
                let word = unwrapped(trimmed(String(decoding: current, as: UTF8.self)))
                if !word.isEmpty { words.append(word) }
                current.removeAll()
                continue
            }
            current.append(octet)
        }
        guard !isQuoted else { throw Problem(line: number, reason: "a double quote is not closed") }
        return words
    }

    /// `"|program a"`, `|"program a"`, `"/file"`, `"\user"` and `":include:/list"` without the quotes; `"quoted local"@domain` keeps
    /// them.
    private static func unwrapped(_ word: String) -> String {
        let octets = Array(word.utf8)
        guard octets.count > 2, octets.last == UInt8(ascii: "\"") else { return word }
        let isPiped = octets.starts(with: "|\"".utf8)
        let isWhole = octets[0] == UInt8(ascii: "\"") && "|/:\\".utf8.contains(octets[1])
        guard isPiped || isWhole else { return word }
        var inner: [UInt8] = isPiped ? [UInt8(ascii: "|")] : []
        var index = isPiped ? 2 : 1
        while index < octets.count - 1 {
            // A user's mark is no escape.
            if octets[index] == UInt8(ascii: "\\"), index > 1, index + 2 < octets.count { index += 1 }
            inner.append(octets[index])
            index += 1
        }
        return String(decoding: inner, as: UTF8.self)
    }

    private static func trimmed(_ text: String) -> String {
        var octets = Array(text.utf8)[...]
        while let last = octets.last, last == 0x20 || last == 0x09 || last == 0x0d { octets.removeLast() }
        return String(decoding: octets.drop { $0 == 0x20 || $0 == 0x09 }, as: UTF8.self)
    }
}
