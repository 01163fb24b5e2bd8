/// Reading lines as octets. `String.split` and `firstIndex(of:)` compare Characters, and a combining mark behind a blank or
/// an `=` makes one Character with it: an address that begins with such a mark would hide the separator before it.
/// Octets have no such surprise and are ten times as fast.
public enum Octets {
    /// The index of the first `byte`.
    public static func index(of byte: UInt8, in octets: ArraySlice<UInt8>) -> Int? {
        let start = octets.startIndex
        return octets.withUnsafeBufferPointer { buffer in
            var index = 0
            while index < buffer.count {
                if buffer[index] == byte { return start + index }
                index += 1
            }
            return nil
        }
    }

    /// The parts between separators, empty ones included. With a `limit` the last part holds the rest; it is at least 1.
    public static func split(
        _ octets: ArraySlice<UInt8>, at separator: UInt8, limit: Int = .max
    ) -> [ArraySlice<UInt8>] {
        var parts: [ArraySlice<UInt8>] = []
        var start = octets.startIndex
        while parts.count + 1 < limit, let end = index(of: separator, in: octets[start...]) {
            parts.append(octets[start..<end])
            start = end + 1
        }
        parts.append(octets[start...])
        return parts
    }

    /// The parts between separators, one after the other, without an array of them; nothing behind a separator at the end.
    public struct Fields {
        private var rest: ArraySlice<UInt8>
        private let separator: UInt8

        public init(_ octets: ArraySlice<UInt8>, separator: UInt8) {
            rest = octets
            self.separator = separator
        }

        public mutating func next() -> ArraySlice<UInt8>? {
            guard !rest.isEmpty else { return nil }
            let end = Octets.index(of: separator, in: rest) ?? rest.endIndex
            let field = rest[..<end]
            rest = end < rest.endIndex ? rest[(end + 1)...] : rest[end...]
            return field
        }
    }

    /// Parts that are not empty, between blanks and TABs.
    public static func words(_ octets: ArraySlice<UInt8>) -> [ArraySlice<UInt8>] {
        var words: [ArraySlice<UInt8>] = []
        var start = octets.startIndex
        for index in octets.indices where octets[index] == 0x20 || octets[index] == 0x09 {
            if index > start { words.append(octets[start..<index]) }
            start = index + 1
        }
        if start < octets.endIndex { words.append(octets[start...]) }
        return words
    }

    /// A number of decimal digits only, without sign; `nil` for anything else and for what `UInt64` cannot hold.
    public static func unsigned(_ octets: ArraySlice<UInt8>) -> UInt64? {
        guard (1...20).contains(octets.count) else { return nil }
        var value: UInt64 = 0
        for byte in octets {
            guard (0x30...0x39).contains(byte) else { return nil }
            let (product, overflow) = value.multipliedReportingOverflow(by: 10)
            let (sum, carry) = product.addingReportingOverflow(UInt64(byte - 0x30))
            if overflow || carry { return nil }
            value = sum
        }
        return value
    }

    /// Digits, with a `-` in front of a negative number; `nil` for anything else and for what `Int` cannot hold.
    public static func decimal(_ octets: ArraySlice<UInt8>) -> Int? {
        guard octets.first == UInt8(ascii: "-") else { return unsigned(octets).flatMap { Int(exactly: $0) } }
        return unsigned(octets.dropFirst()).flatMap { Int(exactly: $0) }.map { -$0 }
    }

    public static func text(_ octets: ArraySlice<UInt8>) -> String { String(decoding: octets, as: UTF8.self) }

    /// Whether the octets are those of `text`.
    public static func equal(_ octets: ArraySlice<UInt8>, _ text: StaticString) -> Bool {
        guard octets.count == text.utf8CodeUnitCount else { return false }
        return hasPrefix(octets, text)
    }

    /// Whether the octets begin with those of `text`, letters compared without regard to case if asked.
    public static func hasPrefix(_ octets: ArraySlice<UInt8>, _ text: StaticString, anyCase: Bool = false) -> Bool {
        guard octets.count >= text.utf8CodeUnitCount else { return false }
        var index = octets.startIndex
        for expected in UnsafeBufferPointer(start: text.utf8Start, count: text.utf8CodeUnitCount) {
            var byte = octets[index]
            if anyCase, (0x61...0x7a).contains(expected | 0x20), byte | 0x20 == expected | 0x20 { byte = expected }
            if byte != expected { return false }
            index += 1
        }
        return true
    }

    /// Appends the decimal digits.
    public static func append(_ number: UInt64, to octets: inout [UInt8]) {
        guard number > 9 else { return octets.append(0x30 + UInt8(number)) }
        let start = octets.count
        var rest = number
        while rest > 0 {
            octets.append(0x30 + UInt8(rest % 10))
            rest /= 10
        }
        octets[start...].reverse()
    }

    /// `text` with each control octet (below 32, and 127) made a space: nothing in it can end a line or a field.
    public static func cleaned(_ text: String) -> String {
        var octets: [UInt8] = []
        octets.reserveCapacity(text.utf8.count)
        return append(cleaned: text, to: &octets) ? String(decoding: octets, as: UTF8.self) : text
    }

    /// The same, appended; `true` if there was something to clean.
    @discardableResult
    public static func append(cleaned text: String, to octets: inout [UInt8]) -> Bool {
        let start = octets.count
        octets.append(contentsOf: text.utf8)
        return octets.withUnsafeMutableBufferPointer { buffer in
            var isChanged = false
            for index in start..<buffer.count where buffer[index] < 0x20 || buffer[index] == 0x7f {
                buffer[index] = 0x20
                isChanged = true
            }
            return isChanged
        }
    }
}
