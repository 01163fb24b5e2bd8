import MailModel

/// A pattern as a shell's: `*`, `?`, `[a-z]`, `[!a-z]`, and `\` before a character that stands for itself. Matches the
/// whole text, ASCII letters without regard to case.
public struct GlobPattern: Hashable, Sendable, CustomStringConvertible {
    private enum Element: Hashable, Sendable {
        case octet(UInt8)
        case anyOctet
        case anyRun
        case set([ClosedRange<UInt8>], isNegated: Bool)

        func matches(_ octet: UInt8) -> Bool {
            switch self {
            case .octet(let mine): mine == octet
            case .anyOctet: true
            case .anyRun: false
            case .set(let ranges, let isNegated): ranges.contains { $0.contains(octet) } != isNegated
            }
        }
    }

    public let description: String
    private let elements: [Element]

    public init(_ text: String) {
        description = text
        var elements: [Element] = []
        let bytes = Array(asciiLowercased(text).utf8)
        var index = 0
        while index < bytes.count {
            let byte = bytes[index]
            index += 1
            switch byte {
            case UInt8(ascii: "*"):
                if elements.last != .anyRun { elements.append(.anyRun) }
            case UInt8(ascii: "?"):
                elements.append(.anyOctet)
            case UInt8(ascii: "\\") where index < bytes.count:
                elements.append(.octet(bytes[index]))
                index += 1
            case UInt8(ascii: "["):
                if let (set, end) = Self.set(bytes, index) {
                    elements.append(set)
                    index = end
                } else {
                    elements.append(.octet(byte))
                }
            default:
                elements.append(.octet(byte))
            }
        }
        self.elements = elements
    }

    /// Matches just this text, ASCII letters in any case.
    public init(literal text: String) {
        description = text
        elements = asciiLowercased(text).utf8.map { .octet($0) }
    }

    /// The set that begins behind `[`; `nil` if it has no end, and then `[` stands for itself.
    private static func set(_ bytes: [UInt8], _ start: Int) -> (Element, Int)? {
        var index = start
        let isNegated = index < bytes.count && (bytes[index] == UInt8(ascii: "!") || bytes[index] == UInt8(ascii: "^"))
        if isNegated { index += 1 }
        let first = index
        var ranges: [ClosedRange<UInt8>] = []
        while index < bytes.count {
            var low = bytes[index]
            if low == UInt8(ascii: "]"), index > first { return (.set(ranges, isNegated: isNegated), index + 1) }
            if low == UInt8(ascii: "\\"), index + 1 < bytes.count {
                index += 1
                low = bytes[index]
            }
            index += 1
            if index + 1 < bytes.count, bytes[index] == UInt8(ascii: "-"), bytes[index + 1] != UInt8(ascii: "]") {
                let high = bytes[index + 1]
                if low <= high { ranges.append(low...high) }
                index += 2
            } else {
                ranges.append(low...low)
            }
        }
        return nil
    }

    /// `octets` must be in lower case. Time is bounded by the product of both lengths.
    public func matches(_ octets: [UInt8]) -> Bool {
        var element = 0
        var position = 0
        // Where to go on when what follows the last `*` did not match.
        var retry: (element: Int, position: Int)?
        while position < octets.count {
            if element < elements.count, elements[element] == .anyRun {
                retry = (element + 1, position)
                element += 1
            } else if element < elements.count, elements[element].matches(octets[position]) {
                element += 1
                position += 1
            } else if let last = retry {
                retry = (last.element, last.position + 1)
                element = last.element
                position = last.position + 1
            } else {
                return false
            }
        }
        while element < elements.count, elements[element] == .anyRun { element += 1 }
        return element == elements.count
    }
}

/// A line of `smtpserver.conf` that is no PARAM: which style holds for clients with such a HELO (smtpserver(8), `-s`).
public struct HelloPattern: Hashable, Sendable {
    public enum Effect: Hashable, Sendable {
        /// Letters of `-s`, or `strict`, `sloppy`, `-`.
        case style(String)
        /// Refused with this text; it may be empty.
        case refuse(String)
    }

    public let pattern: GlobPattern
    /// The load average above which the client is told to come later; `nil`: none.
    public let maximumLoad: Int?
    public let effect: Effect

    /// Letters of the style flags that this version gives a meaning.
    public static let styleLetters = "ftveRSh"

    public init(_ pattern: GlobPattern, maximumLoad: Int? = nil, effect: Effect) {
        self.pattern = pattern
        self.maximumLoad = maximumLoad
        self.effect = effect
    }

    /// Why `text` is no style; `nil` if it is one.
    public static func styleProblem(_ text: some StringProtocol) -> String? {
        if text == "strict" || text == "sloppy" || text == "-" { return nil }
        for letter in text where !styleLetters.contains(letter) {
            switch letter {
            case "F": return "style letter 'F' is not available: each sender is always checked"
            case "T": return "style letter 'T' is not available: each recipient is always checked"
            case "D": return "style letter 'D' is not available: an aborted message leaves no file"
            default: break
            }
            return "'\(text)' is no style; valid are letters of \(styleLetters), or strict, sloppy, -"
        }
        return text.isEmpty ? "a style is missing; valid are letters of \(styleLetters), or strict, sloppy, -" : nil
    }
}
