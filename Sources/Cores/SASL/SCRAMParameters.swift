/// How a SCRAM client derives its keys from the password (RFC 5802 §3): not secret, told to whoever asks.
public struct SCRAMParameters: Hashable, Sendable {
    /// Octets.
    public static let saltLengths = 1...64
    /// RFC 7677 §4 asks for at least 4096; more than a million would keep a client, or our checker, busy for seconds.
    public static let iterationCounts = 4096...1_000_000

    public let salt: [UInt8]
    public let iterations: Int

    /// `nil` outside the bounds.
    public init?(salt: [UInt8], iterations: Int) {
        guard Self.saltLengths.contains(salt.count), Self.iterationCounts.contains(iterations) else { return nil }
        self.salt = salt
        self.iterations = iterations
    }
}
