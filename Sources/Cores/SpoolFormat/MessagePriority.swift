import MailModel

/// The priority of a message (RFC 6710 §5): −9...9, higher is more urgent; a message without one has 0.
public struct MessagePriority: Hashable, Sendable, Comparable {
    public let value: Int

    /// What lies outside becomes the nearest that is valid.
    public init(_ value: Int) { self.value = min(max(value, -9), 9) }

    /// `-9`...`9`; `nil` for anything else.
    init?(octets: ArraySlice<UInt8>) {
        guard let value = Octets.decimal(octets), (-9...9).contains(value) else { return nil }
        self.value = value
    }

    var text: String { "\(value)" }

    public static func < (left: Self, right: Self) -> Bool { left.value < right.value }
}
