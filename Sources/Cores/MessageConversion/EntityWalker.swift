import MailModel

/// What a walk over a message shows, in its order.
protocol EntityVisitor {
    /// A header section, without the empty line behind it. `hasEmptyLine` is false where a line that is no field follows at once.
    mutating func header(_ header: HeaderSection, of entity: Entity, hasEmptyLine: Bool)
    /// A part of a line of a body; of a multipart: of what stands around its parts.
    mutating func text(_ octets: ArraySlice<UInt8>, of entity: Entity, startsLine: Bool)
    mutating func lineEnd(of entity: Entity)
    /// Behind the last octet of an entity without entities in it.
    mutating func bodyEnd(of entity: Entity)
    /// A delimiter line of a multipart. The line end in front of it belongs to it (RFC 2046 §5.1.1).
    mutating func delimiter(_ line: ArraySlice<UInt8>, hasLineEndBefore: Bool, hasLineEnd: Bool)
    /// A header section longer than ``EntityWalker/maximumHeader``, or too many entities: what follows is not looked into.
    /// `passedOver`: of that header section, what is shown nowhere else.
    mutating func isTooComplex(passedOver octets: [UInt8])
}

/// Goes through a message and its entities, octets in, parts out, in bounded memory.
struct EntityWalker: Sendable {
    /// Octets of a header section.
    static let maximumHeader = 512 * 1024
    static let maximumEntities = 10_000
    /// Of multiparts and messages in one another.
    static let maximumDepth = 50

    private struct Frame {
        let entity: Entity
        /// With the two hyphens.
        let delimiter: [UInt8]
        /// The closing delimiter has come.
        var isClosed = false
    }

    private enum Place {
        case header
        case body
    }

    private var splitter = PieceSplitter()
    private var frames: [Frame] = []
    private var depth = 0
    private var place = Place.header
    /// Lines of the header section, CRLF ended.
    private var headerOctets: [UInt8] = []
    private var headerLine: [UInt8] = []
    private var hasField = false
    private var nextIsMessage = true
    /// Whose header or body it is.
    private var entity: Entity?
    private var parent: Entity?
    private var count = 0
    /// A line end that may belong to a delimiter.
    private var holdsLineEnd = false

    init() {}

    mutating func push(_ octets: ArraySlice<UInt8>, _ visitor: inout some EntityVisitor) {
        // Out of `self`, so that what it calls may change the rest.
        var splitter = self.splitter
        self.splitter = PieceSplitter()
        splitter.push(octets) { take($0, &visitor) }
        self.splitter = splitter
    }

    /// The end of the message.
    mutating func finish(_ visitor: inout some EntityVisitor) {
        var splitter = self.splitter
        splitter.finish { take($0, &visitor) }
        self.splitter = splitter
        if place == .header {
            if !headerLine.isEmpty { endHeaderLine(&visitor, hasLineEnd: false) }
            if place == .header { endHeader(&visitor, hasEmptyLine: false) }
        }
        guard let entity else { return }
        if holdsLineEnd { visitor.lineEnd(of: entity) }
        holdsLineEnd = false
        if entity.kind != .multipart { visitor.bodyEnd(of: entity) }
    }

    private mutating func take(_ piece: PieceSplitter.Piece, _ visitor: inout some EntityVisitor) {
        if piece.startsLine, headerLine.isEmpty, piece.octets.count >= 3, piece.octets.first == UInt8(ascii: "-"),
            piece.endsLine || piece.octets.count < PieceSplitter.maximumPiece, takeDelimiter(piece, &visitor)
        {
            return
        }
        switch place {
        case .header:
            headerLine += piece.octets
            if headerOctets.count + headerLine.count > Self.maximumHeader {
                visitor.isTooComplex(passedOver: headerOctets + headerLine)
                headerOctets = []
                headerLine = []
                endHeader(&visitor, hasEmptyLine: true)
            } else if piece.endsLine {
                endHeaderLine(&visitor, hasLineEnd: true)
            }
        case .body:
            takeBody(piece.octets, piece.startsLine, piece.endsLine, &visitor)
        }
    }

    private mutating func takeBody(
        _ octets: ArraySlice<UInt8>, _ startsLine: Bool, _ endsLine: Bool, _ visitor: inout some EntityVisitor
    ) {
        guard let entity else { return }
        if holdsLineEnd { visitor.lineEnd(of: entity) }
        holdsLineEnd = endsLine
        if !octets.isEmpty { visitor.text(octets, of: entity, startsLine: startsLine) }
    }

    /// A line of a header section: a field, its continuation, the end, or already the body (as ``HeaderSection`` has it).
    private mutating func endHeaderLine(_ visitor: inout some EntityVisitor, hasLineEnd: Bool) {
        let line = headerLine
        headerLine = []
        if line.isEmpty {
            endHeader(&visitor, hasEmptyLine: true)
            return
        }
        let isContinuation = hasField && (line[0] == 0x20 || line[0] == 0x09)
        let isField = isContinuation || !HeaderSection(line).fields.isEmpty
        if isField {
            hasField = true
            headerOctets += line
            headerOctets += [0x0d, 0x0a]
            return
        }
        endHeader(&visitor, hasEmptyLine: false)
        // A message in a message may begin with it: its header ends at once then.
        if place == .header {
            endHeader(&visitor, hasEmptyLine: false)
        }
        takeBody(line[...], true, hasLineEnd, &visitor)
    }

    private mutating func endHeader(_ visitor: inout some EntityVisitor, hasEmptyLine: Bool) {
        let header = HeaderSection(headerOctets)
        headerOctets = []
        hasField = false
        holdsLineEnd = false
        let isInDigest = parent.map { $0.kind == .multipart && $0.type.subtype == "digest" } ?? false
        if count == Self.maximumEntities { visitor.isTooComplex(passedOver: []) }
        let mayHold = depth < Self.maximumDepth && count < Self.maximumEntities
        let entity = Entity(
            index: count, parent: parent, header: header, isMessage: nextIsMessage, isInDigest: isInDigest,
            mayHoldEntities: mayHold)
        count += 1
        self.entity = entity
        place = .body
        visitor.header(header, of: entity, hasEmptyLine: hasEmptyLine)
        switch entity.kind {
        case .multipart:
            depth += 1
            frames.append(Frame(entity: entity, delimiter: Array("--".utf8) + (entity.type.boundary ?? [])))
        case .message:
            depth += 1
            parent = entity
            nextIsMessage = true
            place = .header
            self.entity = nil
        case .text, .other, .sealed: break
        }
    }

    /// Innermost first; what an outer multipart's delimiter ends is over, closed or not (RFC 2046 §5.1.2).
    private mutating func takeDelimiter(
        _ piece: PieceSplitter.Piece, _ visitor: inout some EntityVisitor
    ) -> Bool {
        // What follows is text of the last entity: nothing more is noted of it.
        guard count < Self.maximumEntities else {
            visitor.isTooComplex(passedOver: [])
            return false
        }
        for level in frames.indices.reversed() where !frames[level].isClosed {
            guard let isClosing = Self.match(piece.octets, frames[level].delimiter) else { continue }
            // Part headers without an empty line behind them.
            if place == .header { endHeader(&visitor, hasEmptyLine: false) }
            if place == .header { endHeader(&visitor, hasEmptyLine: false) }
            let hasLineEndBefore = holdsLineEnd
            holdsLineEnd = false
            if let entity, entity.kind != .multipart { visitor.bodyEnd(of: entity) }
            frames.removeLast(frames.count - level - 1)
            depth = frames.count
            visitor.delimiter(piece.octets, hasLineEndBefore: hasLineEndBefore, hasLineEnd: piece.endsLine)
            if isClosing {
                frames[level].isClosed = true
                entity = frames[level].entity
                parent = nil
                place = .body
            } else {
                parent = frames[level].entity
                entity = nil
                nextIsMessage = false
                place = .header
            }
            return true
        }
        return false
    }

    /// Whether a line is that delimiter, and if so, whether the closing one; blanks may follow.
    private static func match(_ line: ArraySlice<UInt8>, _ delimiter: [UInt8]) -> Bool? {
        guard line.starts(with: delimiter) else { return nil }
        var rest = line.dropFirst(delimiter.count)
        let isClosing = rest.starts(with: "--".utf8)
        if isClosing { rest = rest.dropFirst(2) }
        return rest.allSatisfy { $0 == 0x20 || $0 == 0x09 } ? isClosing : nil
    }
}
