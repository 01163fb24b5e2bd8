extension ControlFile {
    /// The file with other places for these recipients, as octets: results stay with those whose they are. What was moved begins anew,
    /// without the attempts of before. `nil`: none of them is there and not done.
    public func moved(_ offsets: Set<Int>, channel: String, host: String) -> [UInt8]? {
        let done = Set(records.lazy.filter { $0.notary.action != .delayed }.map(\.offset))
        var changed = self
        changed.records = []
        var moved: Set<Int> = []
        for group in changed.groups.indices {
            for index in changed.groups[group].recipients.indices {
                let recipient = changed.groups[group].recipients[index]
                guard offsets.contains(recipient.offset), !done.contains(recipient.offset), recipient.tag == .pending
                else { continue }
                moved.insert(recipient.offset)
                changed.groups[group].recipients[index].quad.channel = channel
                changed.groups[group].recipients[index].quad.host = host
            }
        }
        guard !moved.isEmpty else { return nil }
        var octets = changed.encodeHead()
        var places: [Int: (header: Int, recipient: ControlRecipient)] = [:]
        for (old, new) in zip(groups, changed.groups) {
            for (before, after) in zip(old.recipients, new.recipients) {
                places[before.offset] = (new.headerOffset, after)
                octets[after.offset + 1] =
                    before.tag == .locked ? ControlRecipient.Tag.pending.rawValue : before.tag.rawValue
            }
        }
        for record in records {
            // What was asked for is done with this.
            if record.wish?.isMove ?? false { continue }
            guard let place = places[record.offset] else { continue }
            let isAttempt = record.notary.action == .delayed && record.wish == nil && !record.isDelayNotice
            if isAttempt, moved.contains(record.offset) { continue }
            var record = record
            record.offset = place.recipient.offset
            record.headerOffset = place.header
            record.notaryOffset = place.recipient.notaryOffset
            octets += record.encoded()
        }
        return octets
    }
}
