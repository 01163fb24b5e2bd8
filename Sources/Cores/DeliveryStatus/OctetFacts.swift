import SpoolFormat

/// What must be known of octets before they become part of a message.
enum OctetFacts {
    static func hasEightBit(_ octets: [UInt8]) -> Bool {
        // Without an early end the compiler makes one vector instruction of many octets.
        octets.withUnsafeBufferPointer { $0.reduce(0) { $0 | $1 } } & 0x80 != 0
    }

    /// Whether a line begins with `--` and `boundary` (RFC 2046 §5.1.1: a delimiter is only there).
    static func hasBoundary(_ boundary: String, in octets: [UInt8]) -> Bool {
        let delimiter = Array("--\(boundary)".utf8)
        return octets.withUnsafeBufferPointer { bytes in
            var start = 0
            while start + delimiter.count <= bytes.count {
                if bytes[start] == 0x2d, bytes[start..<(start + delimiter.count)].elementsEqual(delimiter) {
                    return true
                }
                while start < bytes.count, bytes[start] != 0x0a { start += 1 }
                start += 1
            }
            return false
        }
    }

    /// At most `limit` octets, cut behind a line end if there is one.
    static func cut(_ octets: [UInt8], at limit: Int) -> [UInt8] {
        guard octets.count > limit else { return octets }
        let kept = octets[..<limit]
        return Array(kept.lastIndex(of: 0x0a).map { kept[...$0] } ?? kept)
    }

    /// Wire octets: every LF that has no CR before it gets one.
    static func withCRLF(_ octets: [UInt8]) -> [UInt8] {
        var result: [UInt8] = []
        result.reserveCapacity(octets.count + octets.count / 32)
        var rest = octets[...]
        while let newline = rest.firstIndex(of: 0x0a) {
            result.append(contentsOf: rest[..<newline])
            if result.last != 0x0d { result.append(0x0d) }
            result.append(0x0a)
            rest = rest[(newline + 1)...]
        }
        result.append(contentsOf: rest)
        return result
    }

    static func traits(_ content: [UInt8]) -> MessageTraits {
        var traits = MessageTraits(size: content.count, hasEightBit: hasEightBit(content))
        content.withUnsafeBufferPointer { bytes in
            var start = 0
            while start < bytes.count {
                if bytes[start] == 0x2e { traits.hasDotLines = true }
                var end = start
                while end < bytes.count, bytes[end] != 0x0a { end += 1 }
                let length = end > start && bytes[end - 1] == 0x0d ? end - start - 1 : end - start
                traits.longestLine = max(traits.longestLine, length)
                start = end + 1
            }
        }
        return traits
    }
}
