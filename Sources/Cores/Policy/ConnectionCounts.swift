import MailModel

/// The limits that an asker states for its sessions; 0: none.
public struct ConnectionLimits: Hashable, Sendable {
    /// `MaxSameIpSource`: sessions from one address.
    public var perAddress: Int
    /// `MaxParallelConnections`: sessions of the whole server.
    public var total: Int

    public init(perAddress: Int = 0, total: Int = 0) {
        self.perAddress = perAddress
        self.total = total
    }
}

/// Living sessions by client address, for all askers together (smtpserver.md §5.1, §5.2).
public struct ConnectionCounts: Sendable {
    public private(set) var total = 0
    private var byAddress: [IPAddress: Int] = [:]

    public init() {}

    public func count(_ address: IPAddress) -> Int { byAddress[address] ?? 0 }

    public mutating func add(_ address: IPAddress) {
        total += 1
        byAddress[address, default: 0] += 1
    }

    public mutating func remove(_ address: IPAddress) {
        guard let count = byAddress[address] else { return }
        total -= 1
        byAddress[address] = count > 1 ? count - 1 : nil
    }
}

/// The sessions of one asker: what is forgotten when its connection ends.
public struct AskerSessions: Sendable {
    /// Sessions of one asker at most; more are refused.
    public static let limit = 1_000_000

    public private(set) var addresses: [String: IPAddress] = [:]

    public init() {}

    public mutating func begin(_ session: String, _ address: IPAddress) -> Bool {
        guard addresses.count < Self.limit, addresses[session] == nil else { return false }
        addresses[session] = address
        return true
    }

    public mutating func end(_ session: String) -> IPAddress? { addresses.removeValue(forKey: session) }
}
