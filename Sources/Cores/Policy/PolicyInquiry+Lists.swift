import MailModel

/// Block and allow lists in the DNS (policy.md §10, RFC 5782).
extension PolicyInquiry {
    struct ListHit {
        let zone: String
        let address: IPAddress
        /// What the list says, printable; empty: nothing.
        let text: String
    }

    /// The first zone that lists the address, unless an allow list in front of it does. `nil` also if not all is known yet.
    /// A list that does not answer, or gives an answer that is none, is passed over.
    func ask(_ value: ArraySlice<UInt8>, about address: IPAddress) -> ListHit? {
        guard let zones = ListZone.list(value) else { return nil }
        let reversed = Self.reversed(address)
        // RFC 5782 §2.4 puts the zone behind the digits; ZMailer put `ip6` between them (policy.md §10).
        let prefixes = if case .v4 = address { [reversed] } else { [reversed, "\(reversed).ip6"] }
        var isWaiting = false
        var first: (zone: ListZone, name: String, address: IPAddress)?
        for zone in zones {
            for prefix in prefixes {
                let name = "\(prefix).\(zone.name)"
                guard let answer = answer(name, .a, list: zone.name) else {
                    isWaiting = true
                    continue
                }
                if first == nil, let hit = self.hit(zone, name, answer) { first = (zone, name, hit) }
            }
        }
        guard !isWaiting, let first else { return nil }
        guard !first.zone.allows else {
            step(.name, first.zone.name, "allows \(address.literal): the lists behind it are not heard")
            return nil
        }
        guard let text = answer(first.name, .txt, list: first.zone.name) else { return nil }
        if case .texts(let texts) = text, let octets = texts.first {
            return ListHit(
                zone: first.zone.name, address: first.address,
                text: PolicyReplies.printable(octets.prefix(Self.textLimit)))
        }
        return ListHit(zone: first.zone.name, address: first.address, text: "")
    }

    /// Octets of a list's text.
    private static let textLimit = 250

    /// The address that says "listed".
    private func hit(_ zone: ListZone, _ name: String, _ answer: NameFact.Answer) -> IPAddress? {
        switch answer {
        case .addresses(let addresses):
            var wrong: IPAddress?
            for address in addresses {
                guard case .v4(let value) = address, value >> 24 == 127, value >> 8 != 0x7fffff else {
                    wrong = address
                    continue
                }
                if zone.answers.isEmpty || zone.answers.contains(value) { return address }
            }
            if let wrong {
                step(.name, zone.name, "\(wrong) is no answer of a list: passed over")
                effects.append(.wrongList(zone: zone.name, problem: "\(name) is \(wrong)"))
            }
            return nil
        case .failure(let reason):
            step(.name, zone.name, "passed over: \(reason)")
            return nil
        case .exchangers, .texts, .names, .noData, .noName: return nil
        }
    }
}
