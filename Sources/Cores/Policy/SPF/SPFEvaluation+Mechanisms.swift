import MailModel

extension SPFEvaluation {
    /// RFC 7208 §5.
    mutating func matches(_ directive: SPFDirective, _ domain: SPFDomain) throws(Stop) -> Bool {
        switch directive.mechanism {
        case .all:
            return true
        case .network(let network):
            return contains(network.address, network.prefixLength)
        case .include(let target):
            try countTerm()
            return try includes(target, domain)
        case .a(let target, let v4, let v6):
            try countTerm()
            guard let name = try self.domain(target, domain) else { return false }
            let found = try addresses(of: [name.name])[0]
            if found.isEmpty { try countVoid() }
            return found.contains { contains($0, prefix(v4, v6)) }
        case .mx(let target, let v4, let v6):
            try countTerm()
            guard let name = try self.domain(target, domain) else { return false }
            return try exchangers(of: name).contains { contains($0, prefix(v4, v6)) }
        case .ptr(let target):
            try countTerm()
            guard let name = try self.domain(target, domain) else { return false }
            return try !validatedNames(below: name, countsVoid: true).isEmpty
        case .exists(let target):
            try countTerm()
            guard let name = try self.domain(target, domain) else { return false }
            return try exists(name)
        }
    }

    /// The table of RFC 7208 §5.2.
    private mutating func includes(_ target: SPFMacroString, _ domain: SPFDomain) throws(Stop) -> Bool {
        guard let included = try self.domain(target, domain), included.isMultiLabel else {
            throw .permanent("include of \(SPFText.plain(domain.name)): no valid domain name")
        }
        let outcome = try check(included)
        switch outcome.level {
        case .pass: return true
        case .fail, .softfail, .neutral: return false
        case .tempError: throw .temporary(outcome.problem)
        case .permError: throw .permanent(outcome.problem)
        case .none:
            throw .permanent("include of \(SPFText.plain(domain.name)): \(SPFText.plain(outcome.problem))")
        }
    }

    /// The addresses of a domain's exchangers, by preference (RFC 7208 §5.4); without MX records there are none.
    private mutating func exchangers(of domain: SPFDomain) throws(Stop) -> [IPAddress] {
        let question = NameQuestion(domain.name, .mx)
        switch try answers([question])[0] {
        case .exchangers(let found):
            guard found.count <= settings.maximumExchangers else {
                throw .permanent("\(found.count) exchangers of \(SPFText.plain(domain.name))")
            }
            // A null MX (RFC 7505) is no host.
            let hosts = found.compactMap { SPFDomain(target: Array($0.name.utf8))?.name }
            let addresses = try addresses(of: hosts).flatMap { $0 }
            if !hosts.isEmpty, addresses.isEmpty { try countVoid() }
            return addresses
        case .noData, .noName:
            try countVoid()
            return []
        case .failure(let reason): throw failed(question, reason)
        case .addresses, .texts, .names: throw failed(question, "records of another type")
        }
    }

    /// RFC 7208 §5.7: A records, whatever the client's family.
    private mutating func exists(_ domain: SPFDomain) throws(Stop) -> Bool {
        let question = NameQuestion(domain.name, .a)
        switch try answers([question])[0] {
        case .addresses(let found): return !found.isEmpty
        case .noData, .noName:
            try countVoid()
            return false
        case .failure(let reason): throw failed(question, reason)
        case .exchangers, .texts, .names: throw failed(question, "records of another type")
        }
    }

    private func prefix(_ v4: Int, _ v6: Int) -> Int { if case .v4 = identity.client { v4 } else { v6 } }

    /// An IPv4 client is in no IPv6 network, mapped or not, and the other way round (RFC 7208 §5).
    private func contains(_ address: IPAddress, _ prefixLength: Int) -> Bool {
        switch (address, identity.client) {
        case (.v4(let network), .v4(let client)):
            return prefixLength == 0 || (network ^ client) >> (32 - UInt32(prefixLength)) == 0
        case (.v6(let high, let low), .v6(let clientHigh, let clientLow)):
            if prefixLength == 0 { return true }
            if prefixLength <= 64 { return (high ^ clientHigh) >> (64 - UInt64(prefixLength)) == 0 }
            return high == clientHigh && (low ^ clientLow) >> (128 - UInt64(prefixLength)) == 0
        case (.v4, .v6), (.v6, .v4):
            return false
        }
    }
}
