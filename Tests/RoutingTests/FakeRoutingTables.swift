import MailModel
import Routing
import SpoolFormat

/// Tables of a small instance, given as text.
struct FakeRoutingTables: RoutingTables {
    var localDomains: Set<String> = ["example.test", "[192.0.2.25]"]
    var routes: [String: String] = [:]
    /// Targets separated by commas.
    var aliases: [String: [String]] = [:]
    var lists: [String: [String]] = [:]
    var accounts: Set<String> = ["alice", "bob", "postmaster"]
    var lastResort: String?
    var isSecure = true
    var brokenNames: Set<String> = []

    func isLocal(_ domain: MailDomain) throws(RoutingTrouble) -> Bool { localDomains.contains(domain.key) }

    func route(_ domain: MailDomain) throws(RoutingTrouble) -> RouteSpec? {
        if brokenNames.contains(domain.key) { throw RoutingTrouble("routes:1: wrong") }
        return routes[domain.key].flatMap { RouteSpec($0) }
    }

    func alias(_ name: String) throws(RoutingTrouble) -> AliasEntry? {
        if brokenNames.contains(name) { throw RoutingTrouble("aliases:1: wrong") }
        return aliases[asciiLowercased(name)].map {
            AliasEntry(targets: $0, privilege: isSecure ? 1000 : 65534, isSecure: isSecure, origin: "aliases:1")
        }
    }

    func list(_ path: String) throws(RoutingTrouble) -> AliasEntry? {
        lists[path].map { AliasEntry(targets: $0, privilege: 2000, isSecure: true, origin: path) }
    }

    func account(_ name: String) throws(RoutingTrouble) -> String? {
        let lower = asciiLowercased(name)
        return accounts.contains(lower) ? lower : nil
    }

    func postmasterOfLastResort() throws(RoutingTrouble) -> String? { lastResort }

    /// Where the recipients lead: `channel host user`, with `/privilege` unless nobody's, and `<owner>` for a list's.
    func expansion(_ recipients: [String], limits: MessageExpansion.Limits = .init()) throws -> [String] {
        var expansion = MessageExpansion(tables: self, hostName: "mail.example.test", limits: limits)
        for recipient in recipients { try expansion.add(EnvelopeRecipient(address: recipient)) }
        return expansion.routed.map { routed in
            let quad = routed.recipient.quad
            let privilege = quad.privilege == 65534 ? "" : "/\(quad.privilege)"
            let owner = routed.listOwner.map { " <\($0)>" } ?? ""
            return "\(quad.channel) \(quad.host) \(quad.user)\(privilege)\(owner)"
        }
    }
}
