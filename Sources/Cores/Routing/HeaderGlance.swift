/// What routing needs to know of a header section, found in one pass and without making a value of each field.
/// Agrees with `HeaderSection` about where the section ends.
public struct HeaderGlance: Hashable, Sendable {
    /// Index behind the header section: of the empty line, or of the first line that can be no field, or the end.
    public private(set) var end: Int
    /// Index of the first body octet.
    public private(set) var bodyStart: Int
    /// Whether the end of the section was seen; `false`: `octets` end within it.
    public private(set) var isComplete = false
    public private(set) var receivedCount = 0
    /// The body of the first `Message-Id` field, trimmed; empty if there is none.
    public private(set) var messageID = ""

    /// Octets of a Message-Id that are kept.
    public static let maximumMessageIDLength = 512

    public init(_ octets: [UInt8], from start: Int) {
        end = octets.count
        bodyStart = octets.count
        octets.withUnsafeBufferPointer { scan($0, from: start) }
    }

    private mutating func scan(_ octets: UnsafeBufferPointer<UInt8>, from start: Int) {
        var index = start
        var hasField = false
        var messageIDRange: Range<Int>?
        var isInMessageID = false
        while index < octets.count {
            var lineEnd = index
            while lineEnd < octets.count, octets[lineEnd] != 0x0a { lineEnd += 1 }
            let first = octets[index]
            if lineEnd == index || (first == 0x0d && lineEnd == index + 1) {
                end = index
                bodyStart = min(lineEnd + 1, octets.count)
                // A CR at the very end may be the first half of a line end.
                isComplete = lineEnd < octets.count
                break
            }
            if first == 0x20 || first == 0x09, hasField {
                if isInMessageID, let range = messageIDRange { messageIDRange = range.lowerBound..<lineEnd }
            } else if let (nameEnd, colon) = Self.name(octets, index..<lineEnd) {
                hasField = true
                isInMessageID = false
                switch nameEnd - index {
                case 8 where Self.equals(octets, index, "received"): receivedCount += 1
                case 10 where messageIDRange == nil && Self.equals(octets, index, "message-id"):
                    messageIDRange = (colon + 1)..<lineEnd
                    isInMessageID = true
                default: break
                }
            } else if lineEnd < octets.count {
                end = index
                bodyStart = index
                isComplete = true
                break
            }
            index = lineEnd + 1
        }
        if let messageIDRange { messageID = Self.trimmed(octets, messageIDRange) }
    }

    /// Where the field name ends and where its colon is, as `HeaderSection` reads them.
    private static func name(_ octets: UnsafeBufferPointer<UInt8>, _ line: Range<Int>) -> (end: Int, colon: Int)? {
        var nameEnd: Int?
        for index in line {
            switch octets[index] {
            case 0x3a: return index > line.lowerBound ? (nameEnd ?? index, index) : nil
            case 0x20, 0x09: if nameEnd == nil { nameEnd = index }
            case 0x21...0x7e: if nameEnd != nil { return nil }
            default: return nil
            }
        }
        return nil
    }

    private static func equals(_ octets: UnsafeBufferPointer<UInt8>, _ start: Int, _ name: StaticString) -> Bool {
        let wanted = UnsafeBufferPointer(start: name.utf8Start, count: name.utf8CodeUnitCount)
        for index in 0..<wanted.count {
            let byte = octets[start + index]
            if ((65...90).contains(byte) ? byte | 0x20 : byte) != wanted[index] { return false }
        }
        return true
    }

    private static func trimmed(_ octets: UnsafeBufferPointer<UInt8>, _ range: Range<Int>) -> String {
        var text: [UInt8] = []
        for index in range where text.count < maximumMessageIDLength {
            let byte = octets[index]
            if byte == 0x0d || byte == 0x0a || (text.isEmpty && (byte == 0x20 || byte == 0x09)) { continue }
            text.append(byte)
        }
        while let last = text.last, last == 0x20 || last == 0x09 { text.removeLast() }
        return String(decoding: text, as: UTF8.self)
    }
}
