/// What a decision changes; whoever asked for it applies it once.
public enum PolicyEffect: Hashable, Sendable {
    /// Was asked for and has to wait: remember when it was seen first, if that is not known yet.
    case sawGreylist(GreylistKey)
    /// Has waited long enough: remember it from now on.
    case passedGreylist(GreylistKey)
    /// A block or allow list gave an answer that is none (127.255.255.0/24, or outside of 127.0.0.0/8): for the log.
    case wrongList(zone: String, problem: String)
}

public struct PolicyDecision: Hashable, Sendable {
    public var answer: PolicyAnswer
    public var effects: [PolicyEffect]

    public init(_ answer: PolicyAnswer, effects: [PolicyEffect] = []) {
        self.answer = answer
        self.effects = effects
    }
}
