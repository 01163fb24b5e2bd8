import AgentKit
import Glibc
import MessageConversion

/// A message whose quoted-printable texts become what they stand for, piece by piece. Confined to one thread.
final class DecodedContent {
    private let content: MessageContent
    /// Header section with its empty line, CRLF.
    private let head: [UInt8]
    /// Where the content continues behind ``head``.
    private let start: Int
    private let plan: ConversionPlan
    private var converter: MessageConverter
    /// Next octet of the content to read; `nil`: ``head`` comes first.
    private var offset: Int?
    private var isFinished = false
    /// Converted, CRLF, not handed out yet.
    private var output: [UInt8] = []
    /// What was handed out last.
    private var piece = UnsafeMutableRawBufferPointer.allocate(byteCount: LocalCopy.pieceSize, alignment: 16)

    /// `nil`: nothing is to be decoded, or may be.
    init?(_ content: MessageContent, head: [UInt8], start: Int) throws(FileError) {
        self.content = content
        self.head = head
        self.start = start
        var survey = MessageSurvey(ConversionOptions(.eightBit))
        survey.push(head[...])
        var offset = start
        while offset < content.count {
            let octets = try Self.read(content, offset)
            survey.push(octets[...])
            offset += octets.count
        }
        plan = survey.finish()
        converter = MessageConverter(plan)
        guard plan.obstacle == nil, plan.isNeeded else { return nil }
    }

    deinit { piece.deallocate() }

    func rewind() {
        converter = MessageConverter(plan)
        offset = nil
        isFinished = false
        output.removeAll()
    }

    /// The next lines, ended by LF, valid until the next call; `nil` at the end. A line that is longer than a piece comes in parts.
    func next() throws(FileError) -> UnsafeRawBufferPointer? {
        while true {
            if let count = countToHandOut { return handOut(count) }
            if isFinished { return nil }
            if let from = offset {
                if from < content.count {
                    let octets = try Self.read(content, from)
                    converter.push(octets[...], into: &output)
                    offset = from + octets.count
                } else {
                    converter.finish(into: &output)
                    isFinished = true
                }
            } else {
                converter.push(head[...], into: &output)
                offset = start
            }
        }
    }

    private var countToHandOut: Int? {
        if isFinished { return output.isEmpty ? nil : output.count }
        if let newline = output.lastIndex(of: 0x0a) { return newline + 1 }
        guard output.count > LocalCopy.pieceSize else { return nil }
        // A CR at the end may be half of a line end.
        return output.last == 0x0d ? output.count - 1 : output.count
    }

    private func handOut(_ count: Int) -> UnsafeRawBufferPointer {
        if piece.count < count {
            piece.deallocate()
            piece = .allocate(byteCount: count, alignment: 16)
        }
        let target = UnsafeMutableRawBufferPointer(rebasing: piece[..<count])
        target.copyBytes(from: output[..<count])
        output.removeFirst(count)
        return UnsafeRawBufferPointer(rebasing: piece[..<Octets.removeCarriageReturns(target)])
    }

    private static func read(_ content: MessageContent, _ offset: Int) throws(FileError) -> [UInt8] {
        let octets = try content.octets(in: offset..<min(content.count, offset + LocalCopy.pieceSize))
        guard !octets.isEmpty else { throw FileError(call: "read", path: "message file", code: EIO) }
        return octets
    }
}
