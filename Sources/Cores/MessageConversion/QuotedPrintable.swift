import MailModel

/// Quoted-printable of a text (RFC 2045 §6.7): lines of at most 76 octets.
struct QuotedPrintableEncoder: Sendable {
    /// Without the `=` of a soft line break.
    private static let lineLength = 75
    private var column = 0
    /// A blank that may be the last of its line.
    private var blank: UInt8?

    /// - Parameter startsLine: of the text, not of what is written.
    mutating func text(_ octets: ArraySlice<UInt8>, startsLine: Bool, into output: inout [UInt8]) {
        // Mailboxes would write a > in front of it (RFC 2049 §3).
        let isFrom = startsLine && octets.starts(with: "From ".utf8)
        for (offset, octet) in octets.enumerated() {
            if let blank {
                write(plain: blank, &output)
                self.blank = nil
            }
            switch octet {
            case 0x20, 0x09: blank = octet
            case UInt8(ascii: "F") where offset == 0 && isFrom: write(encoded: octet, &output)
            case UInt8(ascii: "="): write(encoded: octet, &output)
            case 0x21...0x7e: write(plain: octet, &output)
            default: write(encoded: octet, &output)
            }
        }
    }

    mutating func lineEnd(into output: inout [UInt8]) {
        finish(into: &output)
        output += [0x0d, 0x0a]
        column = 0
    }

    /// The end of the text, or of a line.
    mutating func finish(into output: inout [UInt8]) {
        if let blank { write(encoded: blank, &output) }
        blank = nil
    }

    private mutating func write(plain octet: UInt8, _ output: inout [UInt8]) {
        breakLine(before: 1, &output)
        output.append(octet)
        column += 1
    }

    private mutating func write(encoded octet: UInt8, _ output: inout [UInt8]) {
        breakLine(before: 3, &output)
        output += [UInt8(ascii: "="), Hexadecimal.digit(octet >> 4), Hexadecimal.digit(octet & 0x0f)]
        column += 3
    }

    private mutating func breakLine(before count: Int, _ output: inout [UInt8]) {
        guard column + count > Self.lineLength else { return }
        output += [UInt8(ascii: "="), 0x0d, 0x0a]
        column = 0
    }
}

/// The way back.
struct QuotedPrintableDecoder: Sendable {
    private enum State: Hashable {
        case text
        /// `=`; ``blanks`` may follow it in front of a soft line break.
        case equals
        case digit(UInt8)
    }
    private var state = State.text
    /// May be the last of their line, which are no content (RFC 2045 §6.7, rule 3).
    private var blanks: [UInt8] = []
    /// Something stands there that RFC 2045 does not allow; it is handed out as it is.
    private(set) var isMalformed = false

    /// Octets of blanks that are held back.
    private static let maximumBlanks = 4096

    mutating func text(_ octets: ArraySlice<UInt8>, into output: inout [UInt8]) {
        for octet in octets { take(octet, &output) }
    }

    /// - Returns: whether the text has a line end there: not behind a soft line break.
    mutating func lineEnd(into output: inout [UInt8]) -> Bool {
        blanks = []
        if state == .equals {
            state = .text
            return false
        }
        giveUp(&output)
        return true
    }

    /// The end of the text, not behind a line end.
    mutating func finish(into output: inout [UInt8]) {
        if state != .equals { blanks = [] }
        giveUp(&output)
    }

    private mutating func take(_ octet: UInt8, _ output: inout [UInt8]) {
        switch state {
        case .text:
            switch octet {
            case UInt8(ascii: "="):
                output += blanks
                blanks = []
                state = .equals
            case 0x20, 0x09:
                blanks.append(octet)
                if blanks.count > Self.maximumBlanks {
                    isMalformed = true
                    output += blanks
                    blanks = []
                }
            default:
                output += blanks
                blanks = []
                output.append(octet)
            }
        case .equals:
            if octet == 0x20 || octet == 0x09, blanks.count < Self.maximumBlanks {
                blanks.append(octet)
            } else if blanks.isEmpty, Hexadecimal.value(octet) != nil {
                state = .digit(octet)
            } else {
                giveUp(&output)
                take(octet, &output)
            }
        case .digit(let first):
            if let high = Hexadecimal.value(first), let low = Hexadecimal.value(octet) {
                output.append(high << 4 | low)
                state = .text
            } else {
                giveUp(&output)
                take(octet, &output)
            }
        }
    }

    /// What began with `=` is no encoding.
    private mutating func giveUp(_ output: inout [UInt8]) {
        switch state {
        case .text: return
        case .equals:
            output += [UInt8(ascii: "=")] + blanks
            blanks = []
        case .digit(let first): output += [UInt8(ascii: "="), first]
        }
        isMalformed = true
        state = .text
    }
}

enum Hexadecimal {
    static func digit(_ value: UInt8) -> UInt8 {
        value < 10 ? UInt8(ascii: "0") + value : UInt8(ascii: "A") + value - 10
    }

    static func value(_ octet: UInt8) -> UInt8? {
        switch octet {
        case 0x30...0x39: octet - 0x30
        case 0x41...0x46: octet - 0x41 + 10
        case 0x61...0x66: octet - 0x61 + 10
        default: nil
        }
    }
}

/// Base64 in lines of 76 octets (RFC 2045 §6.8).
struct Base64LineEncoder: Sendable {
    private static let octetsPerLine = 57
    private var buffer: [UInt8] = []
    private var hasLines = false

    mutating func append(_ octets: some Sequence<UInt8>, into output: inout [UInt8]) {
        for octet in octets {
            buffer.append(octet)
            if buffer.count == Self.octetsPerLine { writeLine(&output) }
        }
    }

    /// The last line has no line end.
    mutating func finish(into output: inout [UInt8]) {
        if !buffer.isEmpty { writeLine(&output) }
        hasLines = false
    }

    private mutating func writeLine(_ output: inout [UInt8]) {
        if hasLines { output += [0x0d, 0x0a] }
        hasLines = true
        output += Base64.encode(buffer).utf8
        buffer.removeAll(keepingCapacity: true)
    }
}
