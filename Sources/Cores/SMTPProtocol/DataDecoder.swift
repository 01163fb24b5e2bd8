/// Decides where a message ends, and hands out its content as ranges of the input.
///
/// After DATA only CRLF.CRLF ends a message (RFC 5321 §4.1.1.4); no other sequence ever does, and after a violation the
/// message is still read to its real end, so that none of its octets is taken for a command (SMTP smuggling).
/// In chunks (RFC 3030) the host counts the octets and calls ``finishChunks()``.
public struct DataDecoder: Sendable {
    public enum Framing: Hashable, Sendable {
        /// DATA: dot-stuffed, ended by CRLF.CRLF.
        case dotted
        /// BDAT: the octets as they are.
        case chunked
    }

    public enum Event: Hashable, Sendable {
        /// Everything was consumed; the message goes on.
        case needInput
        /// Octets of content, a range of the input given.
        case content(Range<Int>)
        /// Content that the input does not hold: the other half of a bare CR or LF.
        case inserted([UInt8])
        /// The content will be refused; no more of it is handed out. Comes once; decoding goes on to the end.
        case violation(ContentViolation)
        /// The message ended (dotted framing only).
        case end(Result<MessageSummary, ContentViolation>)
    }

    private enum State: Hashable {
        /// Behind a CRLF, or at the very beginning: a dot here is stuffing or the end.
        case lineStart
        /// At the beginning of a content line that no CRLF of the input began: a dot here is content.
        case contentLineStart
        case text
        /// Behind a CR, which has been handed out.
        case carriageReturn
        /// Behind a dot at the beginning of a line, which has not been handed out.
        case dot
        /// Behind that dot and a CR, both not handed out.
        case dotCarriageReturn
        case ended
    }

    private let framing: Framing
    private let bareLineEnds: BareLineEnds
    /// Octets of content.
    private let limit: Int
    private var state: State
    private var lineLength = 0
    private var highBits: UInt64 = 0
    private var summary = MessageSummary()
    /// The first one found.
    public private(set) var violation: ContentViolation?

    public init(framing: Framing = .dotted, bareLineEnds: BareLineEnds = .refuse, limit: Int = .max) {
        self.framing = framing
        self.bareLineEnds = bareLineEnds
        self.limit = limit
        state = .lineStart
    }

    /// Octets of content handed out so far.
    public var octets: Int { summary.octets }

    /// Consumes octets up to the next event. Call again with the rest until it says `needInput` or `end`.
    public mutating func decode(_ octets: UnsafeRawBufferPointer) -> (consumed: Int, event: Event) {
        var index = 0
        /// Where the content not handed out yet begins.
        var start = 0
        let end = octets.count
        while index < end {
            switch state {
            case .lineStart:
                guard octets[index] == .dot, framing == .dotted else {
                    state = .contentLineStart
                    continue
                }
                state = .dot
                if let step = handOut(start..<index, consumed: index + 1) { return step }
                index += 1
                start = index
            case .contentLineStart:
                if octets[index] == .dot { summary.dotLines += 1 }
                state = .text
            case .text:
                let next = OctetScan.firstBelowShiftOut(octets, from: index, high: &highBits)
                lineLength += next - index
                index = next
                guard index < end else { continue }
                switch octets[index] {
                case .carriageReturn:
                    state = .carriageReturn
                    index += 1
                case .lineFeed:
                    if let step = bareLineFeed(start..<index) { return step }
                    index += 1
                case 0:
                    if let step = violated(.nulCharacter, behind: start..<index, consumed: index + 1) { return step }
                    index += 1
                case _:
                    lineLength += 1
                    index += 1
                }
            case .carriageReturn:
                if octets[index] == .lineFeed {
                    endLine()
                    state = .lineStart
                    index += 1
                } else if let step = bareCarriageReturn(start..<index) {
                    return step
                }
            case .dot:
                // Only ever the first octet behind the dot: nothing waits to be handed out.
                guard octets[index] == .carriageReturn else {
                    state = .contentLineStart
                    continue
                }
                state = .dotCarriageReturn
                index += 1
                start = index
            case .dotCarriageReturn:
                if octets[index] == .lineFeed {
                    state = .ended
                    return (index + 1, .end(result()))
                }
                if let step = bareCarriageReturnBehindDot(consumed: index) { return step }
            case .ended:
                return (index, .end(result()))
            }
        }
        return handOut(start..<end, consumed: end) ?? (end, .needInput)
    }

    /// The end of the last chunk (RFC 3030 §2, `LAST`). A CR as the very last octet is refused whatever the configuration.
    public mutating func finishChunks() -> Result<MessageSummary, ContentViolation> {
        if state == .carriageReturn, violation == nil { violation = .bareCarriageReturn }
        summary.endsWithLineEnd = state == .lineStart
        state = .ended
        return result()
    }

    private func result() -> Result<MessageSummary, ContentViolation> {
        if let violation { return .failure(violation) }
        var summary = summary
        summary.longestLine = max(summary.longestLine, lineLength)
        summary.has8Bit = highBits != 0
        return .success(summary)
    }

    private mutating func endLine() {
        summary.longestLine = max(summary.longestLine, lineLength)
        lineLength = 0
    }

    // MARK: steps; `nil` where there is nothing to tell and decoding goes on

    private typealias Step = (consumed: Int, event: Event)

    private mutating func handOut(_ range: Range<Int>, consumed: Int) -> Step? {
        guard violation == nil, !range.isEmpty else { return nil }
        guard range.count <= limit - summary.octets else {
            return violated(.tooLarge, behind: range, consumed: consumed)
        }
        summary.octets += range.count
        return (consumed, .content(range))
    }

    private mutating func insert(_ octets: [UInt8], consumed: Int) -> Step? {
        guard violation == nil else { return nil }
        guard octets.count <= limit - summary.octets else {
            return violated(.tooLarge, behind: 0..<0, consumed: consumed)
        }
        summary.octets += octets.count
        return (consumed, .inserted(octets))
    }

    /// - Parameter content: not handed out yet. It comes first: when it is too much already, that is what is wrong,
    ///   however the octets are split.
    private mutating func violated(
        _ kind: ContentViolation, behind content: Range<Int>, consumed: Int
    ) -> Step? {
        guard violation == nil else { return nil }
        let found = content.count > limit - summary.octets ? .tooLarge : kind
        violation = found
        return (consumed, .violation(found))
    }

    /// A LF behind `content`, not behind a CR.
    private mutating func bareLineFeed(_ content: Range<Int>) -> Step? {
        let position = content.upperBound
        switch bareLineEnds {
        case .refuse:
            return violated(.bareLineFeed, behind: content, consumed: position + 1)
        case .convert:
            // The content before it first; the next call comes here again with the LF in front.
            if let step = handOut(content, consumed: position) { return step }
            endLine()
            state = .contentLineStart
            return insert([.carriageReturn, .lineFeed], consumed: position + 1)
        }
    }

    /// A CR, the last octet of `content` or of the input before, and no LF behind it.
    private mutating func bareCarriageReturn(_ content: Range<Int>) -> Step? {
        let position = content.upperBound
        switch bareLineEnds {
        case .refuse:
            state = .text
            return violated(.bareCarriageReturn, behind: content, consumed: position)
        case .convert:
            if let step = handOut(content, consumed: position) { return step }
            endLine()
            state = .contentLineStart
            return insert([.lineFeed], consumed: position)
        }
    }

    /// `.` and CR at the beginning of a line and no LF behind: the dot was stuffing, the CR is content.
    private mutating func bareCarriageReturnBehindDot(consumed: Int) -> Step? {
        switch bareLineEnds {
        case .refuse:
            state = .text
            return violated(.bareCarriageReturn, behind: consumed..<consumed, consumed: consumed)
        case .convert:
            endLine()
            state = .contentLineStart
            return insert([.carriageReturn, .lineFeed], consumed: consumed)
        }
    }
}
