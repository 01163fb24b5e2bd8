import MailModel
import Resolver
import SMTPProtocol

/// `-e`: whether the host that is connected takes mail for a recipient's own domain, as its MX records say.
struct ExchangerCheck<Names: NameService> {
    private let finder: HostFinder<Names>
    private let endpoint: Endpoint
    /// `nil`: no objection.
    private var objections: [String: Objection?] = [:]

    /// Why a recipient is not to be sent there now.
    struct Objection: Hashable {
        let status: String
        let text: String
    }

    init(_ finder: HostFinder<Names>, _ endpoint: Endpoint) {
        self.finder = finder
        self.endpoint = endpoint
    }

    mutating func objection(to entry: EnvelopeEntry) -> Objection? {
        // Postmaster without a domain is the host's own.
        guard case .mailbox(let mailbox) = entry.command.forwardPath else { return nil }
        let domain = mailbox.domain.description
        if let known = objections[domain] { return known }
        let found = look(domain)
        objections[domain] = .some(found)
        return found
    }

    private func look(_ domain: String) -> Objection? {
        guard let hop = NextHop(domain) else {
            return Objection(status: "4.4.4", text: "\(domain) is no domain whose MX records could be looked at")
        }
        switch finder.endpoints(of: hop) {
        case .temporaryFailure(let reason): return Objection(status: "4.4.3", text: reason)
        case .permanentFailure(_, let reason): return Objection(status: "4.4.4", text: reason)
        case .endpoints(let hosts):
            if hosts.contains(where: { $0.address == endpoint.address && $0.address != nil }) { return nil }
            return Objection(
                status: "4.4.4", text: "\(endpoint) is not among the MX hosts of \(domain), and -e asks for that")
        }
    }
}
