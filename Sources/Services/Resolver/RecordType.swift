/// The DNS record types that mail uses; raw values are the numbers of the wire (RFC 1035 §3.2.2, RFC 3596 §2.1).
public enum RecordType: Int32, Sendable, CaseIterable {
    case a = 1
    case cname = 5
    case ptr = 12
    case mx = 15
    case txt = 16
    case aaaa = 28
}

/// One question to the DNS, class IN.
public struct Question: Hashable, Sendable {
    /// Presentation form, A-labels only, with or without the final dot.
    public let name: String
    public let type: RecordType

    public init(_ name: String, _ type: RecordType) {
        self.name = name
        self.type = type
    }
}
