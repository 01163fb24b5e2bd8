import MailModel

/// How lines of a message are written for a program: octets in, octets out. A line end is LF, or CRLF where the content has that format;
/// a CR alone is an octet like others.
struct LineEncoding: Hashable, Sendable {
    /// `R`: lines end in CRLF, else in LF.
    var endsInCRLF = false
    /// A `.` at the beginning of a line is doubled (RFC 5321 §4.5.2).
    var stuffsDots = false
    /// A line of the body that begins with `From ` gets a `>`.
    var quotesSeparators = false
    /// Of the body.
    var stripsEighthBit = false

    var lineEnd: [UInt8] { endsInCRLF ? [0x0d, 0x0a] : [0x0a] }

    private static let separator = Array("From ".utf8)

    /// Where the writing is in the message.
    struct Position: Hashable, Sendable {
        var isAtLineStart = true
        /// Behind the first empty line.
        var isInBody = false
    }

    /// Appends whole lines, or a part of a line that is longer than any buffer and has at least five octets; CRLF is not split.
    func append(_ octets: ArraySlice<UInt8>, isCRLF: Bool, _ position: inout Position, to out: inout [UInt8]) {
        var start = octets.startIndex
        while start < octets.endIndex {
            let newline = Octets.index(of: 0x0a, in: octets[start...])
            var line = octets[start..<(newline ?? octets.endIndex)]
            if isCRLF, newline != nil, line.last == 0x0d { line.removeLast() }
            if position.isAtLineStart {
                if stuffsDots, line.first == UInt8(ascii: ".") { out.append(UInt8(ascii: ".")) }
                if quotesSeparators, position.isInBody, line.starts(with: Self.separator) {
                    out.append(UInt8(ascii: ">"))
                }
            }
            let from = out.count
            out.append(contentsOf: line)
            if stripsEighthBit, position.isInBody { for index in from..<out.count { out[index] &= 0x7f } }
            if newline != nil {
                if line.isEmpty, position.isAtLineStart { position.isInBody = true }
                out.append(contentsOf: lineEnd)
            }
            position.isAtLineStart = newline != nil
            start = (newline ?? octets.endIndex - 1) + 1
        }
    }

    /// The same for lines in memory that end in LF or CRLF and are no body.
    func encoded(_ octets: [UInt8]) -> [UInt8] {
        var out: [UInt8] = []
        var position = Position()
        append(octets[...], isCRLF: true, &position, to: &out)
        return out
    }
}
