/// Frames content for DATA (RFC 5321 §4.5.2): a dot before each line that begins with one, and CRLF.CRLF at the end.
///
/// Whatever is given, no CR or LF goes out alone: each becomes a CRLF, so files with LF as line end need no conversion
/// before, and nothing can end the message early (SMTP smuggling). Content with CRLF goes out octet for octet.
public struct DotStuffer: Sendable {
    private enum Position: Hashable {
        case lineStart
        case text
        /// Behind a CR that was written.
        case carriageReturn
    }
    private var position = Position.lineStart

    public init() {}

    /// Appends the framed octets to `output`.
    public mutating func stuff(_ octets: UnsafeRawBufferPointer, into output: inout [UInt8]) {
        var index = 0
        /// What was not written yet begins here.
        var start = 0
        var ignored: UInt64 = 0
        let end = octets.count
        output.reserveCapacity(output.count + end + 16)
        func write(upTo limit: Int, _ output: inout [UInt8]) {
            if start < limit { output.append(contentsOf: UnsafeRawBufferPointer(rebasing: octets[start..<limit])) }
            start = limit
        }
        while index < end {
            switch position {
            case .lineStart:
                if octets[index] == .dot {
                    write(upTo: index, &output)
                    output.append(.dot)
                }
                position = .text
            case .text:
                index = OctetScan.firstBelowShiftOut(octets, from: index, high: &ignored)
                guard index < end else { continue }
                switch octets[index] {
                case .carriageReturn:
                    position = .carriageReturn
                    index += 1
                case .lineFeed:
                    write(upTo: index, &output)
                    output.append(.carriageReturn)
                    index += 1
                    position = .lineStart
                case _:
                    index += 1
                }
            case .carriageReturn:
                if octets[index] == .lineFeed {
                    index += 1
                } else {
                    write(upTo: index, &output)
                    output.append(.lineFeed)
                }
                position = .lineStart
            }
        }
        write(upTo: end, &output)
    }

    /// The end of the message: completes its last line, and writes the dot. Ready for another message then.
    public mutating func finish(into output: inout [UInt8]) {
        switch position {
        case .lineStart: break
        case .text: output += [.carriageReturn, .lineFeed]
        case .carriageReturn: output.append(.lineFeed)
        }
        output += [.dot, .carriageReturn, .lineFeed]
        position = .lineStart
    }
}
