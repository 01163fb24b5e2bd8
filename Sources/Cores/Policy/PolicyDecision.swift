/// What a decision changes; whoever asked for it applies it once.
public enum PolicyEffect: Hashable, Sendable {
    /// Was asked for and has to wait: remember when it was seen first, if that is not known yet.
    case sawGreylist(GreylistKey)
    /// Has waited long enough: remember it from now on.
    case passedGreylist(GreylistKey)
}

public struct PolicyDecision: Hashable, Sendable {
    public var answer: PolicyAnswer
    public var effects: [PolicyEffect]

    public init(_ answer: PolicyAnswer, effects: [PolicyEffect] = []) {
        self.answer = answer
        self.effects = effects
    }
}
