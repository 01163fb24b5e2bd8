import SpoolFormat

/// Messages that are done and whose files are not yet removed.
struct PendingRemovals {
    /// If we die now they are delivered again.
    private var delivered = 0
    /// Operators want it: they hold up nothing.
    private var operated: Set<SpoolID> = []

    private static let maximumDelivered = 64
    private static let maximumOperated = 512

    /// The disk is behind: nothing new is begun.
    var holdUpDelivery: Bool { delivered > Self.maximumDelivered }
    /// Likewise nothing for operators.
    var holdUpOperators: Bool { operated.count >= Self.maximumOperated }

    mutating func begin(_ id: SpoolID, forOperator: Bool) {
        if forOperator { operated.insert(id) } else { delivered += 1 }
    }

    /// It is done, or waits for its next try.
    mutating func end(_ id: SpoolID) {
        if operated.remove(id) == nil { delivered -= 1 }
    }
}
