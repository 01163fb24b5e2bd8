import Configuration
import MailModel
import SpoolFormat

/// Which recipients of the queue an operator means: what is said of the same kind is alternatives, of different kinds all must hold.
public struct QueueSelection: Hashable, Sendable {
    /// As ``RecipientDescription/State`` has them; only what is not done can be meant.
    public enum Status: String, Hashable, Sendable, CaseIterable {
        case waiting, deferred, held, active, suspended
    }

    public var ids: Set<SpoolID> = []
    /// Of the envelope; `<>` is the null sender.
    public var senders: [GlobPattern] = []
    /// Of the address as routed, or as it was given.
    public var recipients: [GlobPattern] = []
    public var channels: [GlobPattern] = []
    public var hosts: [GlobPattern] = []
    public var statuses: Set<Status> = []
    /// Seconds since the arrival: at least, at most.
    public var olderThan: Int64?
    public var youngerThan: Int64?
    /// Octets of the message file: at least, at most.
    public var largerThan: Int?
    public var smallerThan: Int?

    public init() {}

    /// It means everything.
    public var isEverything: Bool { self == QueueSelection() }

    /// Names of messages that may be meant at a time by ``ids``, and patterns of one kind.
    public static let maximumIDs = 10_000
    public static let maximumPatterns = 100
}

extension QueueSelection {
    /// Whether the message can be meant; its recipients decide.
    func admits(_ message: QueuedMessage, at now: UnixTime) -> Bool {
        if !ids.isEmpty, !ids.contains(message.id) { return false }
        let age = now - message.arrived
        if let olderThan, age < olderThan { return false }
        if let youngerThan, age > youngerThan { return false }
        if let largerThan, message.size < largerThan { return false }
        if let smallerThan, message.size > smallerThan { return false }
        return Self.admits(senders, message.sender.isEmpty ? "<>" : message.sender)
    }

    func admits(_ key: ThreadKey) -> Bool { Self.admits(channels, key.channel) && Self.admits(hosts, key.host) }

    func admits(_ recipient: QueuedRecipient) -> Bool {
        recipients.isEmpty || Self.admits(recipients, recipient.address)
            || recipient.original.map { Self.admits(recipients, $0) } ?? false
    }

    func admits(_ state: RecipientDescription.State) -> Bool {
        statuses.isEmpty || statuses.contains { $0.rawValue == state.rawValue }
    }

    static func admits(_ patterns: [GlobPattern], _ text: String) -> Bool {
        if patterns.isEmpty { return true }
        let octets = asciiLowercased(text).utf8
        return patterns.contains { $0.matches(Array(octets)) }
    }
}
