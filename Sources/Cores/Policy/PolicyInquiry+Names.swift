import MailModel

/// The client's names (policy.md §8, "Reverse name").
extension PolicyInquiry {
    /// Names of one address that are looked at.
    private static let nameLimit = 10
    private static let wantedOfNames: PolicyAttributeSet = [
        .rejectnet, .freezenet, .relaycustnet, .maxinsize, .rcptDNSRBL,
    ]

    /// Which names the client has. A name is confirmed if it has the client's address: whoever runs the reverse zone can write
    /// any name there.
    private struct Names {
        var all: [(name: String, isConfirmed: Bool)] = []
        /// The DNS did not say all.
        var isUnknown = false
    }

    /// The answer to `connect` as far as names decide it. Suspends nothing: what is not known is asked for by ``settle()``.
    func reverseName(_ client: IPAddress) throws(PolicySuspension) -> PolicyAnswer {
        let names = names(of: client)
        step(
            .chain, "reverse-name",
            names.all.isEmpty
                ? names.isUnknown ? "unknown" : "none"
                : names.all.map { "\($0.name)\($0.isConfirmed ? "" : " (not confirmed)")" }.joined(separator: " "))
        let confirmed = names.all.first { $0.isConfirmed }?.name
        var answer = try decide(names.all)
        answer.clientName = confirmed ?? ""
        let missing = names.isUnknown ? "??" : "FAIL"
        answer.reverseFlags = "\(names.all.isEmpty ? missing : "OK")-\(confirmed == nil ? missing : "OK")"
        if names.isUnknown, !state.flags.contains(.alwaysAccept),
            try table({ () throws(PolicyTrouble) in try database.metadata() }).namesGrant
        {
            // Whether the client has rights by its name is not known: what it lacks is refused for the time being only.
            state.flags.insert(.lacksName)
            step(.flag, "lacks_name", "set: the DNS did not tell the client's name")
        }
        return answer
    }

    private func decide(
        _ names: [(name: String, isConfirmed: Bool)]
    ) throws(PolicySuspension) -> PolicyAnswer {
        if state.flags.contains(.alwaysFreeze) { return freeze(state.reason) }
        if state.flags.contains(.fullTrust) { return accept(state.reason) }
        for (name, isConfirmed) in names {
            let findings = try findings(domain: name.utf8, Self.wantedOfNames)
            if let found = findings.plus(.rejectnet) {
                set(.alwaysReject, "always_reject", findings, found)
                state.rejectText = text(found)
                return rejectedNet()
            }
            if let found = findings.plus(.freezenet) {
                set(.alwaysFreeze, "always_freeze", findings, found)
                return freeze(state.reason)
            }
            if let found = findings[.maxinsize], found.number > 0,
                state.maximumSize == 0 || found.number < state.maximumSize
            {
                state.maximumSize = found.number
            }
            guard !state.flags.contains(.alwaysAccept) else { continue }
            if let found = findings.plus(.relaycustnet) {
                if isConfirmed {
                    set(.alwaysAccept, "always_accept", findings, found)
                    continue
                }
                step(
                    .flag, "always_accept", "not set: the name \(name) does not have the client's address",
                    origin: Octets.text(found.origin))
            }
            if let found = findings[.rcptDNSRBL], found.value.first == UInt8(ascii: "_") { takeListText(found) }
        }
        return accept(state.reason.isEmpty ? "nothing against the client" : state.reason)
    }

    /// In the order of their letters, so that the order in which the DNS gives them decides nothing.
    private func names(of client: IPAddress) -> Names {
        var names = Names()
        let type: NameQuestion.RecordType = if case .v4 = client { .a } else { .aaaa }
        switch answer(Self.reverse(client), .ptr) {
        case .names(let found)?:
            for name in Set(found.map { asciiLowercased($0) }).sorted().prefix(Self.nameLimit) {
                guard let domain = DomainName(name, allowingUTF8: false) else { continue }
                var isConfirmed = false
                switch answer(domain.key, type) {
                case .addresses(let addresses)?: isConfirmed = addresses.contains { $0.unmapped == client }
                case .failure?: names.isUnknown = true
                case .exchangers?, .texts?, .names?, .noData?, .noName?, nil: break
                }
                names.all.append((domain.key, isConfirmed))
            }
        case .failure?: names.isUnknown = true
        case .addresses?, .exchangers?, .texts?, .noData?, .noName?, nil: break
        }
        return names
    }

    /// RFC 1035 §3.5, RFC 3596 §2.5.
    static func reverse(_ address: IPAddress) -> String {
        switch address {
        case .v4: "\(reversed(address)).in-addr.arpa"
        case .v6: "\(reversed(address)).ip6.arpa"
        }
    }

    /// `4.3.2.1`, or the 32 digits in reverse order, with dots between.
    static func reversed(_ address: IPAddress) -> String {
        switch address {
        case .v4(let value): return "\(value & 255).\(value >> 8 & 255).\(value >> 16 & 255).\(value >> 24)"
        case .v6:
            let digits = address.octets.reversed().flatMap { [$0 & 15, $0 >> 4] }
            return digits.map { String($0, radix: 16) }.joined(separator: ".")
        }
    }
}
