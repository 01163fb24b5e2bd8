import SpoolFormat

/// One recipient of a job.
public struct JobRecipient: Hashable, Sendable {
    /// Index in ``ControlFile/groups``.
    public let group: Int
    public let recipient: ControlRecipient

    /// `local@domain`, or what the router left: a local part, a file, a command.
    public var address: String { recipient.quad.user }
}

/// Which recipients of a control file an agent serves (transport-agents.md §1).
public struct RecipientSelection: Sendable {
    /// `-c`.
    public let channel: String
    /// `-h` of agents that serve one host only.
    public let hostFilter: String?

    public init(channel: String, hostFilter: String? = nil) {
        self.channel = channel
        self.hostFilter = hostFilter
    }

    /// Those that are not done, not held by a living foreign agent, of our channel, and of one host: the scheduler's, or that of
    /// the first one selected.
    public func select(
        from file: ControlFile, host: String?, isAlive: (_ pid: Int) -> Bool
    ) -> (host: String, recipients: [JobRecipient]) {
        var host = host ?? hostFilter
        var selected: [JobRecipient] = []
        for (index, group) in file.groups.enumerated() {
            for recipient in group.recipients where recipient.quad.channel == channel {
                guard host == nil || recipient.quad.host == host,
                    hostFilter == nil || recipient.quad.host == hostFilter,
                    Self.isPending(recipient, isAlive: isAlive)
                else { continue }
                host = host ?? recipient.quad.host
                selected.append(JobRecipient(group: index, recipient: recipient))
            }
        }
        if !selected.isEmpty, !file.records.isEmpty {
            // A record is the result; the tag that should follow it may have been lost in a crash.
            let done = Set(file.records.lazy.filter { $0.notary.action != .delayed }.map(\.offset))
            selected.removeAll { done.contains($0.recipient.offset) }
        }
        return (host ?? "-", selected)
    }

    private static func isPending(_ recipient: ControlRecipient, isAlive: (_ pid: Int) -> Bool) -> Bool {
        switch recipient.tag {
        case .pending: true
        case .locked: recipient.lockHolder.map { !isAlive($0) } ?? true
        case .delivered, .failed: false
        }
    }
}
