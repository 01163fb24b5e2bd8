import MailModel

/// Whether a client may send mail in the name of a domain (RFC 7208 `check_host()`).
///
/// A function of its arguments and the facts: ``run()`` throws ``PolicySuspension/needs(_:)`` with all that it can ask at once
/// as long as facts are missing, and is called again from the start when they are there.
/// With the sender `""` it checks the HELO identity (§2.3), which is also that of the null reverse-path (§2.4).
///
///     let check = SPFCheck(client: client, helo: helo, sender: sender, receiver: "mx.example.org", facts: facts)
///     let result = try check.run()
public struct SPFCheck {
    private let identity: SPFIdentity
    private let facts: any NameFacts
    private let settings: SPFSettings
    private let wantsSteps: Bool

    /// - Parameters:
    ///   - helo: the HELO argument as it came.
    ///   - sender: the reverse-path without brackets, empty for `<>`.
    ///   - receiver: the name of this host; empty: not known.
    ///   - time: seconds since 1970, for `%{t}`.
    ///   - wantsSteps: whether ``SPFResult/steps`` is filled.
    public init(
        client: IPAddress, helo: String, sender: String, receiver: String, facts: any NameFacts,
        settings: SPFSettings = SPFSettings(), time: Int64 = 0, wantsSteps: Bool = false
    ) {
        identity = SPFIdentity(client: client, helo: helo, sender: sender, receiver: receiver, time: time)
        self.facts = facts
        self.settings = settings
        self.wantsSteps = wantsSteps
    }

    public func run() throws(PolicySuspension) -> SPFResult {
        var evaluation = SPFEvaluation(identity: identity, facts: facts, settings: settings, wantsSteps: wantsSteps)
        guard let domain = SPFDomain(checked: identity.domain) else {
            return result(evaluation, SPFEvaluation.Outcome(.none, problem: "no valid domain name"))
        }
        var outcome: SPFEvaluation.Outcome
        do throws(SPFEvaluation.Stop) {
            outcome = try evaluation.check(domain, isFirst: true)
        } catch {
            switch error {
            case .needs(let questions): throw .needs(questions)
            case .temporary(let problem): outcome = SPFEvaluation.Outcome(.tempError, problem: problem)
            case .permanent(let problem): outcome = SPFEvaluation.Outcome(.permError, problem: problem)
            }
        }
        var explanation: String?
        if outcome.level == .fail, let text = outcome.explanation, let source = outcome.domain {
            do throws(SPFEvaluation.Stop) {
                explanation = try evaluation.explanation(text, of: source)
            } catch {
                switch error {
                case .needs(let questions): throw .needs(questions)
                // RFC 7208 §6.2: as if there were none.
                case .temporary, .permanent: break
                }
            }
        }
        return result(evaluation, outcome, explanation)
    }

    private func result(
        _ evaluation: SPFEvaluation, _ outcome: SPFEvaluation.Outcome, _ explanation: String? = nil
    ) -> SPFResult {
        let domain = outcome.domain.map { Octets.text($0.text[...]) } ?? identity.domain
        let own = "\(identity.client) is not allowed to send mail from \(SPFText.plain(identity.domain))"
        return SPFResult(
            level: outcome.level, identity: identity.kind, identityDomain: identity.domain,
            explanation: outcome.level == .fail ? explanation ?? own : "",
            explainer: explanation == nil ? nil : domain, mechanism: outcome.mechanism, domain: domain,
            problem: outcome.problem, lookups: evaluation.terms, voidLookups: evaluation.voidTerms,
            receivedSPF: ReceivedSPF(identity: identity, outcome: outcome).line, steps: evaluation.steps)
    }
}
