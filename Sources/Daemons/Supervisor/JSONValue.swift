/// A JSON value (RFC 8259), for the queue socket's answers.
public enum JSONValue: Hashable, Sendable {
    case null
    case bool(Bool)
    case number(Double)
    case string(String)
    case array([JSONValue])
    case object([String: JSONValue])

    public struct SyntaxError: Error, Hashable, CustomStringConvertible {
        /// Octets before the place where it went wrong.
        public let offset: Int
        public let expected: String
        public var description: String { "JSON: \(expected) expected at octet \(offset)" }
    }

    /// Arrays and objects inside one another; more is an error and not a deep recursion.
    static let maximumDepth = 16

    public init(parsing text: some Collection<UInt8>) throws(SyntaxError) {
        var parser = JSONParser(octets: Array(text))
        self = try parser.document()
    }

    public subscript(key: String) -> JSONValue? {
        if case .object(let members) = self { members[key] } else { nil }
    }
    public var string: String? { if case .string(let text) = self { text } else { nil } }
    public var integer: Int? { if case .number(let value) = self { Int(exactly: value.rounded()) } else { nil } }
    public var elements: [JSONValue] { if case .array(let elements) = self { elements } else { [] } }

    /// Encoded; the members of an object by name.
    public var text: String {
        switch self {
        case .null: return "null"
        case .bool(let value): return value ? "true" : "false"
        case .number(let value): return Int(exactly: value).map(String.init) ?? String(value)
        case .string(let value): return Self.quoted(value)
        case .array(let elements): return "[" + elements.map(\.text).joined(separator: ",") + "]"
        case .object(let members):
            let pairs = members.sorted { $0.key < $1.key }.map { "\(Self.quoted($0.key)):\($0.value.text)" }
            return "{" + pairs.joined(separator: ",") + "}"
        }
    }

    private static func quoted(_ text: String) -> String {
        var out = "\""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\"": out += "\\\""
            case "\\": out += "\\\\"
            case "\u{0}"..<"\u{20}":
                let hex = String(scalar.value, radix: 16)
                out += "\\u" + String(repeating: "0", count: 4 - hex.count) + hex
            default: out.unicodeScalars.append(scalar)
            }
        }
        return out + "\""
    }
}

private struct JSONParser {
    let octets: [UInt8]
    private var position = 0

    init(octets: [UInt8]) { self.octets = octets }

    mutating func document() throws(JSONValue.SyntaxError) -> JSONValue {
        let value = try value(depth: 0)
        skipSpace()
        guard position == octets.count else { throw expected("the end") }
        return value
    }

    private func expected(_ what: String) -> JSONValue.SyntaxError { .init(offset: position, expected: what) }

    private var next: UInt8? { position < octets.count ? octets[position] : nil }

    private mutating func skipSpace() {
        while let octet = next, octet == 0x20 || octet == 0x09 || octet == 0x0a || octet == 0x0d { position += 1 }
    }

    private mutating func take(_ octet: UInt8) -> Bool {
        guard next == octet else { return false }
        position += 1
        return true
    }

    private mutating func literal(_ text: StaticString, _ value: JSONValue) throws(JSONValue.SyntaxError) -> JSONValue {
        let count = text.utf8CodeUnitCount
        let literal = UnsafeBufferPointer(start: text.utf8Start, count: count)
        guard octets[position...].prefix(count).elementsEqual(literal) else { throw expected("a value") }
        position += count
        return value
    }

    private mutating func value(depth: Int) throws(JSONValue.SyntaxError) -> JSONValue {
        guard depth <= JSONValue.maximumDepth else { throw expected("less depth") }
        skipSpace()
        switch next {
        case UInt8(ascii: "{"): return try object(depth: depth)
        case UInt8(ascii: "["): return try array(depth: depth)
        case UInt8(ascii: "\""): return .string(try string())
        case UInt8(ascii: "t"): return try literal("true", .bool(true))
        case UInt8(ascii: "f"): return try literal("false", .bool(false))
        case UInt8(ascii: "n"): return try literal("null", .null)
        default: return try number()
        }
    }

    private mutating func object(depth: Int) throws(JSONValue.SyntaxError) -> JSONValue {
        position += 1
        var members: [String: JSONValue] = [:]
        skipSpace()
        if take(UInt8(ascii: "}")) { return .object(members) }
        repeat {
            skipSpace()
            let key = try string()
            skipSpace()
            guard take(UInt8(ascii: ":")) else { throw expected("':'") }
            members[key] = try value(depth: depth + 1)
            skipSpace()
        } while take(UInt8(ascii: ","))
        guard take(UInt8(ascii: "}")) else { throw expected("',' or '}'") }
        return .object(members)
    }

    private mutating func array(depth: Int) throws(JSONValue.SyntaxError) -> JSONValue {
        position += 1
        var elements: [JSONValue] = []
        skipSpace()
        if take(UInt8(ascii: "]")) { return .array(elements) }
        repeat {
            elements.append(try value(depth: depth + 1))
            skipSpace()
        } while take(UInt8(ascii: ","))
        guard take(UInt8(ascii: "]")) else { throw expected("',' or ']'") }
        return .array(elements)
    }

    private mutating func number() throws(JSONValue.SyntaxError) -> JSONValue {
        let start = position
        while let octet = next, "+-.0123456789eE".utf8.contains(octet) { position += 1 }
        guard start < position, let value = Double(String(decoding: octets[start..<position], as: UTF8.self)) else {
            position = start
            throw expected("a value")
        }
        return .number(value)
    }

    private mutating func string() throws(JSONValue.SyntaxError) -> String {
        guard take(UInt8(ascii: "\"")) else { throw expected("a string") }
        var out: [UInt8] = []
        while let octet = next {
            position += 1
            switch octet {
            case UInt8(ascii: "\""): return String(decoding: out, as: UTF8.self)
            case UInt8(ascii: "\\"): out += String(Character(try escaped())).utf8
            case 0..<0x20: throw expected("no control character")
            default: out.append(octet)
            }
        }
        throw expected("the end of a string")
    }

    private mutating func escaped() throws(JSONValue.SyntaxError) -> Unicode.Scalar {
        guard let octet = next else { throw expected("an escape") }
        position += 1
        switch octet {
        case UInt8(ascii: "n"): return "\n"
        case UInt8(ascii: "t"): return "\t"
        case UInt8(ascii: "r"): return "\r"
        case UInt8(ascii: "b"): return "\u{8}"
        case UInt8(ascii: "f"): return "\u{c}"
        case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): return Unicode.Scalar(octet)
        case UInt8(ascii: "u"):
            let first = try hexadecimal()
            guard (0xd800..<0xdc00).contains(first) else { return Unicode.Scalar(first) ?? "\u{fffd}" }
            guard take(UInt8(ascii: "\\")), take(UInt8(ascii: "u")) else { throw expected("a low surrogate") }
            let second = try hexadecimal()
            guard (0xdc00..<0xe000).contains(second) else { throw expected("a low surrogate") }
            return Unicode.Scalar(0x10000 + (first - 0xd800) << 10 + (second - 0xdc00)) ?? "\u{fffd}"
        default: throw expected("an escape")
        }
    }

    private mutating func hexadecimal() throws(JSONValue.SyntaxError) -> UInt32 {
        let digits = String(decoding: octets[position...].prefix(4), as: UTF8.self)
        guard digits.utf8.count == 4, digits.allSatisfy(\.isHexDigit), let value = UInt32(digits, radix: 16) else {
            throw expected("four hexadecimal digits")
        }
        position += 4
        return value
    }
}
