import MailModel

/// Decides about clients, senders and recipients by the policy database (policy.md §8). A decision is a function of what it is
/// given: it asks nobody, keeps nothing and can be made again.
public struct PolicyEvaluator {
    let settings: AskerSettings
    let database: any PolicyDatabase
    let tables: any PolicyTables
    let facts: any NameFacts
    let counters: any PolicyCounters

    public init(
        settings: AskerSettings, database: any PolicyDatabase, tables: any PolicyTables, facts: any NameFacts,
        counters: any PolicyCounters
    ) {
        self.settings = settings
        self.database = database
        self.tables = tables
        self.facts = facts
        self.counters = counters
    }

    /// The answer to any question, and what it changes.
    public func decide(_ question: PolicyQuestion) throws(PolicySuspension) -> PolicyDecision {
        let state: PolicyState
        switch question.verb {
        case .connect, .disconnect, .stored, .auth, .authFailed, .verify, .expand: state = PolicyState()
        case .helo, .mail, .rcpt:
            // A state that cannot be read may have held "reject": it is never taken for an empty one.
            guard let known = PolicyState(text: question.state) else {
                throw .trouble(PolicyTrouble("the question does not say what was found out about the session"))
            }
            state = known
        }
        return try PolicyInquiry(self, question, state).decide()
    }

    /// The answer when there can be no decision: 451 4.3.0, never an accept.
    public static func trouble(_ question: PolicyQuestion, _ reason: String) -> PolicyAnswer {
        var answer = PolicyAnswer(
            number: question.number, verdict: .refuse,
            reply: Reply(451, EnhancedStatusCode(4, 3, 0), "Temporary local trouble, try again later"),
            reason: "trouble: \(reason)")
        answer.state = question.state
        return answer
    }
}
