/// What an operator has asked for, as a record among the results (docs/spool.md §8): `delayed`, so that no reader takes it for one.
public enum OperatorWish: String, Hashable, Sendable {
    /// The message waits until it is released. Stands with one of its recipients and means all of them.
    case hold
    case release
    /// The recipient is to go when the agent that has it does not deliver: nobody is told.
    case remove
    /// Likewise, and its sender is told.
    case bounce
}

extension ResultRecord {
    /// The ``Notary/agent`` of an operator's records.
    public static let operatorAgent = "operator"

    /// `nil`: a result.
    public var wish: OperatorWish? {
        guard notary.action == .delayed, notary.agent == Self.operatorAgent else { return nil }
        return OperatorWish(rawValue: notary.diagnostic)
    }

    /// `name`: who asks.
    public static func notary(of wish: OperatorWish, name: String) -> Notary {
        Notary(
            finalRecipient: name, action: .delayed, status: "4.7.0", diagnostic: wish.rawValue, agent: operatorAgent)
    }
}
