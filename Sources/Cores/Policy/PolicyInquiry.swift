import MailModel

/// One decision while it is made: what it is given, the session's state as it changes, and what it leaves behind.
final class PolicyInquiry {
    let settings: AskerSettings
    let database: any PolicyDatabase
    let tables: any PolicyTables
    let counters: any PolicyCounters
    let question: PolicyQuestion
    /// IPv4-mapped addresses are IPv4.
    let client: IPAddress?
    private let facts: any NameFacts
    private var missing: [NameQuestion] = []
    /// Records that were looked at for one key: a net of tags that refers to itself many times ends there.
    static let visitLimit = 200

    /// The session's, as the question tells it.
    let given: PolicyState
    var state: PolicyState
    var effects: [PolicyEffect] = []
    var steps: [PolicyStep] = []

    init(_ evaluator: PolicyEvaluator, _ question: PolicyQuestion, _ state: PolicyState) {
        settings = evaluator.settings
        database = evaluator.database
        tables = evaluator.tables
        facts = evaluator.facts
        counters = evaluator.counters
        self.question = question
        client = question.client?.unmapped
        given = state
        self.state = state
    }

    var isAuthenticated: Bool { !question.authenticatedUser.isEmpty }

    /// Evaluated only if steps are wanted.
    func step(
        _ kind: PolicyStep.Kind, _ subject: @autoclosure () -> String, _ outcome: @autoclosure () -> String = "",
        origin: @autoclosure () -> String = ""
    ) {
        guard question.wantsSteps else { return }
        steps.append(PolicyStep(kind, subject(), outcome(), origin: origin()))
    }

    func set(_ flag: PolicyState.Flags, _ name: String, _ findings: PolicyFindings, _ found: PolicyFindings.Found) {
        state.flags.insert(flag)
        if flag == .senderReject || flag == .senderFreeze {
            state.senderReason = findings.reason(found)
        } else {
            state.reason = findings.reason(found)
        }
        step(.flag, name, "set", origin: Octets.text(found.origin))
    }

    // MARK: facts

    /// `nil` if it is not known yet: noted, and asked for by ``settle()``.
    func answer(_ name: String, _ type: NameQuestion.RecordType, list: String = "") -> NameFact.Answer? {
        let question = NameQuestion(name, type, list: list)
        guard let fact = facts.fact(question) else {
            if !missing.contains(question) { missing.append(question) }
            return nil
        }
        step(
            .name, "\(type.rawValue) \(name)", "\(Self.words(fact.answer))\(fact.age > 0 ? ", \(fact.age) s old" : "")")
        return fact.answer
    }

    /// All that was asked for up to here is needed now.
    func settle() throws(PolicySuspension) { if !missing.isEmpty { throw .needs(missing) } }

    /// For one whose own code asks for facts.
    var source: any NameFacts { facts }

    /// Octets of a TXT record in a step.
    private static let textLimit = 300

    private static func words(_ answer: NameFact.Answer) -> String {
        switch answer {
        case .addresses(let addresses): addresses.map { "\($0)" }.joined(separator: " ")
        case .exchangers(let exchangers): exchangers.map { "\($0.preference) \($0.name)" }.joined(separator: ", ")
        case .texts(let texts):
            texts.map { "'\(PolicyReplies.printable($0.prefix(textLimit)))'" }.joined(separator: " ")
        case .names(let names): names.joined(separator: " ")
        case .noData: "no such record"
        case .noName: "no such name"
        case .failure(let reason): "failure: \(reason)"
        }
    }

    // MARK: tables

    func table<Value>(
        _ body: () throws(PolicyTrouble) -> Value
    ) throws(PolicySuspension) -> Value {
        do throws(PolicyTrouble) { return try body() } catch { throw .trouble(error) }
    }
}
