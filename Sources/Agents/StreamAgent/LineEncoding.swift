import MailModel

/// How lines of a message are written for a program: octets in, octets out, the same however they are split. A line end is LF, or CRLF
/// where the content has that format; a CR alone is an octet like others.
struct LineEncoding: Hashable, Sendable {
    /// `R`: lines end in CRLF, else in LF.
    var endsInCRLF = false
    /// A `.` at the beginning of a line is doubled (RFC 5321 §4.5.2).
    var stuffsDots = false
    /// A line that begins with `From ` gets a `>`.
    var quotesSeparators = false
    var stripsEighthBit = false

    var lineEnd: [UInt8] { endsInCRLF ? [0x0d, 0x0a] : [0x0a] }

    private static let separator = Array("From ".utf8)

    /// Appends whole lines, or a part of a line that is longer than any buffer. `octets` begins with a line if `isAtLineStart` says so,
    /// and must hold five octets of a line, or all of it; CRLF is not split.
    func append(
        _ octets: UnsafeRawBufferPointer, isCRLF: Bool, isAtLineStart: inout Bool, to out: inout [UInt8]
    ) {
        var start = 0
        while start < octets.count {
            var end = start
            while end < octets.count, octets[end] != 0x0a { end += 1 }
            let hasEnd = end < octets.count
            let lineEnd = hasEnd && isCRLF && end > start && octets[end - 1] == 0x0d ? end - 1 : end
            let line = UnsafeRawBufferPointer(rebasing: octets[start..<lineEnd])
            if isAtLineStart {
                if stuffsDots, line.first == UInt8(ascii: ".") { out.append(UInt8(ascii: ".")) }
                if quotesSeparators, line.starts(with: Self.separator) { out.append(UInt8(ascii: ">")) }
            }
            let from = out.count
            out.append(contentsOf: line)
            if stripsEighthBit { for index in from..<out.count { out[index] &= 0x7f } }
            if hasEnd { out.append(contentsOf: self.lineEnd) }
            isAtLineStart = hasEnd
            start = end + 1
        }
    }

    /// The same for text in memory whose lines end in LF or CRLF.
    func encoded(_ octets: [UInt8]) -> [UInt8] {
        var out: [UInt8] = []
        var isAtLineStart = true
        octets.withUnsafeBytes { append($0, isCRLF: true, isAtLineStart: &isAtLineStart, to: &out) }
        return out
    }
}
