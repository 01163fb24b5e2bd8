import Synchronization

/// Sessions that wait for the next message to the same next hop, shared by all threads.
final class ConnectionPool: Sendable {
    /// Which messages a session is for.
    struct Use: Hashable, Sendable {
        let hop: NextHop
        let demand: TLSDemand
    }

    private struct Idle: Sendable {
        let connection: SMTPConnection
        /// Of the pool's clock.
        let until: Int64
    }
    private struct State: Sendable {
        var idle: [Use: [Idle]] = [:]
        var idleCount = 0
        /// Connections in use, of each hop.
        var busy: [Use: Int] = [:]
        var busyCount = 0
    }
    private let state = Mutex(State())
    /// Idle and busy connections at most.
    private let limit: Int
    /// Nanoseconds.
    private let idleTime: Int64
    private let now: @Sendable () -> Int64

    /// A session is closed before anybody has to ask with NOOP whether it is still there: servers wait five minutes
    /// (RFC 5321 §4.5.3.2.7), and other clients need the place.
    static let longestIdleTime = Duration.seconds(180)

    /// - Parameters:
    ///   - idleTime: at most ``longestIdleTime``.
    ///   - now: nanoseconds of a clock that never goes back.
    init(limit: Int, idleTime: Duration, now: @escaping @Sendable () -> Int64 = { Deadline.now }) {
        self.limit = limit
        let (seconds, attoseconds) = min(idleTime, Self.longestIdleTime).components
        self.idleTime = seconds * 1_000_000_000 + attoseconds / 1_000_000_000
        self.now = now
    }

    /// The most recently used session of the kind that is still good; `nil` if there is none. Either way the caller has a place
    /// for one connection until it calls ``giveBack(_:for:)``.
    func take(_ use: Use) -> SMTPConnection? {
        state.withLock { state in
            state.busy[use, default: 0] += 1
            state.busyCount += 1
        }
        while let idle = state.withLock({ Self.popNewest(use, &$0) }) {
            // Looking at the socket is a system call: not under the lock.
            if idle.connection.isUsable, idle.until > now() { return idle.connection }
            idle.connection.quit()
        }
        // A new one will be opened: another hop's idle session makes room for it.
        let victim = state.withLock { state in
            state.idleCount + state.busyCount > limit ? Self.removeOldest(&state) : nil
        }
        victim?.quit()
        return nil
    }

    /// Ends the use that ``take(_:)`` began, with the session if it can go on.
    func giveBack(_ connection: SMTPConnection?, for use: Use) {
        let entry = connection.map { Idle(connection: $0, until: now() + idleTime) }
        state.withLock { state in
            state.busyCount -= 1
            let busy = (state.busy[use] ?? 1) - 1
            state.busy[use] = busy > 0 ? busy : nil
            guard let entry else { return }
            state.idle[use, default: []].append(entry)
            state.idleCount += 1
        }
    }

    /// Whether others are talking to the hop just now.
    func hasOthers(_ use: Use) -> Bool {
        state.withLock { ($0.busy[use] ?? 0) > 1 || $0.idle[use] != nil }
    }

    /// Says QUIT on sessions that nobody has needed for a while.
    func closeExpired() {
        let now = now()
        close { $0.until <= now }
    }

    func closeAll() { close { _ in true } }

    private func close(where isOver: @Sendable (Idle) -> Bool) {
        let over = state.withLock { state -> [SMTPConnection] in
            var over: [SMTPConnection] = []
            for (use, list) in state.idle {
                let kept = list.filter { !isOver($0) }
                over += list.filter(isOver).map(\.connection)
                state.idle[use] = kept.isEmpty ? nil : kept
            }
            state.idleCount -= over.count
            return over
        }
        for connection in over { connection.quit() }
    }

    private static func popNewest(_ use: Use, _ state: inout State) -> Idle? {
        guard let idle = state.idle[use]?.popLast() else { return nil }
        state.idleCount -= 1
        if state.idle[use]?.isEmpty == true { state.idle[use] = nil }
        return idle
    }

    private static func removeOldest(_ state: inout State) -> SMTPConnection? {
        let oldest = state.idle.min { left, right in
            guard let a = left.value.first?.until, let b = right.value.first?.until else { return false }
            return a < b
        }
        guard let use = oldest?.key, let victim = state.idle[use]?.removeFirst() else { return nil }
        if state.idle[use]?.isEmpty == true { state.idle[use] = nil }
        state.idleCount -= 1
        return victim.connection
    }
}
