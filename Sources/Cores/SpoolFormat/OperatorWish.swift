/// What an operator has asked for, as a record among the results (docs/spool.md §8): `delayed`, so that no reader takes it for one.
public enum OperatorWish: Hashable, Sendable {
    /// The message waits until it is released. Stands with one of its recipients and means all of them.
    case hold
    case release
    /// The recipient is to go when the agent that has it does not deliver: nobody is told.
    case remove
    /// Likewise, and its sender is told.
    case bounce
    /// Likewise to be delivered by another channel, to another host.
    case move(channel: String, host: String)
    /// Likewise to be routed again.
    case reroute

    /// `hold`, `move smtp/mx.example.org`.
    public var text: String {
        switch self {
        case .hold: "hold"
        case .release: "release"
        case .remove: "remove"
        case .bounce: "bounce"
        case .move(let channel, let host): "move \(channel)/\(host)"
        case .reroute: "reroute"
        }
    }

    public init?(_ text: String) {
        switch text {
        case "hold": self = .hold
        case "release": self = .release
        case "remove": self = .remove
        case "bounce": self = .bounce
        case "reroute": self = .reroute
        default:
            guard text.hasPrefix("move ") else { return nil }
            let parts = text.dropFirst(5).split(separator: "/", maxSplits: 1).map(String.init)
            guard parts.count == 2 else { return nil }
            self = .move(channel: parts[0], host: parts[1])
        }
    }

    /// Another destination, and not an end.
    public var isMove: Bool {
        switch self {
        case .move, .reroute: true
        case .hold, .release, .remove, .bounce: false
        }
    }
}

extension ResultRecord {
    /// The ``Notary/agent`` of an operator's records.
    public static let operatorAgent = "operator"

    /// `nil`: a result.
    public var wish: OperatorWish? {
        guard notary.action == .delayed, notary.agent == Self.operatorAgent else { return nil }
        return OperatorWish(notary.diagnostic)
    }

    /// `name`: who asks.
    public static func notary(of wish: OperatorWish, name: String) -> Notary {
        Notary(finalRecipient: name, action: .delayed, status: "4.7.0", diagnostic: wish.text, agent: operatorAgent)
    }
}
