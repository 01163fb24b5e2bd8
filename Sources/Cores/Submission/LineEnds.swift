/// Brings a message of this host into the form of the wire: CRLF at each end of line, whatever ends them here.
///
/// The same octets come out however the input is split.
public struct LineEnds: Hashable, Sendable {
    private enum Position: Hashable {
        case lineStart
        case text
        case carriageReturn
        /// A dot at the beginning of a line, which may be the end of the message.
        case dot
        /// The same, and a CR behind it.
        case dotCarriageReturn
    }
    private let endsAtDot: Bool
    private var position = Position.lineStart
    /// The dot came: what follows is not of the message.
    public private(set) var hasEnded = false
    /// An octet above 127 has come.
    public private(set) var hasEightBit = false

    /// - Parameter endsAtDot: a line with nothing but a dot is the end.
    public init(endsAtDot: Bool) { self.endsAtDot = endsAtDot }

    public mutating func push(_ input: UnsafeRawBufferPointer, into output: inout [UInt8]) {
        output.reserveCapacity(output.count + input.count + input.count / 32)
        for octet in input {
            if hasEnded { return }
            if octet >= 0x80 { hasEightBit = true }
            switch position {
            case .carriageReturn:
                // A CR alone ends a line too: there can be none on the wire.
                output.append(0x0a)
                position = .lineStart
                if octet == 0x0a { continue }
                begin(octet, &output)
            case .lineStart:
                begin(octet, &output)
            case .text:
                inLine(octet, &output)
            case .dot:
                switch octet {
                case 0x0a: hasEnded = true
                case 0x0d: position = .dotCarriageReturn
                default:
                    output.append(UInt8(ascii: "."))
                    inLine(octet, &output)
                }
            case .dotCarriageReturn:
                // Whatever follows the CR: the line is over, and it was a dot.
                hasEnded = true
            }
        }
    }

    private mutating func begin(_ octet: UInt8, _ output: inout [UInt8]) {
        if endsAtDot, octet == UInt8(ascii: ".") {
            position = .dot
        } else {
            inLine(octet, &output)
        }
    }

    private mutating func inLine(_ octet: UInt8, _ output: inout [UInt8]) {
        switch octet {
        case 0x0d:
            output.append(0x0d)
            position = .carriageReturn
        case 0x0a:
            output.append(0x0d)
            output.append(0x0a)
            position = .lineStart
        default:
            output.append(octet)
            position = .text
        }
    }

    /// Completes the last line.
    public mutating func finish(into output: inout [UInt8]) {
        switch position {
        case .lineStart: break
        case .carriageReturn: output.append(0x0a)
        case .text: output += [0x0d, 0x0a]
        case .dot, .dotCarriageReturn:
            // The last line of a file without a line end; behind a CR it has ended.
            break
        }
        position = .lineStart
    }
}
