/// `name`, `name=value`, `name="value with blanks"`.
struct SchedulerToken {
    var name: String
    var value: String?
    /// As it stood, quotes removed.
    var text: String

    static func isName(_ text: some StringProtocol) -> Bool {
        !text.isEmpty && text.utf8.allSatisfy { (48...57).contains($0) || (65...90).contains($0 & 0xdf) || $0 == 0x5f }
    }

    /// `#` begins a comment at the start of a word.
    static func split(_ line: Substring) -> Result<[SchedulerToken], SchedulerProblem> {
        var tokens: [SchedulerToken] = []
        var rest = line
        while true {
            rest = rest.drop { $0 == " " || $0 == "\t" || $0 == "\r" }
            guard let first = rest.first, first != "#" else { return .success(tokens) }
            var text = ""
            var equals: String.Index?
            while let character = rest.first, character != " ", character != "\t", character != "\r" {
                rest = rest.dropFirst()
                switch character {
                case "\"", "'":
                    guard let close = rest.firstIndex(of: character) else {
                        return .failure(SchedulerProblem("the quote \(character) is not closed"))
                    }
                    text += rest[..<close]
                    rest = rest[rest.index(after: close)...]
                case "=" where equals == nil:
                    equals = text.endIndex
                    text.append("=")
                default: text.append(character)
                }
            }
            if let equals {
                tokens.append(
                    SchedulerToken(
                        name: String(text[..<equals]), value: String(text[text.index(after: equals)...]), text: text))
            } else {
                tokens.append(SchedulerToken(name: text, value: nil, text: text))
            }
        }
    }
}

/// Why a word of scheduler.conf is wrong.
struct SchedulerProblem: Error {
    let reason: String
    init(_ reason: String) { self.reason = reason }
}
