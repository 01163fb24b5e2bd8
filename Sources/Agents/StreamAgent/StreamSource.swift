import AgentKit
import Glibc
import MailModel
import MessageConversion
import SpoolFormat

/// A message piece by piece: its header, or another in its place, and its body, in the line format of the file. Confined to one thread.
final class StreamSource {
    private let content: MessageContent
    private let header: [UInt8]?
    private var isHeaderRead = false
    /// Next octet of the content to read.
    private var offset: Int

    /// Octets of a piece.
    static let pieceSize = 64 << 10

    /// `header`: CRLF or LF lines without the empty line, in place of the content's own; `nil`: that one as it is.
    init(_ content: MessageContent, header: [UInt8]?) {
        self.content = content
        self.header = header
        offset = header == nil ? 0 : content.headerCount
    }

    var isCRLF: Bool { content.format == .crlf }

    /// The next octets; `nil` at the end.
    func next() throws(FileError) -> [UInt8]? {
        if !isHeaderRead {
            isHeaderRead = true
            if let header { return lines(header + (header.last == 0x0a || header.isEmpty ? [0x0a] : [0x0a, 0x0a])) }
        }
        let range = offset..<min(content.count, offset + Self.pieceSize)
        guard !range.isEmpty else { return nil }
        let piece = try content.octets(in: range)
        // A file that has become shorter is not the message.
        guard piece.count == range.count else { throw FileError(call: "read", path: "message file", code: EIO) }
        offset = range.upperBound
        return piece
    }

    /// CRLF and LF lines in the format of the content.
    private func lines(_ octets: [UInt8]) -> [UInt8] {
        var encoding = LineEncoding()
        encoding.endsInCRLF = isCRLF
        return encoding.encoded(octets)
    }
}

/// A message whose 8-bit content is made 7-bit, or whose quoted-printable texts are decoded (flags `8`, `9`): CRLF lines. Confined to one
/// thread.
final class ConvertedSource {
    private let source: StreamSource
    private var converter: MessageConverter
    private var hasEnded = false

    init(_ source: StreamSource, _ plan: ConversionPlan) {
        self.source = source
        converter = MessageConverter(plan)
    }

    /// The next octets, perhaps none; `nil` at the end.
    func next() throws(FileError) -> [UInt8]? {
        if hasEnded { return nil }
        var out: [UInt8] = []
        if let piece = try source.next() {
            converter.push(Self.wire(piece, isCRLF: source.isCRLF)[...], into: &out)
        } else {
            hasEnded = true
            converter.finish(into: &out)
        }
        return out
    }

    /// What a conversion of all of `source` would have to do.
    static func plan(_ source: StreamSource, _ options: ConversionOptions) throws(FileError) -> ConversionPlan {
        var survey = MessageSurvey(options)
        while let piece = try source.next() { survey.push(wire(piece, isCRLF: source.isCRLF)[...]) }
        return survey.finish()
    }

    /// LF lines as CRLF lines.
    private static func wire(_ octets: [UInt8], isCRLF: Bool) -> [UInt8] {
        if isCRLF { return octets }
        var out: [UInt8] = []
        out.reserveCapacity(octets.count + octets.count / 16)
        for octet in octets {
            if octet == 0x0a { out.append(0x0d) }
            out.append(octet)
        }
        return out
    }
}
