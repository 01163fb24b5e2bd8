import Policy

/// A question whose decision waits for facts.
final class PendingDecision {
    let number: UInt64
    /// Milliseconds of the steady clock.
    let begun: Int64
    let question: PolicyQuestion
    let asker: PolicyAsker
    let facts: DecisionFacts
    let then: (PolicyAnswer) -> Void
    /// Asked for and not found yet.
    var missing: Set<NameQuestion> = []
    var rounds = 0

    init(
        number: UInt64, begun: Int64, _ question: PolicyQuestion, _ asker: PolicyAsker, _ facts: DecisionFacts,
        _ then: @escaping (PolicyAnswer) -> Void
    ) {
        self.number = number
        self.begun = begun
        self.question = question
        self.asker = asker
        self.facts = facts
        self.then = then
    }
}

/// What one decision knows. It keeps each fact that it has seen: one that leaves the cache while others are awaited would have to
/// be asked for again and again.
final class DecisionFacts: NameFacts {
    /// Milliseconds of the steady clock.
    var now: Int64 = 0
    private var own: [NameQuestion: StoredFact] = [:]
    /// Of all answers in it, about.
    private(set) var octets = 0
    private unowned let finder: NameFactFinder

    init(_ finder: NameFactFinder) { self.finder = finder }

    var count: Int { own.count }

    func fact(_ question: NameQuestion) -> NameFact? {
        if let fact = own[question] { return fact.fact(now: now) }
        guard let fact = finder.known(question, now: now) else { return nil }
        keep(fact, question)
        return fact.fact(now: now)
    }

    func has(_ question: NameQuestion) -> Bool { own[question] != nil }

    func keep(_ fact: StoredFact, _ question: NameQuestion) {
        own[question] = fact
        octets += fact.answer.size
    }

    func removeAll() {
        own.removeAll(keepingCapacity: true)
        octets = 0
    }
}
