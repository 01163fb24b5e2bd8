import MailModel

/// The second pass over a message: writes it as its ``ConversionPlan`` says. The same octets must be pushed as into the survey; the
/// result does not depend on how they are split. Lines end in CRLF.
///
/// What it holds is bounded: a line, a header section, and what is not yet written of it.
public struct MessageConverter: Sendable {
    private var walker = EntityWalker()
    private var writer: ConversionWriter

    public init(_ plan: ConversionPlan) { writer = ConversionWriter(plan: plan) }

    public mutating func push(_ octets: ArraySlice<UInt8>, into output: inout [UInt8]) {
        walker.push(octets, &writer)
        writer.takeOutput(into: &output)
    }

    /// The end of the message.
    public mutating func finish(into output: inout [UInt8]) {
        walker.finish(&writer)
        writer.takeOutput(into: &output)
    }
}

private struct ConversionWriter: EntityVisitor, Sendable {
    let plan: ConversionPlan
    private var output: [UInt8] = []
    private var encoder = QuotedPrintableEncoder()
    private var decoder = QuotedPrintableDecoder()
    private var base64 = Base64LineEncoder()
    /// Of a decoded text that is encoded again.
    private var startsDecodedLine = true

    init(plan: ConversionPlan) { self.plan = plan }

    mutating func takeOutput(into other: inout [UInt8]) {
        other += output
        output.removeAll(keepingCapacity: output.capacity <= 1 << 17)
    }

    private func action(_ entity: Entity) -> ConversionPlan.Action {
        entity.index < plan.actions.count ? plan.actions[entity.index] : .keep
    }

    mutating func header(_ header: HeaderSection, of entity: Entity, hasEmptyLine: Bool) {
        encoder = QuotedPrintableEncoder()
        decoder = QuotedPrintableDecoder()
        base64 = Base64LineEncoder()
        startsDecodedLine = true
        let namesCharset = entity.index < plan.hasEightBit.count && plan.hasEightBit[entity.index]
        let rewriter = HeaderRewriter(
            options: plan.options, action: action(entity), namesCharset: namesCharset)
        let changed = rewriter.rewrite(header, of: entity, into: &output)
        // A field that was added must not run into a line that is none.
        if hasEmptyLine || changed { output += [0x0d, 0x0a] }
    }

    mutating func text(_ octets: ArraySlice<UInt8>, of entity: Entity, startsLine: Bool) {
        switch action(entity) {
        case .keep, .labelSevenBit, .labelEightBit: output += octets
        case .strip, .stripAndLabelSevenBit: output += octets.map { $0 < 0x80 ? $0 : UInt8(ascii: "?") }
        case .quotedPrintable: encoder.text(octets, startsLine: startsLine, into: &output)
        case .base64: base64.append(octets, into: &output)
        case .decodeToSevenBit, .decodeToEightBit: decoder.text(octets, into: &output)
        case .recode:
            var decoded: [UInt8] = []
            decoder.text(octets, into: &decoded)
            encode(decoded)
        }
    }

    mutating func lineEnd(of entity: Entity) {
        switch action(entity) {
        case .keep, .labelSevenBit, .labelEightBit, .strip, .stripAndLabelSevenBit: output += [0x0d, 0x0a]
        case .quotedPrintable: encoder.lineEnd(into: &output)
        case .base64: base64.append([0x0d, 0x0a], into: &output)
        case .decodeToSevenBit, .decodeToEightBit:
            if decoder.lineEnd(into: &output) { output += [0x0d, 0x0a] }
        case .recode:
            var decoded: [UInt8] = []
            let isHard = decoder.lineEnd(into: &decoded)
            encode(decoded)
            if isHard {
                encoder.lineEnd(into: &output)
                startsDecodedLine = true
            }
        }
    }

    mutating func bodyEnd(of entity: Entity) {
        switch action(entity) {
        case .keep, .labelSevenBit, .labelEightBit, .strip, .stripAndLabelSevenBit: break
        case .quotedPrintable: encoder.finish(into: &output)
        case .base64: base64.finish(into: &output)
        case .decodeToSevenBit, .decodeToEightBit: decoder.finish(into: &output)
        case .recode:
            var decoded: [UInt8] = []
            decoder.finish(into: &decoded)
            encode(decoded)
            encoder.finish(into: &output)
        }
    }

    mutating func delimiter(_ line: ArraySlice<UInt8>, hasLineEndBefore: Bool, hasLineEnd: Bool) {
        if hasLineEndBefore { output += [0x0d, 0x0a] }
        output += line
        if hasLineEnd { output += [0x0d, 0x0a] }
    }

    mutating func isTooComplex(passedOver octets: [UInt8]) {}

    private mutating func encode(_ decoded: [UInt8]) {
        guard !decoded.isEmpty else { return }
        encoder.text(decoded[...], startsLine: startsDecodedLine, into: &output)
        startsDecodedLine = false
    }
}
