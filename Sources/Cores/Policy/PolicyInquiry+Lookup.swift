import MailModel

/// Look-ups (policy.md §6): the first record that is found is used alone.
extension PolicyInquiry {
    /// Tags inside tags that are followed.
    static let maximumDepth = 5

    /// The longest network that holds the address; for IPv6, at last `[0.0.0.0]/0`.
    func findings(
        _ address: IPAddress, _ wanted: PolicyAttributeSet
    ) throws(PolicySuspension) -> PolicyFindings {
        let metadata = try table { () throws(PolicyTrouble) in try database.metadata() }
        switch address.unmapped {
        case .v4(let value):
            var lengths = metadata.v4Lengths
            while lengths != 0 {
                let length = 63 - lengths.leadingZeroBitCount
                lengths &= ~(1 << UInt64(length))
                let masked = length == 0 ? 0 : value & (~0 << (32 - UInt32(length)))
                let key: [UInt8] = [
                    7, PolicyKey.Kind.v4, UInt8(masked >> 24), UInt8(masked >> 16 & 255), UInt8(masked >> 8 & 255),
                    UInt8(masked & 255), UInt8(length),
                ]
                if let findings = try resolve(key, wanted) { return findings }
            }
        case .v6:
            for length in metadata.v6Lengths {
                guard let network = IPNetwork(address, prefixLength: length) else { continue }
                if let findings = try resolve(PolicyKey.network(network).octets, wanted) { return findings }
            }
            if metadata.v4Lengths & 1 != 0,
                let findings = try resolve([7, PolicyKey.Kind.v4, 0, 0, 0, 0, 0], wanted)
            {
                return findings
            }
        }
        step(.key, address.literal, "nothing found")
        return PolicyFindings()
    }

    /// `foo.bar.edu`, `.foo.bar.edu`, `.bar.edu`, `.edu`, `.`; the name in lower case, without a final dot; `.` is itself only.
    func findings(
        domain name: some Collection<UInt8>, _ wanted: PolicyAttributeSet
    ) throws(PolicySuspension) -> PolicyFindings {
        let dotted: [UInt8] = [UInt8(ascii: ".")] + name
        if dotted.count > 1, !(dotted.count == 2 && dotted[1] == UInt8(ascii: ".")) {
            if let findings = try resolve(domain: dotted[1...], wanted) { return findings }
            for index in dotted.indices where dotted[index] == UInt8(ascii: ".") {
                if let findings = try resolve(domain: dotted[index...], wanted) { return findings }
            }
        }
        if let findings = try resolve(domain: dotted[..<1], wanted) { return findings }
        step(.key, Octets.text(dotted[1...]), "nothing found")
        return PolicyFindings()
    }

    private func resolve(
        domain text: ArraySlice<UInt8>, _ wanted: PolicyAttributeSet
    ) throws(PolicySuspension) -> PolicyFindings? {
        guard text.count <= PolicyKey.maximumLength else { return nil }
        return try resolve(PolicyKey.octets(PolicyKey.Kind.domain, text), wanted)
    }

    /// `user@domain`, then `user@`.
    func findings(
        user mailbox: Mailbox, _ wanted: PolicyAttributeSet
    ) throws(PolicySuspension) -> PolicyFindings {
        guard try table({ () throws(PolicyTrouble) in try database.metadata() }).hasUsers else {
            step(.key, asciiLowercased(mailbox.description), "nothing found: there are no keys of users")
            return PolicyFindings()
        }
        var text = Array(asciiLowercased(mailbox.localPart.encoded).utf8)
        text.append(UInt8(ascii: "@"))
        let length = text.count
        text.append(contentsOf: mailbox.domain.lookupName.utf8)
        if text.count <= PolicyKey.maximumLength,
            let findings = try resolve(PolicyKey.octets(PolicyKey.Kind.user, text), wanted)
        {
            return findings
        }
        if length <= PolicyKey.maximumLength,
            let findings = try resolve(PolicyKey.octets(PolicyKey.Kind.user, text[..<length]), wanted)
        {
            return findings
        }
        step(.key, asciiLowercased(mailbox.description), "nothing found")
        return PolicyFindings()
    }

    /// `nil`: no such key.
    private func resolve(
        _ key: [UInt8], _ wanted: PolicyAttributeSet
    ) throws(PolicySuspension) -> PolicyFindings? {
        guard let record = try table({ () throws(PolicyTrouble) in try database.value(for: key) }) else {
            step(.key, PolicyKey(octets: key)?.description ?? "", "not found")
            return nil
        }
        step(.key, PolicyKey(octets: key)?.description ?? "", "found")
        var findings = PolicyFindings()
        findings.key = key
        var open = wanted
        var visits = 0
        try scan(record, key, &open, &findings, depth: 0, path: [], &visits)
        return findings
    }

    /// Takes what is of interest, each attribute where it is met first (policy.md §5).
    private func scan(
        _ record: [UInt8], _ key: [UInt8], _ open: inout PolicyAttributeSet, _ findings: inout PolicyFindings,
        depth: Int,
        path: [[UInt8]], _ visits: inout Int
    ) throws(PolicySuspension) {
        visits += 1
        guard visits <= Self.visitLimit else {
            throw .trouble(PolicyTrouble("more than \(Self.visitLimit) tags behind one key"))
        }
        var origin: ArraySlice<UInt8> = []
        var message: ArraySlice<UInt8>?
        var index = 0
        while index < record.count, !open.isEmpty {
            let length = Int(record[index])
            guard length >= 3, index + length <= record.count else {
                throw .trouble(PolicyTrouble("a broken record under \(PolicyKey(octets: key)?.description ?? "a key")"))
            }
            let value = record[(index + 2)..<(index + length - 1)]
            let attribute = PolicyAttribute(rawValue: record[index + 1])
            index += length
            switch attribute {
            case .origin?: origin = value
            case .message?: message = value
            case .alias?:
                message = nil
                try descend(value, origin, &open, &findings, depth: depth, path: path + [key], &visits)
            case let attribute?:
                let isWanted = open.contains(attribute)
                if isWanted {
                    open.remove(attribute)
                    findings.add(.init(attribute: attribute, value: value, message: message, origin: origin))
                }
                step(
                    .attribute, "\(attribute.name) \(Octets.text(value))",
                    isWanted
                        ? "accepted!"
                        : findings[attribute] == nil ? "not interested, skipped" : "known already, skipped",
                    origin: Octets.text(origin))
                message = nil
            case nil: message = nil
            }
        }
    }

    private func descend(
        _ tag: ArraySlice<UInt8>, _ origin: ArraySlice<UInt8>, _ open: inout PolicyAttributeSet,
        _ findings: inout PolicyFindings, depth: Int, path: [[UInt8]], _ visits: inout Int
    ) throws(PolicySuspension) {
        func note(_ outcome: String) { step(.attribute, "= \(Octets.text(tag))", outcome, origin: Octets.text(origin)) }
        guard depth < Self.maximumDepth else { return note("not followed: \(Self.maximumDepth) tags deep") }
        let key = PolicyKey.octets(PolicyKey.Kind.tag, tag)
        guard !path.contains(key) else { return note("not followed: leads to itself") }
        guard let record = try table({ () throws(PolicyTrouble) in try database.value(for: key) }) else {
            return note("nothing there")
        }
        note("followed")
        try scan(record, key, &open, &findings, depth: depth + 1, path: path, &visits)
    }
}
