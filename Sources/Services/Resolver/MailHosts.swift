import MailModel

/// Where mail for a domain goes, or why it cannot (RFC 5321 §5.1, RFC 7505 §4).
public enum MailHosts: Hashable, Sendable {
    /// At least one; in the order in which they are to be tried.
    case hosts([MailHost])
    /// DNS trouble: try again later. The text is for logs and delivery reports.
    case temporaryFailure(String)
    case permanentFailure(EnhancedStatusCode, String)
}

/// One address of one host; a host with several addresses is several entries.
public struct MailHost: Hashable, Sendable {
    /// Presentation form without the final dot, in the spelling of the DNS.
    public let name: String
    public let address: IPAddress
    /// Of the MX record; 0 where there was none.
    public let preference: Int
    /// Whether nobody can have forged the name: it is the domain's own, or DNSSEC vouches for the MX records.
    public let isNameVouchedFor: Bool

    public init(name: String, address: IPAddress, preference: Int, isNameVouchedFor: Bool = false) {
        self.name = name
        self.address = address
        self.preference = preference
        self.isNameVouchedFor = isNameVouchedFor
    }
}

/// What makes a mail exchanger ourselves.
public struct OwnIdentity: Hashable, Sendable {
    private let names: Set<String>
    private let addresses: Set<IPAddress>

    public init(names: [String], addresses: [IPAddress]) {
        self.names = Set(names.map { asciiLowercased($0) })
        self.addresses = Set(addresses.map(\.unmapped))
    }

    public func contains(name: String) -> Bool { names.contains(asciiLowercased(name)) }
    public func contains(_ address: IPAddress) -> Bool { addresses.contains(address.unmapped) }
}

/// Finds the hosts that take a domain's mail.
public struct MailRouting<Names: NameService>: Sendable {
    private let names: Names
    /// `nil` turns the rule against mail loops off (RFC 5321 §5.1: "the relay host … MUST remove itself"). Right when the next hop
    /// listens on another port than our own server does.
    private let ownIdentity: OwnIdentity?
    private let prefersIPv6: Bool

    /// Entries that are tried at most; RFC 5321 §5.1 asks for two and lets a site bound them.
    public static var maximumHosts: Int { 20 }
    /// MX records that are looked at; the best by preference.
    static var maximumExchangers: Int { 50 }

    public init(_ names: Names, ownIdentity: OwnIdentity?, prefersIPv6: Bool = false) {
        self.names = names
        self.ownIdentity = ownIdentity
        self.prefersIPv6 = prefersIPv6
    }

    /// MX records, or the domain's own addresses where it has none. A CNAME in front of the MX or of an exchanger's address is
    /// followed (RFC 5321 §5.1 allows the first; the second is forbidden to the zone's owner and common all the same).
    public func mailHosts(for domain: String, using generator: inout some RandomNumberGenerator) -> MailHosts {
        guard let name = asciiName(domain) else { return Self.unusable(domain) }
        switch names.mailExchangers(of: name) {
        case .temporaryFailure(let reason):
            return .temporaryFailure("MX of \(domain): \(reason)")
        case .nxDomain:
            return .permanentFailure(EnhancedStatusCode(5, 1, 2), "\(domain): no such domain")
        case .noData:
            return addresses(
                of: [MXRecord(preference: 0, exchange: name)], domain: domain, areVouchedFor: true, using: &generator)
        case .answer(let answer):
            // RFC 7505 §3: a null MX stands alone; beside others the root is an exchanger without addresses.
            if answer.records.allSatisfy({ $0.exchange == "." }) {
                return .permanentFailure(
                    EnhancedStatusCode(5, 1, 10), "\(domain): domain does not accept mail (null MX, RFC 7505)")
            }
            return addresses(
                of: answer.records, domain: domain, areVouchedFor: answer.isSecure, using: &generator)
        }
    }

    /// The addresses of a host as they are, MX records not looked at.
    public func addresses(ofHost host: String, using generator: inout some RandomNumberGenerator) -> MailHosts {
        guard let name = asciiName(host) else { return Self.unusable(host) }
        return addresses(
            of: [MXRecord(preference: 0, exchange: name)], domain: host, areVouchedFor: true, using: &generator)
    }

    private static func unusable(_ name: String) -> MailHosts {
        .permanentFailure(EnhancedStatusCode(5, 1, 2), "\(name): not a domain name")
    }

    private func addresses(
        of records: [MXRecord], domain: String, areVouchedFor: Bool, using generator: inout some RandomNumberGenerator
    ) -> MailHosts {
        let exchangers = Self.ordered(records, using: &generator)
        let lookups = names.lookUp(exchangers.flatMap { [Question($0.exchange, .a), Question($0.exchange, .aaaa)] })
        var hosts: [MailHost] = []
        var failure: String?
        var ownPreference: Int?
        var allMissing = true
        for (index, exchanger) in exchangers.enumerated() {
            let four = lookups[2 * index].decoded { RecordData.address4($0) }
            let six = lookups[2 * index + 1].decoded { RecordData.address6($0) }
            for lookup in [four, six] {
                switch lookup {
                case .temporaryFailure(let reason): failure = failure ?? "address of \(exchanger.exchange): \(reason)"
                case .answer, .noData: allMissing = false
                case .nxDomain: break
                }
            }
            let first = (prefersIPv6 ? six : four).records.shuffled(using: &generator)
            let addresses = first + (prefersIPv6 ? four : six).records.shuffled(using: &generator)
            if let ownIdentity,
                ownIdentity.contains(name: exchanger.exchange) || addresses.contains(where: ownIdentity.contains)
            {
                ownPreference = min(ownPreference ?? exchanger.preference, exchanger.preference)
            }
            hosts += addresses.map {
                MailHost(
                    name: exchanger.exchange, address: $0, preference: exchanger.preference,
                    isNameVouchedFor: areVouchedFor)
            }
        }
        if let ownPreference {
            hosts.removeAll { $0.preference >= ownPreference }
            if hosts.isEmpty, failure == nil || exchangers.allSatisfy({ $0.preference >= ownPreference }) {
                return .permanentFailure(
                    EnhancedStatusCode(5, 4, 4),
                    "configuration inconsistency, we are lowest MX, but this is not our local domain!")
            }
        }
        if !hosts.isEmpty { return .hosts(Array(hosts.prefix(Self.maximumHosts))) }
        if let failure { return .temporaryFailure(failure) }
        if allMissing, exchangers.count == 1, exchangers[0].exchange == domain {
            return .permanentFailure(EnhancedStatusCode(5, 1, 2), "\(domain): no such domain")
        }
        return .permanentFailure(EnhancedStatusCode(5, 4, 4), "\(domain): no host with an address takes its mail")
    }

    /// By preference, random among equals; each exchanger once, with its best preference.
    private static func ordered(
        _ records: [MXRecord], using generator: inout some RandomNumberGenerator
    ) -> [MXRecord] {
        var seen: Set<String> = []
        let sorted = records.shuffled(using: &generator).enumerated().sorted {
            ($0.element.preference, $0.offset) < ($1.element.preference, $1.offset)
        }
        let unique = sorted.map(\.element).filter {
            $0.exchange != "." && seen.insert(asciiLowercased($0.exchange)).inserted
        }
        return Array(unique.prefix(maximumExchangers))
    }
}
