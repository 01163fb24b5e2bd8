import Glibc

/// Takes fields out of a header section without touching any other octet.
enum HeaderFilter {
    /// `octets` without the fields (and their folded lines) that are in `names` (lower case).
    static func removing(_ names: [String], from octets: [UInt8]) -> [UInt8] {
        let names = names.map { Array($0.utf8) }
        return octets.withUnsafeBytes { bytes in
            var kept: [UInt8] = []
            kept.reserveCapacity(bytes.count)
            var keptTo = 0
            var start = 0
            var isRemoving = false
            while start < bytes.count {
                let rest = UnsafeRawBufferPointer(rebasing: bytes[start...])
                let end = start + (Octets.index(of: 0x0a, in: rest).map { $0 + 1 } ?? rest.count)
                let first = bytes[start]
                let wasRemoving = isRemoving
                isRemoving =
                    (first == 0x20 || first == 0x09) ? wasRemoving && start > 0 : isField(rest, named: names)
                if isRemoving != wasRemoving {
                    if isRemoving { kept.append(contentsOf: bytes[keptTo..<start]) } else { keptTo = start }
                }
                start = end
            }
            if !isRemoving { kept.append(contentsOf: bytes[keptTo...]) }
            return kept
        }
    }

    private static func isField(_ line: UnsafeRawBufferPointer, named names: [[UInt8]]) -> Bool {
        // All names begin with one of a few letters: most lines end here.
        guard let first = line.first else { return false }
        for name in names where name.first == first | 0x20 && line.count > name.count {
            var index = 0
            while index < name.count, line[index] | 0x20 == name[index] || line[index] == name[index] { index += 1 }
            guard index == name.count else { continue }
            while index < line.count, line[index] == 0x20 || line[index] == 0x09 { index += 1 }
            if index < line.count, line[index] == UInt8(ascii: ":") { return true }
        }
        return false
    }
}

/// Searches by the C library, many octets at a time.
enum Octets {
    static func index(of octet: UInt8, in bytes: UnsafeRawBufferPointer) -> Int? {
        guard let base = bytes.baseAddress, let found = memchr(base, Int32(octet), bytes.count) else { return nil }
        return UnsafeRawPointer(found) - base
    }

    static func lastIndex(of octet: UInt8, in bytes: UnsafeRawBufferPointer) -> Int? {
        guard var index = bytes.indices.last else { return nil }
        while bytes[index] != octet {
            if index == 0 { return nil }
            index -= 1
        }
        return index
    }

    /// Index of the first LF with one of `words` behind it.
    static func lineEnd(before words: [[UInt8]], in bytes: UnsafeRawBufferPointer) -> Int? {
        var start = 0
        while let found = index(of: 0x0a, in: UnsafeRawBufferPointer(rebasing: bytes[start...])) {
            start += found + 1
            for word in words where start < bytes.count && bytes[start] == word.first {
                if bytes[start...].starts(with: word) { return start - 1 }
            }
        }
        return nil
    }

    /// Every CRLF becomes LF, in place; a CR that stands alone stays. Returns the new length.
    static func removeCarriageReturns(_ bytes: UnsafeMutableRawBufferPointer) -> Int {
        guard let base = bytes.baseAddress else { return 0 }
        var source = 0
        var target = 0
        while source < bytes.count {
            let rest = UnsafeRawBufferPointer(rebasing: bytes[source...])
            var length = index(of: 0x0d, in: rest) ?? rest.count
            let isLineEnd = length + 1 < rest.count && rest[length + 1] == 0x0a
            // The lone CR goes along with what precedes it.
            if !isLineEnd, length < rest.count { length += 1 }
            if source != target, length > 0 { memmove(base + target, base + source, length) }
            target += length
            source += length + (isLineEnd ? 1 : 0)
        }
        return target
    }
}
