/// Strings that come again and again — senders, channels, last problems — share their storage. Forgets what it has not seen lately,
/// so that its size does not depend on what comes.
struct StringCache {
    private static let size = 4096
    private var entries = [String](repeating: "", count: size)

    /// `text`, with the storage of an equal one seen lately.
    mutating func shared(_ text: String) -> String {
        // Up to 15 octets a String has no storage of its own.
        guard text.utf8.count > 15 else { return text }
        var hash: UInt64 = 0xcbf2_9ce4_8422_2325
        for octet in text.utf8 { hash = (hash ^ UInt64(octet)) &* 0x100_0000_01b3 }
        let slot = Int(truncatingIfNeeded: (hash ^ (hash >> 32)) % UInt64(Self.size))
        if entries[slot] == text { return entries[slot] }
        entries[slot] = text
        return text
    }
}
