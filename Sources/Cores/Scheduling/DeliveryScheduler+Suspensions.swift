import HeapModule
import SpoolFormat

extension DeliveryScheduler {
    public var suspensions: Suspensions { operators.suspensions }

    /// What was suspended before the restart. Call it before the first message.
    public func restore(_ suspensions: Suspensions) {
        operators.suspensions = suspensions
        beginSweep()
    }

    /// Holds at once, for what is queued and what comes. Its number; `nil`: there are ``Suspensions/maximum``.
    public func suspend(_ suspension: Suspension) -> Int? {
        guard let number = operators.suspensions.add(suspension) else { return nil }
        suspensionsChanged()
        return number
    }

    /// Lets go what nothing else suspends. Returns those that were ended.
    public func resume(where isMeant: (Suspension) -> Bool) -> [Suspension] {
        let ended = operators.suspensions.remove(where: isMeant)
        if !ended.isEmpty { suspensionsChanged() }
        return ended
    }

    /// What to keep for the next start, if it has changed since the last call.
    public func takeSuspensions() -> Suspensions? {
        guard operators.areSuspensionsNew else { return nil }
        operators.areSuspensionsNew = false
        return operators.suspensions
    }

    /// Adds what each of them keeps back of one message.
    public func countSuspended(_ id: SpoolID, _ counts: inout [Int: SuspensionCount]) {
        guard !suspensions.isEmpty, let message = messages[id] else { return }
        var counted: Set<Int> = []
        for vertex in message.vertices where vertex.open > 0 && vertex.state != .active {
            guard let number = suspensions.first(for: vertex)?.number else { continue }
            counts[number, default: SuspensionCount()].recipients += vertex.open
            if counted.insert(number).inserted { counts[number, default: SuspensionCount()].messages += 1 }
        }
    }

    private func suspensionsChanged() {
        operators.areSuspensionsNew = true
        beginSweep()
    }

    private func beginSweep() {
        operators.sweep = Heap(messages.keys)
    }

    /// There is mail to be looked at since suspensions have changed: call ``sweep(_:)`` again.
    public var isSweeping: Bool { !operators.sweep.isEmpty }

    /// Puts aside or lets go what the suspensions of now say, of messages with so many jobs. Nothing suspended is handed out meanwhile.
    public func sweep(_ count: Int) {
        var rest = count
        while rest > 0, let id = operators.sweep.popMin() {
            rest -= 1
            guard let message = messages[id], !message.isFinishing else { continue }
            for vertex in message.vertices {
                keepBack(vertex)
                letGoAgain(vertex)
            }
            rest -= message.vertices.count - 1
        }
    }

    /// Ends those whose time has come.
    func endSuspensions() {
        guard let end = operators.suspensions.nextEnd, end <= wall else { return }
        for ended in resume(where: { $0.until.map { $0 <= wall } ?? false }) {
            actions.append(.log(.suspensionEnded(ended)))
        }
    }

    // MARK: Jobs that are kept back

    /// Whether an operator does not want it tried.
    func isKeptBack(_ vertex: Vertex) -> Bool {
        if !operators.holds.isEmpty, operators.holds[vertex.message.id] != nil { return true }
        if !operators.moves.isEmpty, operators.moves[vertex.message.id] != nil { return true }
        return !operators.suspensions.isEmpty && operators.suspensions.first(for: vertex) != nil
    }

    /// Puts it aside if it is to be kept back. No agent may have it.
    func park(_ vertex: Vertex) -> Bool {
        guard isKeptBack(vertex) else { return false }
        vertex.state = .held
        vertex.thread.held += 1
        timers.cancel(vertex)
        return true
    }

    /// Of one that waits for its turn or its time.
    func keepBack(_ vertex: Vertex) {
        switch vertex.state {
        case .ready, .waiting, .suspect: _ = park(vertex)
        case .held, .active, .done: break
        }
    }

    /// Back to where it was, if nothing holds it any more. What would have expired meanwhile is tried once more.
    func letGoAgain(_ vertex: Vertex) {
        guard vertex.state == .held, !(vertex.message.times?.isHeld ?? false), !isKeptBack(vertex) else { return }
        vertex.thread.held -= 1
        vertex.keptUntil = now
        vertex.hasAttemptHere = false
        vertex.deferralsAtStart = vertex.thread.deferrals
        guard vertex.nextAttempt > now, vertex.thread.rules != nil else { return placeReady(vertex) }
        vertex.state = .waiting
        arm(vertex)
    }
}

/// What a suspension keeps back.
public struct SuspensionCount: Hashable, Sendable {
    public var messages = 0
    public var recipients = 0
    public init() {}
}
