/// A macro expansion (RFC 7208 §7.1 `macro-expand` with a letter).
struct SPFMacro: Hashable, Sendable {
    /// RFC 7208 §7.2.
    enum Letter: UInt8, Hashable, Sendable, CaseIterable {
        case sender = 0x73
        case localPart = 0x6c
        case senderDomain = 0x6f
        case domain = 0x64
        case address = 0x69
        case validatedName = 0x70
        case family = 0x76
        case helo = 0x68
        /// These three in explanation texts only.
        case readableAddress = 0x63
        case receiver = 0x72
        case time = 0x74

        var isForExplanations: Bool {
            switch self {
            case .readableAddress, .receiver, .time: true
            case .sender, .localPart, .senderDomain, .domain, .address, .validatedName, .family, .helo: false
            }
        }
    }
    var letter: Letter
    /// The letter was a capital: percent-encode the result (RFC 7208 §7.3).
    var isEscaped = false
    /// How many parts from the right are kept; `nil`: all.
    var count: Int?
    var isReversed = false
    /// `nil`: split at dots.
    var delimiters: [UInt8]?

    /// RFC 7208 §7.3: split, reverse, keep the right-hand parts, join with dots, escape.
    func transformed(_ value: [UInt8]) -> [UInt8] {
        var value = value
        if count != nil || isReversed || delimiters != nil {
            let delimiters = delimiters ?? [UInt8(ascii: ".")]
            var parts = value.split(omittingEmptySubsequences: false) { delimiters.contains($0) }
            if isReversed { parts.reverse() }
            if let count { parts = parts.suffix(count) }
            value = Array(parts.joined(separator: [UInt8(ascii: ".")]))
        }
        return isEscaped ? Self.percentEncoded(value) : value
    }

    /// All but the unreserved characters of RFC 3986 §2.3.
    private static func percentEncoded(_ value: [UInt8]) -> [UInt8] {
        let digits = Array("0123456789ABCDEF".utf8)
        var out: [UInt8] = []
        for octet in value {
            switch octet {
            case _ where SPFText.isLetterOrDigit(octet):
                out.append(octet)
            case UInt8(ascii: "-"), UInt8(ascii: "."), UInt8(ascii: "_"), UInt8(ascii: "~"):
                out.append(octet)
            default:
                out += [UInt8(ascii: "%"), digits[Int(octet >> 4)], digits[Int(octet & 15)]]
            }
        }
        return out
    }
}

/// A text with macros in it: a `domain-spec`, the value of a modifier, or an explanation (RFC 7208 §7.1).
public struct SPFMacroString: Hashable, Sendable {
    enum Piece: Hashable, Sendable {
        /// Not empty.
        case text([UInt8])
        case macro(SPFMacro)
    }
    /// What the text is for: which letters it may hold, whether spaces, and how it must end.
    public enum Purpose: Hashable, Sendable {
        case domain
        case modifierValue
        case explanation
    }
    let pieces: [Piece]

    public init(parsing octets: ArraySlice<UInt8>, as purpose: Purpose) throws(SPFSyntaxError) {
        var pieces: [Piece] = []
        var text: [UInt8] = []
        var index = octets.startIndex
        var tail = index
        while index < octets.endIndex {
            let octet = octets[index]
            guard octet == UInt8(ascii: "%") else {
                // macro-literal = %x21-24 / %x26-7E
                guard (0x21...0x7e).contains(octet) || octet == 0x20 && purpose == .explanation else {
                    throw SPFSyntaxError(.character, octets)
                }
                text.append(octet)
                index += 1
                continue
            }
            guard index + 1 < octets.endIndex else { throw SPFSyntaxError(.macro, octets) }
            switch octets[index + 1] {
            case UInt8(ascii: "%"): text.append(UInt8(ascii: "%"))
            case UInt8(ascii: "_"): text.append(0x20)
            case UInt8(ascii: "-"): text += Array("%20".utf8)
            case UInt8(ascii: "{"):
                guard let end = octets[index...].firstIndex(of: UInt8(ascii: "}")),
                    let macro = SPFMacro(parsing: octets[(index + 2)..<end]),
                    purpose != .domain || !macro.letter.isForExplanations
                else { throw SPFSyntaxError(.macro, octets) }
                if !text.isEmpty { pieces.append(.text(text)) }
                text = []
                pieces.append(.macro(macro))
                index = end - 1
            default: throw SPFSyntaxError(.macro, octets)
            }
            index += 2
            tail = index
        }
        if !text.isEmpty { pieces.append(.text(text)) }
        if purpose == .domain, !Self.isDomainEnd(octets[tail...], followsMacro: tail > octets.startIndex) {
            throw SPFSyntaxError(.domain, octets)
        }
        self.pieces = pieces
    }

    /// domain-end = ( "." toplabel [ "." ] ) / macro-expand
    private static func isDomainEnd(_ tail: ArraySlice<UInt8>, followsMacro: Bool) -> Bool {
        if tail.isEmpty { return followsMacro }
        let dot = UInt8(ascii: ".")
        let name = tail.last == dot ? tail.dropLast() : tail
        guard let lastDot = name.lastIndex(of: dot) else { return false }
        return isTopLabel(name[(lastDot + 1)...])
    }

    /// toplabel = ( *alphanum ALPHA *alphanum ) / ( 1*alphanum "-" *( alphanum / "-" ) alphanum )
    private static func isTopLabel(_ label: ArraySlice<UInt8>) -> Bool {
        let hyphen = UInt8(ascii: "-")
        guard let first = label.first, let last = label.last, first != hyphen, last != hyphen else { return false }
        return label.allSatisfy { SPFText.isLetterOrDigit($0) || $0 == hyphen } && !label.allSatisfy(SPFText.isDigit)
    }
}

extension SPFMacro {
    /// What stands between the braces: macro-letter transformers *delimiter
    init?(parsing octets: ArraySlice<UInt8>) {
        var rest = octets
        guard let first = rest.popFirst(), let letter = Letter(rawValue: SPFText.lowercased(first)) else { return nil }
        self.init(letter: letter, isEscaped: first != letter.rawValue)
        var digits = 0
        var number = 0
        while let digit = rest.first, SPFText.isDigit(digit) {
            // More parts than a name has labels are all parts; the number itself may be of any length.
            number = min(number * 10 + Int(digit - 0x30), 1000)
            digits += 1
            rest = rest.dropFirst()
        }
        if digits > 0 {
            guard number > 0 else { return nil }
            count = number
        }
        if let next = rest.first, SPFText.lowercased(next) == UInt8(ascii: "r") {
            isReversed = true
            rest = rest.dropFirst()
        }
        guard rest.allSatisfy({ Self.allDelimiters.contains($0) }) else { return nil }
        if !rest.isEmpty { delimiters = Self.allDelimiters.filter(rest.contains) }
    }

    private static let allDelimiters = Array(".-+,/_=".utf8)
}
