import MailModel

/// Whose messages and recipients are counted together: a client's IPv4 address, or its IPv6 /64, which is one host's as a rule.
public struct RateKey: Hashable, Sendable, CustomStringConvertible {
    public let network: IPNetwork

    public init?(client: IPAddress?) {
        guard let client = client?.unmapped else { return nil }
        let length = if case .v4 = client { 32 } else { 64 }
        guard let network = IPNetwork(client, prefixLength: length) else { return nil }
        self.network = network.masked
    }

    public var description: String { "\(network)" }
}

/// What greylisting remembers: who (the client's /24 or /64) wants to send from whom to whom.
public struct GreylistKey: Hashable, Sendable, CustomStringConvertible {
    public let network: IPNetwork
    /// Lower case, empty for `<>`.
    public let sender: String
    /// Lower case.
    public let recipient: String

    public init?(client: IPAddress, sender: String, recipient: String) {
        let client = client.unmapped
        let length = if case .v4 = client { 24 } else { 64 }
        guard let network = IPNetwork(client, prefixLength: length) else { return nil }
        self.network = network.masked
        self.sender = asciiLowercased(sender)
        self.recipient = asciiLowercased(recipient)
    }

    public var description: String { "\(network) <\(sender)> <\(recipient)>" }
}

/// What was counted, as a decision reads it.
public protocol PolicyCounters {
    /// Seconds since 1970.
    var now: Int64 { get }
    /// Living sessions, the asking one included.
    var totalConnections: Int { get }
    /// Those of one address, unmapped.
    func connections(of address: IPAddress) -> Int
    /// Messages stored in the last hour.
    func messages(_ key: RateKey) -> Int
    /// Messages of an account of this host (``PolicyQuestion/Identity``), stored in the last hour.
    func messages(ofAccount name: String) -> Int
    /// Recipients of messages stored in the last hour.
    func recipients(_ key: RateKey) -> Int
    /// Logins that failed in the last hour.
    func authFailures(_ key: RateKey) -> Int
    /// Those as a user, from anywhere.
    func authFailures(as user: String) -> Int
    /// Seconds since 1970; `nil`: never seen, or forgotten.
    func firstSeen(_ key: GreylistKey) -> Int64?
}
