import MailModel

/// The first pass over a message: what it holds, and so what has to be done with it.
///
/// ```
/// var survey = MessageSurvey(ConversionOptions(.sevenBit))
/// survey.push(octets[...])            // as often as there are octets, header section first
/// let plan = survey.finish()
/// if plan.obstacle == nil, plan.isNeeded { … MessageConverter(plan) … }
/// ```
public struct MessageSurvey: Sendable {
    private var walker = EntityWalker()
    private var notes: Notes

    public init(_ options: ConversionOptions) { notes = Notes(options: options) }

    public mutating func push(_ octets: ArraySlice<UInt8>) { walker.push(octets, &notes) }

    /// The end of the message.
    public mutating func finish() -> ConversionPlan {
        walker.finish(&notes)
        return notes.plan
    }
}

/// What was seen of one entity.
private struct EntityNote: Sendable {
    let parent: Int?
    let kind: Entity.Kind
    let encoding: TransferEncoding
    var hasEightBit = false
    /// NUL, or CR and LF that are no line end.
    var hasControls = false
    /// Octets.
    var longestLine = 0
    /// Of quoted-printable.
    var decoded = DecodedNote()
}

/// What quoted-printable becomes when it is decoded.
private struct DecodedNote: Sendable {
    var hasEightBit = false
    var line = 0
    /// Malformed, with control characters, or with lines that are too long.
    var isUnfit = false

    mutating func add(_ octets: [UInt8]) {
        for octet in octets {
            if octet >= 0x80 { hasEightBit = true }
            if octet == 0 || octet == 0x0d || octet == 0x0a { isUnfit = true }
        }
        line += octets.count
        if line > Notes.maximumLine { isUnfit = true }
    }
}

private struct Notes: EntityVisitor, Sendable {
    /// RFC 5322 §2.1.1, without CRLF.
    static let maximumLine = 998

    let options: ConversionOptions
    private var notes: [EntityNote] = []
    private var line = 0
    private var decoder = QuotedPrintableDecoder()
    private var hasEightBitHeader = false
    private var hasTooMuch = false

    init(options: ConversionOptions) { self.options = options }

    mutating func header(_ header: HeaderSection, of entity: Entity, hasEmptyLine: Bool) {
        if header.octets.contains(where: { $0 >= 0x80 }) { hasEightBitHeader = true }
        notes.append(EntityNote(parent: entity.parent, kind: entity.kind, encoding: entity.encoding))
        line = 0
        decoder = QuotedPrintableDecoder()
    }

    mutating func text(_ octets: ArraySlice<UInt8>, of entity: Entity, startsLine: Bool) {
        for octet in octets {
            if octet >= 0x80 { notes[entity.index].hasEightBit = true }
            if octet == 0 || octet == 0x0d { notes[entity.index].hasControls = true }
        }
        line += octets.count
        notes[entity.index].longestLine = max(notes[entity.index].longestLine, line)
        guard entity.encoding == .quotedPrintable else { return }
        var decoded: [UInt8] = []
        decoder.text(octets, into: &decoded)
        notes[entity.index].decoded.add(decoded)
    }

    mutating func lineEnd(of entity: Entity) {
        line = 0
        guard entity.encoding == .quotedPrintable else { return }
        var decoded: [UInt8] = []
        let isHard = decoder.lineEnd(into: &decoded)
        notes[entity.index].decoded.add(decoded)
        if isHard { notes[entity.index].decoded.line = 0 }
    }

    mutating func bodyEnd(of entity: Entity) {
        guard entity.encoding == .quotedPrintable else { return }
        var decoded: [UInt8] = []
        decoder.finish(into: &decoded)
        notes[entity.index].decoded.add(decoded)
        // Soft at its very end: whether a line ends there is anybody's guess.
        if decoder.isMalformed { notes[entity.index].decoded.isUnfit = true }
    }

    mutating func delimiter(_ line: ArraySlice<UInt8>, hasLineEndBefore: Bool, hasLineEnd: Bool) { self.line = 0 }

    mutating func isTooComplex(passedOver octets: [UInt8]) {
        hasTooMuch = true
        if octets.contains(where: { $0 >= 0x80 }) { hasEightBitHeader = true }
    }

    var plan: ConversionPlan {
        var obstacle: ConversionPlan.Obstacle?
        var actions = notes.map { note -> ConversionPlan.Action in
            switch options.target {
            case .sevenBit:
                let action = Self.sevenBit(note)
                if action == nil, obstacle == nil {
                    obstacle = note.encoding == .unknown ? .unknownEncoding : .sealed
                }
                return action ?? .keep
            case .eightBit: return Self.eightBit(note)
            }
        }
        if options.target == .eightBit { labelParents(&actions) }
        let hasEightBitOctets = hasEightBitHeader || notes.contains(where: \.hasEightBit)
        if options.target == .sevenBit, obstacle == nil {
            if hasEightBitHeader, !options.convertsHeaders { obstacle = .header }
            if hasTooMuch, hasEightBitOctets { obstacle = .tooComplex }
        }
        return ConversionPlan(
            options: options, actions: hasTooMuch ? actions.map { _ in .keep } : actions,
            hasEightBit: notes.map(\.hasEightBit), hasEightBitHeader: hasEightBitHeader,
            hasEightBitOctets: hasEightBitOctets, obstacle: obstacle)
    }

    /// `nil`: it cannot be done.
    private static func sevenBit(_ note: EntityNote) -> ConversionPlan.Action? {
        let isTooLong = note.longestLine > maximumLine
        switch (note.kind, note.encoding) {
        case (.sealed, _): return note.hasEightBit ? nil : .keep
        case (.multipart, .sevenBit), (.message, .sevenBit): return note.hasEightBit ? .strip : .keep
        case (.multipart, _), (.message, _): return note.hasEightBit ? .stripAndLabelSevenBit : .labelSevenBit
        case (_, .unknown): return note.hasEightBit ? nil : .keep
        case (_, .base64): return note.hasEightBit ? .strip : .keep
        case (_, .quotedPrintable): return note.hasEightBit ? .recode : .keep
        case (.text, _) where note.hasEightBit || isTooLong: return note.hasControls ? .base64 : .quotedPrintable
        case (.other, _) where note.hasEightBit || isTooLong: return .base64
        case (_, .sevenBit): return .keep
        case (.text, _), (.other, _): return .labelSevenBit
        }
    }

    private static func eightBit(_ note: EntityNote) -> ConversionPlan.Action {
        guard note.kind == .text, note.encoding == .quotedPrintable, !note.hasEightBit, !note.decoded.isUnfit else {
            return .keep
        }
        return note.decoded.hasEightBit ? .decodeToEightBit : .decodeToSevenBit
    }

    /// What 8-bit stands in must say so (RFC 2045 §6.4).
    private func labelParents(_ actions: inout [ConversionPlan.Action]) {
        for index in actions.indices where actions[index] == .decodeToEightBit {
            var next = notes[index].parent
            while let parent = next {
                if notes[parent].encoding == .sevenBit { actions[parent] = .labelEightBit }
                next = notes[parent].parent
            }
        }
    }
}
