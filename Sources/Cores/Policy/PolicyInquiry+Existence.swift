import MailModel

/// What the DNS says about domains of senders and recipients (policy.md §8.1). Results are ZMailer's: 0 accept, below 0 refuse,
/// below -99 for the time being.
extension PolicyInquiry {
    /// Mail hosts of one domain that are looked at.
    private static let exchangerLimit = 32

    /// Any MX (but the null MX, RFC 7505) or address record will do. `soft`: `+`.
    func existence(of domain: DomainName, soft: Bool) throws(PolicySuspension) -> Int {
        let name = domain.lookupName
        let answer = answer(name, .mx)
        try settle()
        switch answer {
        case .exchangers(let exchangers)? where Self.isNull(exchangers): return missing(soft)
        case .exchangers?: return 0
        case .failure?: return -104
        case .noName?: return -2
        case .addresses?, .texts?, .names?, .noData?, nil: break
        }
        let (addresses, hasFailed) = try addresses(of: [name])
        if !addresses.isEmpty { return 0 }
        return hasFailed ? -104 : missing(soft)
    }

    private func missing(_ soft: Bool) -> Int { soft ? -102 : -2 }

    /// Whether we are among the hosts that take mail for the domain, or the domain itself is this host.
    func exchange(of domain: DomainName, soft: Bool) throws(PolicySuspension) -> Int {
        let name = domain.lookupName
        let answer = answer(name, .mx)
        try settle()
        var hosts = [name]
        var isBare = true
        switch answer {
        case .exchangers(let exchangers)? where Self.isNull(exchangers): return soft ? -103 : -3
        case .exchangers(let exchangers)?:
            isBare = false
            hosts = exchangers.sorted { ($0.preference, $0.name) < ($1.preference, $1.name) }
                .prefix(Self.exchangerLimit).map { asciiLowercased($0.name) }
        case .failure?: return -104
        case .noName?: return -2
        case .addresses?, .texts?, .names?, .noData?, nil: break
        }
        let (addresses, hasFailed) = try addresses(of: hosts)
        if let bogus = addresses.first(where: { $0.isBogus && !isOurs($0) }) {
            step(.name, name, "\(bogus) is no address of the public network")
            return -104
        }
        if let own = addresses.first(where: isOurs) {
            step(.name, name, "\(own) is our address")
            return 0
        }
        if hasFailed { return -104 }
        return addresses.isEmpty && isBare ? missing(soft) : soft ? -103 : -3
    }

    private func isOurs(_ address: IPAddress) -> Bool { !address.isLoopback && tables.isOwnAddress(address.unmapped) }

    private static func isNull(_ exchangers: [NameFact.Exchanger]) -> Bool {
        exchangers.allSatisfy { $0.name == "." || $0.name.isEmpty }
    }

    /// All addresses of all names, asked for at once. `hasFailed`: the DNS did not say all.
    private func addresses(
        of names: [String]
    ) throws(PolicySuspension) -> (addresses: [IPAddress], hasFailed: Bool) {
        var all: [IPAddress] = []
        var hasFailed = false
        for name in names {
            for type in [NameQuestion.RecordType.a, .aaaa] {
                switch answer(name, type) {
                case .addresses(let addresses)?: all += addresses
                case .failure?: hasFailed = true
                case .exchangers?, .texts?, .names?, .noData?, .noName?, nil: break
                }
            }
        }
        try settle()
        return (all, hasFailed)
    }
}

extension IPAddress {
    /// Loopback, private, link-local, multicast and reserved addresses: no mail host of the public network has one (policy.md §8.1).
    var isBogus: Bool {
        switch unmapped {
        case .v4(let value):
            switch value >> 24 {
            case 0, 10, 127, 224...: true
            case 172: value >> 20 == 0xac1
            case 192: value >> 16 == 0xc0a8
            case 169: value >> 16 == 0xa9fe
            default: false
            }
        case .v6(let high, let low):
            (high == 0 && low <= 1) || high >> 57 == 0x7e || high >> 54 == 0x3fa || high >> 56 == 0xff
        }
    }
}
