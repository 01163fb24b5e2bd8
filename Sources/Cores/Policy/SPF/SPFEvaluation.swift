import MailModel

/// One run of a check: the counters, and the walk through the records (RFC 7208 §4).
struct SPFEvaluation {
    /// Why the walk ends early.
    enum Stop: Error {
        case needs([NameQuestion])
        case temporary(String)
        case permanent(String)
    }
    struct Outcome {
        var level: SPFResult.Level
        var mechanism = ""
        var domain: SPFDomain?
        /// What `exp` says in the record that decided.
        var explanation: SPFMacroString?
        var problem = ""

        init(_ level: SPFResult.Level, problem: String = "") {
            self.level = level
            self.problem = problem
        }
    }
    let identity: SPFIdentity
    let facts: any NameFacts
    let settings: SPFSettings
    let wantsSteps: Bool
    var terms = 0
    var voidTerms = 0
    /// `%{p}` counts once: its questions are asked once.
    var hasCountedName = false
    var steps: [PolicyStep] = []

    init(identity: SPFIdentity, facts: any NameFacts, settings: SPFSettings, wantsSteps: Bool) {
        self.identity = identity
        self.facts = facts
        self.settings = settings
        self.wantsSteps = wantsSteps
    }

    /// `check_host()` of one domain. Recursion is bounded by the limit of terms.
    mutating func check(_ domain: SPFDomain, isFirst: Bool = false) throws(Stop) -> Outcome {
        guard let text = try record(of: domain) else {
            return Outcome(.none, problem: "no SPF record at \(domain.name)")
        }
        let record: SPFRecord
        do throws(SPFSyntaxError) {
            record = try SPFRecord(parsing: text)
        } catch {
            throw .permanent("SPF record of \(SPFText.plain(domain.name)): \(error)")
        }
        for directive in record.directives {
            if isFirst, directive.isAll, let outcome = try local(domain) { return outcome }
            let matches = try matches(directive, domain)
            note(domain, directive.text, matches ? "matches: \(directive.level.rawValue)" : "no match")
            if matches {
                var outcome = Outcome(directive.level)
                outcome.mechanism = SPFText.plain(directive.text)
                outcome.domain = domain
                outcome.explanation = record.explanation
                return outcome
            }
        }
        if isFirst, !record.directives.contains(where: \.isAll), let outcome = try local(domain) { return outcome }
        if let redirect = record.redirect { return try self.redirect(to: redirect, domain) }
        var outcome = Outcome(.neutral)
        outcome.mechanism = "default"
        outcome.domain = domain
        return outcome
    }

    /// The one TXT record that is an SPF record (RFC 7208 §4.4, §4.5).
    private func record(of domain: SPFDomain) throws(Stop) -> [UInt8]? {
        let question = NameQuestion(domain.name, .txt)
        switch try answers([question])[0] {
        case .texts(let texts):
            let records = texts.filter { SPFRecord.hasVersion($0) }
            guard records.count <= 1 else {
                throw .permanent("\(records.count) SPF records at \(SPFText.plain(domain.name))")
            }
            return records.first
        case .noData, .noName: return nil
        case .failure(let reason): throw failed(question, reason)
        case .addresses, .exchangers, .names: throw failed(question, "records of another type")
        }
    }

    /// RFC 7208 §6.1: its result is ours, and so is its explanation.
    private mutating func redirect(to target: SPFMacroString, _ domain: SPFDomain) throws(Stop) -> Outcome {
        try countTerm()
        guard let next = try self.domain(target, domain), next.isMultiLabel else {
            throw .permanent("redirect of \(SPFText.plain(domain.name)) to no valid domain name")
        }
        note(domain, Array("redirect=\(next.name)".utf8)[...], "followed")
        let outcome = try check(next)
        guard outcome.level != .none else {
            throw .permanent("redirect of \(SPFText.plain(domain.name)): \(SPFText.plain(outcome.problem))")
        }
        return outcome
    }

    /// The terms of our own, with counters of their own.
    private mutating func local(_ domain: SPFDomain) throws(Stop) -> Outcome? {
        guard let policy = settings.localPolicy else { return nil }
        let saved = (terms, voidTerms, hasCountedName)
        (terms, voidTerms, hasCountedName) = (0, 0, false)
        defer { (terms, voidTerms, hasCountedName) = saved }
        for directive in policy.directives {
            do throws(Stop) {
                guard try matches(directive, domain) else {
                    note(domain, directive.text, "local policy: no match")
                    continue
                }
            } catch .permanent(let problem) {
                note(domain, directive.text, "local policy: \(problem)")
                continue
            }
            note(domain, directive.text, "local policy matches: \(directive.level.rawValue)")
            var outcome = Outcome(directive.level)
            outcome.mechanism = SPFText.plain(directive.text)
            outcome.domain = domain
            return outcome
        }
        return nil
    }

    /// The text that `exp` leads to, with macros expanded; `nil` whenever something is wrong with it (RFC 7208 §6.2). Nothing
    /// here counts: the result is known already.
    mutating func explanation(_ target: SPFMacroString, of domain: SPFDomain) throws(Stop) -> String? {
        hasCountedName = true
        guard let name = try self.domain(target, domain),
            case .texts(let texts) = try answers([NameQuestion(name.name, .txt)])[0], texts.count == 1,
            let text = texts.first, !text.isEmpty
        else { return nil }
        let macros: SPFMacroString
        do throws(SPFSyntaxError) {
            macros = try SPFMacroString(parsing: text[...], as: .explanation)
        } catch {
            note(domain, Array("exp=\(name.name)".utf8)[...], "\(error)")
            return nil
        }
        let expanded = try expand(macros, domain, limit: SPFSettings.maximumExplanationLength + 1)
        // A sender's address may be UTF-8 (RFC 6531); a reply to a client that has not asked for it may not.
        guard expanded.allSatisfy({ (0x20...0x7e).contains($0) }) else { return nil }
        let limit = SPFSettings.maximumExplanationLength
        return SPFText.plain(expanded, limit: expanded.count > limit ? limit - 3 : limit)
    }

    mutating func note(_ domain: SPFDomain, _ term: ArraySlice<UInt8>, _ outcome: String) {
        guard wantsSteps else { return }
        steps.append(PolicyStep(.spf, "\(SPFText.plain(domain.name)) \(SPFText.plain(term))", outcome))
    }
}
