import FuzzSupport
import MailModel
import Policy

/// Lines: the records of d.example and e.example, an explanation, the sender's local part, the HELO name; the rest of the DNS
/// follows from the names.
///
/// Properties: a check ends after few rounds, with the same result whether facts come one by one, all that are needed, or
/// before they are asked for; it asks for possible names only; and no text that it makes holds what a stranger put in its way.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzzSPF(_ start: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
    guard let input = Input(start, count) else { return 0 }
    let world = World(input)
    let results = [Feeding.everything, .asNeeded, .oneByOne].map { check(world, $0) }
    precondition(results.allSatisfy { $0 == results[0] }, "the result depends on how facts come")
    checkTexts(results[0])
    checkRecord(world.lines[0])
    return 0
}

private enum Feeding {
    case everything
    case asNeeded
    case oneByOne
}

private struct World: NameFacts {
    let lines: [[UInt8]]
    let variant: UInt8

    init(_ input: Input) {
        var lines = input.octets.split(separator: 0x0a, maxSplits: 4, omittingEmptySubsequences: false).map(Array.init)
        while lines.count < 5 { lines.append([]) }
        self.lines = lines
        variant = input.variant
    }

    var client: IPAddress {
        switch variant & 3 {
        case 0: .v6(high: 0x2001_0db8_0000_0000, low: 1)
        case 1: .v6(high: 0, low: 0xffff_c000_0201)
        default: .v4(0xc000_0201)
        }
    }

    func fact(_ question: NameQuestion) -> NameFact? {
        precondition((1...253).contains(question.name.utf8.count))
        precondition(question.name.utf8.allSatisfy { (0x20...0x7e).contains($0) && !(65...90).contains($0) })
        precondition(
            question.name.utf8.split(separator: 0x2e, omittingEmptySubsequences: false)
                .allSatisfy { (1...63).contains($0.count) })
        var hash = UInt32(variant)
        for octet in question.name.utf8 { hash = hash &* 31 &+ UInt32(octet) }
        switch (question.type, hash >> 3 & 7) {
        case (.txt, _) where question.name == "d.example": return NameFact(.texts([Array("v=spf1 ".utf8) + lines[0]]))
        case (.txt, _) where question.name == "e.example": return NameFact(.texts([Array("v=spf1 ".utf8) + lines[1]]))
        case (_, 0): return NameFact(.noName)
        case (_, 1): return NameFact(.noData)
        case (_, 2): return NameFact(.failure("time out"))
        case (.txt, _): return NameFact(.texts([lines[2]]))
        case (.a, 3), (.aaaa, 3): return NameFact(.addresses([client.unmapped]))
        case (.a, _), (.aaaa, _): return NameFact(.addresses([.v4(0xc000_0207), .v6(high: 0x2001_0db8 << 32, low: 7)]))
        case (.mx, let number):
            return NameFact(.exchangers((0..<Int(number * 2)).map { .init(preference: $0, name: "mx\($0).example") }))
        case (.ptr, let number):
            return NameFact(.names((0..<Int(number * 2)).map { "n\($0).d.example" } + ["e.example", "Odd..Name", ""]))
        }
    }
}

private struct Known: NameFacts {
    var facts: [NameQuestion: NameFact] = [:]
    func fact(_ question: NameQuestion) -> NameFact? { facts[question] }
}

private func check(_ world: World, _ feeding: Feeding) -> SPFResult {
    var known = Known()
    var settings = SPFSettings()
    if world.variant & 4 != 0 {
        do {
            settings.localPolicy = try SPFLocalPolicy(parsing: "include:e.example exists:%{l}.%{d}")
        } catch {
            preconditionFailure("\(error)")
        }
    }
    for _ in 0..<500 {
        let check = SPFCheck(
            client: world.client, helo: String(decoding: world.lines[4], as: UTF8.self),
            sender: world.variant & 8 == 0 ? String(decoding: world.lines[3], as: UTF8.self) + "@d.example" : "",
            receiver: "mx.example", facts: feeding == .everything ? world : known, settings: settings, wantsSteps: true)
        do throws(PolicySuspension) {
            return try check.run()
        } catch {
            guard case .needs(let questions) = error, !questions.isEmpty else { preconditionFailure("no question") }
            precondition(Set(questions).count == questions.count && questions.count <= 10)
            for question in feeding == .oneByOne ? questions.prefix(1) : questions[...] {
                precondition(known.facts[question] == nil, "asked twice")
                known.facts[question] = world.fact(question)
            }
        }
    }
    preconditionFailure("asks without end")
}

private func checkTexts(_ result: SPFResult) {
    precondition(result.lookups <= 11 && result.voidLookups <= 3)
    precondition(result.explanation.utf8.count <= SPFSettings.maximumExplanationLength)
    for text in result.replyLines + [result.explanation, result.mechanism, result.problem]
        + result.steps.map(\.debugLine)
    {
        precondition(text.utf8.allSatisfy { (0x20...0x7e).contains($0) })
    }
    precondition(result.receivedSPF.unicodeScalars.allSatisfy { $0.properties.generalCategory != .control })
    precondition(result.receivedSPF.utf8.count < 2500)
    precondition(result.receivedSPF.split(separator: " ").allSatisfy { $0.utf8.count <= 900 })
}

/// A record means the same with other spaces; and its terms, one by one, are valid exactly when it is, but for repetitions.
private func checkRecord(_ terms: [UInt8]) {
    func parsed(_ terms: [UInt8]) -> Result<SPFRecord, SPFSyntaxError> {
        Result { () throws(SPFSyntaxError) in try SPFRecord(parsing: Array("v=spf1 ".utf8) + terms) }
    }
    let whole = parsed(terms)
    let words = terms.split(separator: 0x20).map(Array.init)
    precondition(parsed([0x20] + words.joined(separator: [0x20, 0x20]) + [0x20]) == whole)
    let parts = words.map(parsed)
    switch whole {
    case .success(let record):
        precondition(parts.allSatisfy { if case .success = $0 { true } else { false } })
        precondition(
            record.directives
                == parts.flatMap { if case .success(let part) = $0 { part.directives } else { [SPFDirective]() } })
    case .failure(let error):
        precondition(
            error.reason == .repeatedModifier || parts.contains { if case .failure = $0 { true } else { false } })
    }
}
