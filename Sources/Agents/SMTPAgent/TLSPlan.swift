import Configuration
import MailModel
import SMTPProtocol
import TransportSecurity

/// TLS of one connection: what its destination wants, with the names that its server may have.
struct TLSPlan: Hashable, Sendable {
    let policy: TLSPolicy
    let endpoint: Endpoint
    /// What the server is asked for (RFC 6066 §3), where it has a name.
    let serverName: String?
    let verification: TLSVerification

    init(_ policy: TLSPolicy, hop: NextHop, endpoint: Endpoint) {
        self.policy = policy
        self.endpoint = endpoint
        serverName = endpoint.hostName
        let names = Self.names(policy, hop, endpoint)
        verification =
            switch policy.level {
            case .none, .may, .encrypt: .opportunistic(names: names)
            case .verify: .names(names)
            case .fingerprint:
                .fingerprints(Set(policy.fingerprints.compactMap { TLSFingerprint(octets: $0.octets) }))
            }
    }

    /// Host names, addresses, and `.domain` for all names below a domain.
    private static func names(_ policy: TLSPolicy, _ hop: NextHop, _ endpoint: Endpoint) -> [String] {
        var wanted = policy.names
        if !policy.hasOwnNames, endpoint.isNameVouchedFor { wanted.append(.hostName) }
        var names: [String] = []
        for name in wanted {
            let text: String? =
                switch name {
                case .nextHop: hop.certificateName
                case .belowNextHop: hop.isDomain ? hop.certificateName.map { "." + $0 } : nil
                case .hostName: endpoint.hostName ?? endpoint.address?.description
                case .name(let text), .below(let text): text
                }
            if let text, !names.contains(text) { names.append(text) }
        }
        return names
    }

    /// How the session begins.
    var use: ClientSession.TLSUse {
        switch policy.level {
        case .none: .never
        case .may: .ifOffered
        case .encrypt, .verify, .fingerprint: policy.isWrapped ? .implicit : .required
        }
    }

    /// What of a resumed session must be the same.
    struct SessionKey: Hashable, Sendable {
        let place: Endpoint.Place
        let serverName: String?
        let verification: TLSVerification
        let policy: TLSPolicy
    }

    var sessionKey: SessionKey {
        SessionKey(place: endpoint.place, serverName: serverName, verification: verification, policy: policy)
    }
}

extension NextHop {
    /// The name or address that a certificate for it holds.
    fileprivate var certificateName: String? {
        switch destination {
        case .address(let address): address.description
        case .domain(let name, _): asciiName(name).map { asciiLowercased($0) }
        case .unixSocket: nil
        }
    }

    fileprivate var isDomain: Bool {
        switch destination {
        case .domain: true
        case .address, .unixSocket: false
        }
    }
}

extension TLSPolicy.ProtocolVersion {
    /// What the library calls it.
    var transport: TLSProtocolVersion {
        switch self {
        case .tls1_0: .tls10
        case .tls1_1: .tls11
        case .tls1_2: .tls12
        case .tls1_3: .tls13
        }
    }
}
