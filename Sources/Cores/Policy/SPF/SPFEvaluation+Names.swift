import MailModel

extension SPFEvaluation {
    /// What is known about all of these, or a stop that asks for what is not.
    func answers(_ questions: [NameQuestion]) throws(Stop) -> [NameFact.Answer] {
        var missing: [NameQuestion] = []
        var answers: [NameFact.Answer] = []
        for question in questions {
            if let fact = facts.fact(question) {
                answers.append(fact.answer)
            } else if !missing.contains(question) {
                missing.append(question)
            }
        }
        guard missing.isEmpty else { throw .needs(missing) }
        return answers
    }

    func failed(_ question: NameQuestion, _ reason: String) -> Stop {
        .temporary("\(question.type.rawValue) of \(SPFText.plain(question.name)): \(SPFText.plain(reason))")
    }

    /// The addresses of each name, of the client's family only (RFC 7208 §5).
    func addresses(of names: [String]) throws(Stop) -> [[IPAddress]] {
        let questions = names.map(addressQuestion)
        var lists: [[IPAddress]] = []
        for (question, answer) in zip(questions, try answers(questions)) {
            switch answer {
            case .addresses(let found): lists.append(found)
            case .noData, .noName: lists.append([])
            case .failure(let reason): throw failed(question, reason)
            case .exchangers, .texts, .names: throw failed(question, "records of another type")
            }
        }
        return lists
    }

    private func addressQuestion(_ name: String) -> NameQuestion {
        if case .v4 = identity.client { NameQuestion(name, .a) } else { NameQuestion(name, .aaaa) }
    }

    /// The reverse names of the client, at or below `domain` if there is one, that have its address (RFC 7208 §5.5).
    /// DNS failures make no error here: who connects controls these names, not who publishes the record.
    mutating func validatedNames(below domain: SPFDomain?, countsVoid: Bool) throws(Stop) -> [String] {
        let found: [String]
        switch try answers([NameQuestion(identity.client.reverseName, .ptr)])[0] {
        case .names(let names): found = names
        case .noData, .noName:
            if countsVoid { try countVoid() }
            return []
        case .failure, .addresses, .exchangers, .texts: return []
        }
        let names = found.prefix(settings.maximumNames).compactMap { SPFDomain(target: Array($0.utf8))?.name }
            .filter { domain?.contains($0) ?? true }
        let known = try answers(names.map(addressQuestion))
        return zip(names, known).compactMap { name, answer in
            guard case .addresses(let addresses) = answer, addresses.contains(identity.client) else { return nil }
            return name
        }
    }

    /// The domain that a term names; that of the record if it names none. `nil`: there can be no such name, which is no match
    /// where it is not an error (RFC 7208 §4.8 leaves it open).
    mutating func domain(_ target: SPFMacroString?, _ domain: SPFDomain) throws(Stop) -> SPFDomain? {
        guard let target else { return domain }
        // Only what may remain of it is expanded, from the right: a final dot, the name, and the dot or octet before it. No more pieces
        // than it can have octets: macros that stand for nothing would be work without end.
        let expanded = try expandRight(target, domain, limit: SPFDomain.maximumLength + 2)
        return SPFDomain(target: SPFDomain.truncated(expanded))
    }

    private mutating func expandRight(
        _ text: SPFMacroString, _ domain: SPFDomain, limit: Int
    ) throws(Stop) -> [UInt8] {
        var parts: [[UInt8]] = []
        var count = 0
        for piece in text.pieces.suffix(limit).reversed() where count < limit {
            let part = try expand(piece, domain)
            parts.append(part)
            count += part.count
        }
        return Array(parts.reversed().joined().suffix(limit))
    }

    /// At most the first `limit` octets.
    mutating func expand(_ text: SPFMacroString, _ domain: SPFDomain, limit: Int) throws(Stop) -> [UInt8] {
        var out: [UInt8] = []
        for piece in text.pieces.prefix(limit) where out.count < limit { out += try expand(piece, domain) }
        return Array(out.prefix(limit))
    }

    private mutating func expand(_ piece: SPFMacroString.Piece, _ domain: SPFDomain) throws(Stop) -> [UInt8] {
        switch piece {
        case .text(let octets):
            return octets
        case .macro(let macro):
            guard macro.letter == .validatedName else {
                return macro.transformed(identity.text(of: macro.letter, in: domain))
            }
            return macro.transformed(Array(try validatedName(domain).utf8))
        }
    }

    /// `%{p}` (RFC 7208 §7.3): the domain itself, else one below it, else any.
    private mutating func validatedName(_ domain: SPFDomain) throws(Stop) -> String {
        if !hasCountedName {
            try countTerm()
            hasCountedName = true
        }
        let names = try validatedNames(below: nil, countsVoid: false)
        return names.first { $0 == domain.name } ?? names.first { domain.contains($0) } ?? names.first ?? "unknown"
    }

    mutating func countTerm() throws(Stop) {
        terms += 1
        guard terms <= settings.maximumTerms else {
            throw .permanent("more than \(settings.maximumTerms) terms ask the DNS")
        }
    }

    mutating func countVoid() throws(Stop) {
        voidTerms += 1
        guard voidTerms <= settings.maximumVoidLookups else {
            throw .permanent("more than \(settings.maximumVoidLookups) terms ask for names that do not exist")
        }
    }
}
