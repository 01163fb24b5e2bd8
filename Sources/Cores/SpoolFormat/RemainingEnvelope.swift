/// The envelope of what is still to be done for a message: a message file of its own that the router can take.
///
/// A recipient of which routing made several (an alias) is taken as it was given if none of them is done. Otherwise those that are not
/// done are taken by the addresses that they were routed to, so that nobody is served twice.
public struct RemainingEnvelope: Hashable, Sendable {
    public private(set) var envelope: MessageEnvelope
    /// Offsets of the control file's recipients that it stands for, and of those that it cannot name: a file or a program of an alias
    /// that is done in part.
    public private(set) var taken: [Int] = []
    public private(set) var left: [Int] = []

    /// - Parameters:
    ///   - original: of the message file.
    ///   - offsets: those that are meant; `nil`: all that are not done.
    public init(_ file: ControlFile, original: MessageEnvelope, offsets: Set<Int>? = nil) {
        envelope = original
        envelope.recipients = []
        let done = Set(file.records.lazy.filter { $0.notary.action != .delayed }.map(\.offset))
        let sender = file.groups.first?.sender
        var families: [String: [(group: ControlGroup, recipient: ControlRecipient, isMeant: Bool)]] = [:]
        var order: [String] = []
        for group in file.groups {
            for recipient in group.recipients {
                let isDone = done.contains(recipient.offset) || recipient.tag == .delivered || recipient.tag == .failed
                let key = recipient.envelopeRecipient ?? recipient.quad.user
                if families[key] == nil { order.append(key) }
                families[key, default: []].append(
                    (group, recipient, !isDone && offsets?.contains(recipient.offset) ?? true))
            }
        }
        for key in order {
            let family = families[key] ?? []
            guard family.contains(where: \.isMeant) else { continue }
            if family.allSatisfy(\.isMeant), let first = family.first?.recipient {
                add(key, first, family.map(\.recipient.offset))
                continue
            }
            for member in family where member.isMeant {
                let isNameable =
                    member.recipient.quad.user.utf8.contains(UInt8(ascii: "@")) && member.group.sender == sender
                if isNameable {
                    add(member.recipient.quad.user, member.recipient, [member.recipient.offset])
                } else {
                    left.append(member.recipient.offset)
                }
            }
        }
    }

    private mutating func add(_ address: String, _ recipient: ControlRecipient, _ offsets: [Int]) {
        taken += offsets
        envelope.recipients.append(
            EnvelopeRecipient(
                address: address, notify: recipient.notify, originalRecipient: recipient.originalRecipient))
    }
}
