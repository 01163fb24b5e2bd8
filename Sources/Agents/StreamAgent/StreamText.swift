import AgentKit
import Glibc
import MailModel
import SpoolFormat

/// What a program reads: SMTP commands or a `From ` line, the header, the body, the end; piece by piece, so that the size of a message
/// costs no memory. Confined to one thread.
final class StreamText {
    /// What surrounds the message and replaces its header.
    struct Frame {
        /// In front of the header, as it is to be written.
        var opening: [UInt8] = []
        /// Lines in front of the message's own fields, LF or CRLF.
        var fields: [UInt8] = []
        /// The header in place of the content's, CRLF or LF lines without the empty line; `nil`: the content's as it is.
        var header: [UInt8]?
        /// Behind the body, as it is to be written.
        var closing: [UInt8] = []
    }

    /// Octets of a piece.
    static let pieceSize = 64 << 10

    private let content: MessageContent
    private let encoding: LineEncoding
    /// Of the body; the header is never quoted or stripped.
    private let headerEncoding: LineEncoding
    private let frame: Frame
    private var hasBegun = false
    private var hasEnded = false
    /// Next octet of the content to read.
    private var offset: Int
    /// Where the body begins in the content.
    private let bodyStart: Int
    private var isAtLineStart = true
    private var buffer = [UInt8](repeating: 0, count: pieceSize)
    /// Octets at the beginning of ``buffer`` that are read and not handed out yet.
    private var held = 0

    init(_ content: MessageContent, frame: Frame, encoding: LineEncoding) {
        self.content = content
        self.frame = frame
        self.encoding = encoding
        var headerEncoding = encoding
        headerEncoding.quotesSeparators = false
        headerEncoding.stripsEighthBit = false
        self.headerEncoding = headerEncoding
        bodyStart = content.headerCount
        offset = frame.header == nil ? 0 : content.headerCount
    }

    /// The next octets; `nil` at the end.
    func next() throws(FileError) -> [UInt8]? {
        if !hasBegun {
            hasBegun = true
            let front = beginning()
            if !front.isEmpty { return front }
        }
        if hasEnded { return nil }
        let limit = offset < bodyStart ? bodyStart : content.count
        let room = min(buffer.count - held, limit - offset)
        var failure: FileError?
        let got = buffer.withUnsafeMutableBytes { bytes -> Int in
            do throws(FileError) {
                return try content.read(
                    into: UnsafeMutableRawBufferPointer(rebasing: bytes[held..<(held + room)]), at: offset)
            } catch {
                failure = error
                return 0
            }
        }
        if let failure { throw failure }
        // A file that has become shorter is not the message.
        guard got == room else { throw FileError(call: "read", path: "message file", code: EIO) }
        let isInHeader = offset < bodyStart
        offset += got
        let count = held + got
        guard count > 0 || offset < content.count else { return ending() }
        let isLast = offset == limit
        let used = isLast ? count : wholeLines(count)
        var out: [UInt8] = []
        out.reserveCapacity(used + used / 32 + 16)
        buffer.withUnsafeBytes { bytes in
            (isInHeader ? headerEncoding : encoding).append(
                UnsafeRawBufferPointer(rebasing: bytes[..<used]), isCRLF: content.format == .crlf,
                isAtLineStart: &isAtLineStart, to: &out)
        }
        held = count - used
        if held > 0 {
            buffer.withUnsafeMutableBytes { bytes in
                if let base = bytes.baseAddress { memmove(base, base + used, count - used) }
            }
        }
        return out
    }

    private func beginning() -> [UInt8] {
        var out = frame.opening + headerEncoding.encoded(frame.fields)
        guard let header = frame.header else { return out }
        out += headerEncoding.encoded(header)
        if let last = header.last, last != 0x0a { out += encoding.lineEnd }
        out += encoding.lineEnd
        return out
    }

    /// A last line without its end gets one: neither a mailbox nor SMTP can do without.
    private func ending() -> [UInt8]? {
        hasEnded = true
        var out: [UInt8] = isAtLineStart ? [] : encoding.lineEnd
        out += frame.closing
        return out.isEmpty ? nil : out
    }

    /// Octets up to the last line end of the first `count`; of a line that is longer than the buffer all but a CR at its end, whose
    /// LF may come next.
    private func wholeLines(_ count: Int) -> Int {
        if let newline = buffer[..<count].lastIndex(of: 0x0a) { return newline + 1 }
        return buffer[count - 1] == 0x0d ? count - 1 : count
    }
}
