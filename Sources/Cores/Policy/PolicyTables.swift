import MailModel

/// A question cannot be answered now: 451 4.3.0, never an accept.
public struct PolicyTrouble: Error, Hashable, Sendable, CustomStringConvertible {
    public let description: String
    public init(_ description: String) { self.description = description }
}

/// Where an address leads: for VRFY and EXPN.
public struct Destination: Hashable, Sendable {
    public let channel: String
    public let host: String
    public let user: String

    public init(channel: String, host: String, user: String) {
        self.channel = channel
        self.host = host
        self.user = user
    }
}

/// What decisions ask of the tables. `origin`s are `file:line`, for the log.
public protocol PolicyTables {
    /// The `origin` if mail for the domain is delivered here.
    func localDomain(_ domain: MailDomain) throws(PolicyTrouble) -> String?
    /// The `origin` of the alias or account that the local part leads to, details (`user+detail`) included; `nil`: nobody.
    func localRecipient(_ localPart: String) throws(PolicyTrouble) -> String?
    /// Where an address (`local@domain` or a local part of ours) leads; with `expanding`, through aliases to their ends.
    func destinations(_ address: String, expanding: Bool) throws(PolicyTrouble) -> [Destination]
    /// Whether the address is one of this host's interfaces or of SELFADDRESSES.
    func isOwnAddress(_ address: IPAddress) -> Bool
    /// The `origin` if a table says where mail for the domain goes: the DNS has no say about such a domain then.
    func route(to domain: MailDomain) throws(PolicyTrouble) -> String?
    /// Whether a login may use an address (`nil`: the null sender), as the table at `path` says.
    func senderRight(
        of login: String, to sender: Mailbox?, table path: String
    ) throws(PolicyTrouble) -> SenderRight
}

/// What a table of senders says about a login and an address.
public enum SenderRight: Hashable, Sendable {
    /// `origin`: `file:line`.
    case granted(origin: String)
    /// The login has a line, and not this address.
    case denied(origin: String)
    /// There is no line for the login; `file` is the table's name.
    case noLine(file: String)
}

extension PolicyTables {
    public func route(to domain: MailDomain) throws(PolicyTrouble) -> String? { nil }

    /// For tables without one: never "granted".
    public func senderRight(
        of login: String, to sender: Mailbox?, table path: String
    ) throws(PolicyTrouble) -> SenderRight {
        throw PolicyTrouble("\(path): there are no tables of senders here")
    }
}
