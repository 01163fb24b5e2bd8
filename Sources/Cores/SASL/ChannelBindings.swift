/// What a client can bind a SCRAM exchange to: data of the TLS connection by the name of its kind, `tls-exporter` (RFC 9266),
/// `tls-server-end-point` or `tls-unique` (RFC 5929).
public struct ChannelBindings: Hashable, Sendable {
    private let values: [String: [UInt8]]
    /// Whether `SCRAM-SHA-256-PLUS` was in the list that the client got.
    public let isOffered: Bool

    public init(_ values: [String: [UInt8]], isOffered: Bool) {
        self.values = values
        self.isOffered = isOffered
    }

    /// A connection without TLS.
    public static let none = ChannelBindings([:], isOffered: false)

    subscript(name: String) -> [UInt8]? { values[name] }
}
