/// Strings that come again and again — senders, channels, last problems — share their storage. Forgets what it has not seen lately,
/// so that its size does not depend on what comes.
struct StringCache {
    private static let size = 4096
    private var entries = [String](repeating: "", count: size)
    private var results = [QueuedRecipient.Result](repeating: .none, count: size)

    /// `text`, with the storage of an equal one seen lately.
    mutating func shared(_ text: String) -> String {
        // Up to 15 octets a String has no storage of its own.
        guard text.utf8.count > 15 else { return text }
        let slot = Self.slot(text)
        if entries[slot] == text { return entries[slot] }
        entries[slot] = text
        return text
    }

    /// A result that says this, the same object as an equal one seen lately.
    mutating func result(status: String, problem: String) -> QueuedRecipient.Result {
        if status.isEmpty, problem.isEmpty { return .none }
        let slot = Self.slot(problem)
        let known = results[slot]
        if known.problem == problem, known.status == status { return known }
        let result = QueuedRecipient.Result(status: status, problem: problem)
        results[slot] = result
        return result
    }

    /// The same, where the thread's last one is likely to be it: there may be more threads than this remembers.
    mutating func result(
        status: String, problem: String, like thread: DeliveryThread
    ) -> QueuedRecipient.Result {
        let known = thread.lastOfRecipient
        if known.problem == problem, known.status == status { return known }
        let result = result(status: status, problem: problem)
        if result !== QueuedRecipient.Result.none { thread.lastOfRecipient = result }
        return result
    }

    private static func slot(_ text: String) -> Int {
        var hash: UInt64 = 0xcbf2_9ce4_8422_2325
        for octet in text.utf8 { hash = (hash ^ UInt64(octet)) &* 0x100_0000_01b3 }
        return Int(truncatingIfNeeded: (hash ^ (hash >> 32)) % UInt64(size))
    }
}
