import Foundation

/// A piece of a row's text: octets, with places that are filled when the row is played.
///
/// `\r \n \t \0 \\ \{ \xNN` are octets; `{id}` is the word that this playing of the row is known by, `{n}` the number of the
/// round of a `repeat`, `{text*N}` the text N times, `{base64:text}` its octets in base64, `{in:N}` the time in N seconds as
/// RFC 3339 §5.6 writes it.
struct ConformanceTemplate: Hashable, Sendable {
    private indirect enum Part: Hashable, Sendable {
        case octets([UInt8])
        case id
        case round
        case base64(ConformanceTemplate)
        case time(after: Int)
    }

    private var parts: [Part] = []

    init(octets: [UInt8]) { parts = [.octets(octets)] }

    /// The whole of `text`.
    init(_ text: some StringProtocol) throws(ConformanceMistake) {
        var rest = Array(text.utf8)[...]
        while let octet = rest.popFirst() {
            switch octet {
            case UInt8(ascii: "\\"): append([try Self.escaped(&rest)])
            case UInt8(ascii: "{"): try appendPlace(&rest)
            default: append([octet])
            }
        }
    }

    static func + (left: Self, right: [UInt8]) -> Self {
        var result = left
        result.append(right)
        return result
    }

    static func + (left: Self, right: Self) -> Self {
        var result = left
        result.parts += right.parts
        return result
    }

    private mutating func append(_ octets: [UInt8]) {
        if case .octets(let known)? = parts.last {
            parts[parts.count - 1] = .octets(known + octets)
        } else {
            parts.append(.octets(octets))
        }
    }

    private static func escaped(_ rest: inout ArraySlice<UInt8>) throws(ConformanceMistake) -> UInt8 {
        switch rest.popFirst() {
        case UInt8(ascii: "r"): return 13
        case UInt8(ascii: "n"): return 10
        case UInt8(ascii: "t"): return 9
        case UInt8(ascii: "0"): return 0
        case UInt8(ascii: "\\"): return UInt8(ascii: "\\")
        case UInt8(ascii: "{"): return UInt8(ascii: "{")
        case UInt8(ascii: "x"):
            let digits = String(decoding: rest.prefix(2), as: UTF8.self)
            guard digits.utf8.count == 2, let octet = UInt8(digits, radix: 16) else {
                throw ConformanceMistake("\\x\(digits): two hexadecimal digits must follow \\x")
            }
            rest.removeFirst(2)
            return octet
        case let other:
            let character = other.map { String(decoding: [$0], as: UTF8.self) } ?? ""
            throw ConformanceMistake("\\\(character): valid are \\r \\n \\t \\0 \\\\ \\{ \\xNN")
        }
    }

    private mutating func appendPlace(_ rest: inout ArraySlice<UInt8>) throws(ConformanceMistake) {
        guard let end = rest.firstIndex(of: UInt8(ascii: "}")) else {
            throw ConformanceMistake("{ without }; a brace itself is \\{")
        }
        let text = String(decoding: rest[..<end], as: UTF8.self)
        rest = rest[(end + 1)...]
        if text == "id" {
            parts.append(.id)
        } else if text == "n" {
            parts.append(.round)
        } else if text.hasPrefix("base64:") {
            parts.append(.base64(try ConformanceTemplate(text.dropFirst(7))))
        } else if text.hasPrefix("in:"), let seconds = Int(text.dropFirst(3)) {
            parts.append(.time(after: seconds))
        } else if let star = text.lastIndex(of: "*"), let count = Int(text[text.index(after: star)...]),
            (0...2_000_000).contains(count)
        {
            let repeated = try ConformanceTemplate(text[..<star])
            guard repeated.parts.count == 1, case .octets(let octets) = repeated.parts[0] else {
                throw ConformanceMistake("{\(text)}: only text without places can be repeated")
            }
            append(Array((0..<count).map { _ in octets }.joined()))
        } else {
            throw ConformanceMistake("{\(text)}: valid are {id} {n} {base64:text} {in:N} {text*N}")
        }
    }

    /// With `{n}` filled in.
    func inRound(_ round: Int) -> Self {
        var result = self
        result.parts = parts.map { part in
            switch part {
            case .round: .octets(Array(String(round).utf8))
            case .base64(let inner): .base64(inner.inRound(round))
            case .octets, .id, .time: part
            }
        }
        return result
    }

    func octets(id: String) -> [UInt8] {
        var result: [UInt8] = []
        for part in parts {
            switch part {
            case .octets(let octets): result += octets
            case .id: result += Array(id.utf8)
            case .round: result += Array("{n}".utf8)
            case .time(let seconds):
                let date = Date(timeIntervalSinceNow: TimeInterval(seconds))
                result += Array(ISO8601DateFormatter().string(from: date).utf8)
            case .base64(let inner): result += Array(Data(inner.octets(id: id)).base64EncodedString().utf8)
            }
        }
        return result
    }
}

/// What is wrong with a row's text, and what would be valid.
struct ConformanceMistake: Error, Hashable, CustomStringConvertible {
    let description: String
    init(_ description: String) { self.description = description }
}
