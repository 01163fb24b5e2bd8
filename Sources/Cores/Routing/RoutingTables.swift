import MailModel

/// Routing could not be decided now: the message waits in `deferred/`.
public struct RoutingTrouble: Error, Hashable, Sendable, CustomStringConvertible {
    public let description: String
    public init(_ description: String) { self.description = description }
}

/// An entry of `aliases` or an `:include:` list.
public struct AliasEntry: Hashable, Sendable {
    public var targets: [String]
    /// The uid under which files and programs named there may be used.
    public var privilege: Int
    /// Whether only its owner can have written it; otherwise files and programs named there are refused.
    public var isSecure: Bool
    /// `file:line`.
    public var origin: String

    public init(targets: [String], privilege: Int, isSecure: Bool, origin: String) {
        self.targets = targets
        self.privilege = privilege
        self.isSecure = isSecure
        self.origin = origin
    }
}

/// What routing asks of the tables.
public protocol RoutingTables {
    /// Whether mail for this domain is delivered here: `localnames`, or an address literal of ours.
    func isLocal(_ domain: MailDomain) throws(RoutingTrouble) -> Bool
    /// What `routes` says of it, in the order of router.md §4.
    func route(_ domain: MailDomain) throws(RoutingTrouble) -> RouteSpec?
    /// The entry of `aliases`, without regard to case.
    func alias(_ name: String) throws(RoutingTrouble) -> AliasEntry?
    /// The addresses of an `:include:` file; `nil` if there is no such file.
    func list(_ path: String) throws(RoutingTrouble) -> AliasEntry?
    /// The account of that name as the system spells it.
    func account(_ name: String) throws(RoutingTrouble) -> String?
    /// Who reads the postmaster's mail when neither an alias nor an account has that name.
    func postmasterOfLastResort() throws(RoutingTrouble) -> String?
}
