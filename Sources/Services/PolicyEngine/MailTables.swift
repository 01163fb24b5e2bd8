import MailModel
import Policy
import Routing
import SpoolFormat
import Tables
import Telemetry

/// All tables that routing and policy need, in memory, read again when they change. Confined to one thread.
public final class MailTables {
    /// Milliseconds of the steady clock: set by the process at each turn of its loop.
    public var now: Int64 = 0

    private let localnames: TableFile<DomainTable>
    private let routes: TableFile<DomainTable>
    private let aliases: TableFile<AliasTable>
    private let accounts: Accounts
    private var lists: [String: TableFile<AddressListTable?>] = [:]
    private var senders: [String: TableFile<SenderTable>] = [:]
    private let ownAddresses: Set<IPAddress>
    private let hostName: String
    private let report: (TableEvent) -> Void

    /// `:include:` files kept in memory.
    public static let listLimit = 1000
    /// Tables of senders likewise: askers of our own name them, in their configuration.
    public static let senderTableLimit = 16

    public init(_ configuration: MailConfiguration, report: @escaping (TableEvent) -> Void) {
        let folder = configuration.tables
        self.report = report
        ownAddresses = configuration.ownAddresses
        hostName = configuration.hostName
        localnames = TableFile(
            path: "\(folder)/localnames", empty: DomainTable(),
            parse: { (octets, file) throws(TableErrors) in
                try DomainTable.parse(octets, file: file, form: .init(.optional, allowsDefault: false))
            }, report: report)
        routes = TableFile(
            path: "\(folder)/routes", empty: DomainTable(),
            parse: { (octets, file) throws(TableErrors) in
                try DomainTable.parse(
                    octets, file: file, form: .init(.required, allowsDefault: true, check: RouteSpec.problem))
            }, report: report)
        aliases = TableFile(
            path: "\(folder)/aliases", empty: AliasTable(),
            parse: { (octets, file) throws(TableErrors) in
                try AliasTable.parse(octets, file: file, check: AliasTarget.problem)
            }, report: report)
        accounts = Accounts(configuration.accounts, minimumUID: configuration.minimumUID, report: report)
    }

    /// Reads all tables. The trouble of each that cannot be used; mistakes were reported before.
    public func load() -> [TableTrouble] {
        var troubles: [TableTrouble] = []
        func attempt(_ body: () throws(TableTrouble) -> Void) {
            do throws(TableTrouble) { try body() } catch { troubles.append(error) }
        }
        attempt { () throws(TableTrouble) in _ = try localnames.current(now: now) }
        attempt { () throws(TableTrouble) in _ = try routes.current(now: now) }
        attempt { () throws(TableTrouble) in _ = try aliases.current(now: now) }
        attempt { () throws(TableTrouble) in _ = try accounts.account("postmaster", now: now) }
        return troubles
    }

    /// What is missing for RFC 5321 §4.5.1: mail for postmaster must reach somebody. `nil`: nothing.
    public func postmasterProblem() -> String? {
        do throws(TableTrouble) {
            if try recipientOrigin("postmaster") != nil { return nil }
            if try accounts.postmasterOfLastResort(now: now) != nil { return nil }
        } catch {
            return nil  // Reported where the table was read.
        }
        return "nobody gets the mail for postmaster: \(aliases.path) needs a line 'postmaster: user'"
    }

    /// SIGHUP: the next use of each table looks at its file.
    public func lookAgain() {
        localnames.lookAgain()
        routes.lookAgain()
        aliases.lookAgain()
        accounts.lookAgain()
        lists.removeAll()
        for table in senders.values { table.lookAgain() }
    }

    private static func name(_ path: String) -> Substring { path.split(separator: "/").last ?? path[...] }

    private func aliasEntry(_ name: String) throws(TableTrouble) -> (entry: AliasTable.Entry, owner: TableOwner?)? {
        let version = try aliases.current(now: now)
        return version.table.lookup(name).map { ($0, version.owner) }
    }
}

extension MailTables: RoutingTables {
    public func isLocal(_ domain: MailDomain) throws(RoutingTrouble) -> Bool {
        do throws(TableTrouble) { return try localOrigin(domain) != nil } catch { throw RoutingTrouble("\(error)") }
    }

    private func localOrigin(_ domain: MailDomain) throws(TableTrouble) -> String? {
        if case .literal(.ip(let address)) = domain, ownAddresses.contains(address.unmapped) { return "own address" }
        return try localnames.current(now: now).table.lookup(domain.lookupName).map { "localnames:\($0.line)" }
    }

    public func route(_ domain: MailDomain) throws(RoutingTrouble) -> RouteSpec? {
        do throws(TableTrouble) {
            return try routes.current(now: now).table.lookup(domain.lookupName).flatMap { RouteSpec($0.value) }
        } catch { throw RoutingTrouble("\(error)") }
    }

    public func alias(_ name: String) throws(RoutingTrouble) -> AliasEntry? {
        do throws(TableTrouble) {
            guard let (entry, owner) = try aliasEntry(name) else { return nil }
            return AliasEntry(
                targets: entry.targets, privilege: owner?.privilege ?? TableOwner.nobody,
                isSecure: owner?.isSecure ?? false, origin: "aliases:\(entry.line)")
        } catch { throw RoutingTrouble("\(error)") }
    }

    public func list(_ path: String) throws(RoutingTrouble) -> AliasEntry? {
        let file: TableFile<AddressListTable?>
        if let known = lists[path] {
            file = known
        } else {
            if lists.count >= Self.listLimit { lists.removeAll() }
            file = TableFile(
                path: path, empty: .some(nil),
                parse: { (octets, file) throws(TableErrors) in
                    try AddressListTable.parse(octets, file: file, check: AliasTarget.problem)
                }, report: report)
            lists[path] = file
        }
        do throws(TableTrouble) {
            let version = try file.current(now: now)
            return version.table.map {
                AliasEntry(
                    targets: $0.targets, privilege: version.owner?.privilege ?? TableOwner.nobody,
                    isSecure: version.owner?.isSecure ?? false, origin: path)
            }
        } catch { throw RoutingTrouble("\(error)") }
    }

    public func account(_ name: String) throws(RoutingTrouble) -> String? {
        do throws(TableTrouble) { return try accounts.account(name, now: now)?.name } catch {
            throw RoutingTrouble("\(error)")
        }
    }

    public func postmasterOfLastResort() throws(RoutingTrouble) -> String? {
        do throws(TableTrouble) { return try accounts.postmasterOfLastResort(now: now)?.name } catch {
            throw RoutingTrouble("\(error)")
        }
    }
}

extension MailTables: PolicyTables {
    public func isOwnAddress(_ address: IPAddress) -> Bool { ownAddresses.contains(address.unmapped) }

    public func route(to domain: MailDomain) throws(PolicyTrouble) -> String? {
        do throws(TableTrouble) {
            return try routes.current(now: now).table.lookup(domain.lookupName).map { "routes:\($0.line)" }
        } catch { throw PolicyTrouble("\(error)") }
    }

    public func localDomain(_ domain: MailDomain) throws(PolicyTrouble) -> String? {
        do throws(TableTrouble) { return try localOrigin(domain) } catch { throw PolicyTrouble("\(error)") }
    }

    public func localRecipient(_ localPart: String) throws(PolicyTrouble) -> String? {
        do throws(TableTrouble) {
            if let origin = try recipientOrigin(localPart) { return origin }
            guard let plus = localPart.utf8.firstIndex(of: UInt8(ascii: "+")), plus > localPart.startIndex else {
                return nil
            }
            return try recipientOrigin(String(localPart[..<plus]))
        } catch { throw PolicyTrouble("\(error)") }
    }

    private func recipientOrigin(_ name: String) throws(TableTrouble) -> String? {
        if let (entry, _) = try aliasEntry(name) { return "aliases:\(entry.line)" }
        return try accounts.account(name, now: now).map { "\(Self.name($0.origin))" }
    }

    public func senderRight(
        of login: String, to sender: Mailbox?, table path: String
    ) throws(PolicyTrouble) -> SenderRight {
        do throws(TableTrouble) {
            let name = Self.name(path)
            guard let entry = try senderTable(path).table.entry(of: login) else { return .noLine(file: "\(name)") }
            let origin = "\(name):\(entry.line)"
            return entry.allows(sender, as: login) ? .granted(origin: origin) : .denied(origin: origin)
        } catch { throw PolicyTrouble("\(error)") }
    }

    private func senderTable(_ path: String) throws(TableTrouble) -> TableFile<SenderTable>.Version {
        if let known = senders[path] { return try known.current(now: now) }
        if senders.count >= Self.senderTableLimit { senders.removeAll() }
        // Without the file nobody could be told from anybody: that is trouble, not an answer.
        let file = TableFile(path: path, empty: nil, parse: SenderTable.parse, report: report)
        senders[path] = file
        return try file.current(now: now)
    }

    public func destinations(_ address: String, expanding: Bool) throws(PolicyTrouble) -> [Destination] {
        do throws(RoutingTrouble) {
            if !expanding, let name = try localName(address) {
                let isKnown = try localRecipient(throwing: name) != nil
                return [
                    Destination(channel: isKnown ? "local" : "error", host: isKnown ? "-" : "nosuchuser", user: address)
                ]
            }
            var expansion = MessageExpansion(tables: self, hostName: hostName)
            try expansion.add(.init(address: address))
            return expansion.routed.map {
                Destination(
                    channel: $0.recipient.quad.channel, host: $0.recipient.quad.host, user: $0.recipient.quad.user)
            }
        } catch { throw PolicyTrouble("\(error)") }
    }

    /// The decoded local part if the address is one of ours or has no domain.
    private func localName(_ address: String) throws(RoutingTrouble) -> String? {
        guard let mailbox = Mailbox(address) else { return Mailbox("\(address)@localhost")?.localPart.text }
        return try isLocal(mailbox.domain) ? mailbox.localPart.text : nil
    }

    private func localRecipient(throwing name: String) throws(RoutingTrouble) -> String? {
        do throws(PolicyTrouble) { return try localRecipient(name) } catch { throw RoutingTrouble("\(error)") }
    }
}
