import AgentKit
import MailModel

/// What a program reads: SMTP commands or a `From ` line, the header, the body, the end; piece by piece, so that the size of a message
/// costs no memory. Confined to one thread.
final class StreamText {
    /// What surrounds the message.
    struct Frame {
        /// In front of the header, as it is to be written.
        var opening: [UInt8] = []
        /// Lines in front of the message's own fields, LF or CRLF.
        var fields: [UInt8] = []
        /// Behind the body, as it is to be written.
        var closing: [UInt8] = []
    }

    private let source: () throws(FileError) -> [UInt8]?
    private let isCRLF: Bool
    private let encoding: LineEncoding
    private let frame: Frame
    private var hasBegun = false
    private var hasEnded = false
    private var position = LineEncoding.Position()
    /// Octets that are read and not handed out yet: a part of a line.
    private var held: [UInt8] = []

    /// `isCRLF`: lines of `source` end in CRLF, else in LF.
    init(frame: Frame, encoding: LineEncoding, isCRLF: Bool, source: @escaping () throws(FileError) -> [UInt8]?) {
        self.frame = frame
        self.encoding = encoding
        self.isCRLF = isCRLF
        self.source = source
    }

    /// The next octets, perhaps none; `nil` at the end.
    func next() throws(FileError) -> [UInt8]? {
        if !hasBegun {
            hasBegun = true
            return frame.opening + encoding.encoded(frame.fields)
        }
        if hasEnded { return nil }
        guard let piece = try source() else { return ending() }
        held += piece
        let count = wholeLines()
        var out: [UInt8] = []
        out.reserveCapacity(count + count / 32 + 16)
        encoding.append(held[..<count], isCRLF: isCRLF, &position, to: &out)
        held.removeFirst(count)
        return out
    }

    /// A last line without its end gets one: neither a mailbox nor SMTP can do without.
    private func ending() -> [UInt8] {
        hasEnded = true
        var out: [UInt8] = []
        encoding.append(held[...], isCRLF: isCRLF, &position, to: &out)
        if !position.isAtLineStart { out += encoding.lineEnd }
        return out + frame.closing
    }

    /// Octets up to the last line end; of a line that is longer than a piece all but a CR at its end, whose LF may come next.
    private func wholeLines() -> Int {
        if let newline = held.lastIndex(of: 0x0a) { return newline + 1 }
        guard held.count >= StreamSource.pieceSize else { return 0 }
        return held.last == 0x0d ? held.count - 1 : held.count
    }
}
