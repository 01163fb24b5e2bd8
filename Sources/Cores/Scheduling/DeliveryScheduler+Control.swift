import SpoolFormat

extension DeliveryScheduler {
    /// Tries now what waits in the threads that match. Returns the number of their recipients.
    public func flush(_ matches: (_ channel: String, _ host: String) -> Bool) -> Int {
        var flushed = 0
        var matched: Set<ThreadKey> = []
        for thread in threads.values where matches(thread.key.channel, thread.key.host) {
            matched.insert(thread.key)
            thread.wakeup = 0
            thread.isReleased = true
            timers.cancel(thread)
        }
        for message in messages.values {
            for vertex in message.vertices where matched.contains(vertex.thread.key) {
                switch vertex.state {
                case .waiting: placeReady(vertex)
                case .ready, .suspect: break
                // A flush is no release: its sender has set the time.
                case .held, .active, .done: continue
                }
                flushed += vertex.open
            }
        }
        for key in matched { if let thread = threads[key] { makeRunnable(thread) } }
        return flushed
    }

    /// New rules hold from the next attempt on. Running agents finish what they have and end.
    public func configure(reportInterval: Int64, rules: @escaping RulesLookup) {
        self.rules = rules
        self.reportInterval = reportInterval
        for agent in agents.values.sorted(by: { $0.number < $1.number }) { retire(agent) }
        let suspects = pools.values.flatMap(\.suspects)
        for pool in pools.values {
            pool.runnable.removeAll()
            pool.suspects.removeAll()
            timers.cancel(pool)
        }
        pools = [:]
        rings = [:]
        dirtyPools = []
        blockedPools = []
        for thread in threads.values {
            let had = thread.rules != nil
            assignPool(thread)
            thread.isQueued = false
            thread.pool?.ring.active += thread.active
            if thread.rules == nil, had, let vertex = thread.ready.elements.first(where: { $0.state == .ready }) {
                let key = thread.key
                actions.append(.log(.unmatched(channel: key.channel, host: key.host, id: vertex.message.id)))
            }
        }
        for vertex in suspects where vertex.state == .suspect {
            if let pool = vertex.thread.pool { pool.suspects.append(vertex) } else { placeReady(vertex) }
        }
        for message in messages.values {
            for vertex in message.vertices where vertex.state != .done { arm(vertex) }
        }
        for thread in threads.values { makeRunnable(thread) }
    }

    // MARK: Queries

    /// All messages, oldest first.
    public var messageIDs: [SpoolID] { messages.keys.sorted() }

    public func describe(_ id: SpoolID) -> MessageDescription? {
        guard let message = messages[id] else { return nil }
        var description = MessageDescription(
            id: id, size: message.size, arrived: message.arrived, sender: message.sender, priority: message.priority,
            heldUntil: message.times?.isHeld ?? false ? message.released : nil, deliverBy: message.times?.deliverBy,
            recipients: [])
        for vertex in message.vertices {
            let thread = vertex.thread
            for recipient in vertex.recipients {
                let state: RecipientDescription.State
                switch recipient.state {
                case .delivered: state = .delivered
                case .failed: state = .failed
                case .awaiting: state = .active
                case .open where vertex.state == .held: state = .held
                case .open: state = vertex.attempts > 0 || thread.wakeup > now ? .deferred : .waiting
                }
                let isHeld = recipient.problem.isEmpty && thread.wakeup > now
                description.recipients.append(
                    RecipientDescription(
                        offset: Int(recipient.offset), address: recipient.address,
                        original: recipient.original ?? recipient.address, channel: thread.key.channel,
                        host: thread.key.host, state: state, attempts: vertex.attempts,
                        nextAttempt: recipient.state == .open ? nextAttempt(vertex) : nil,
                        expires: thread.rules.map { message.released + $0.expiry },
                        status: isHeld ? thread.status : recipient.status,
                        last: isHeld ? thread.problem : recipient.problem))
            }
        }
        description.recipients.sort { $0.offset < $1.offset }
        return description
    }

    private func nextAttempt(_ vertex: Vertex) -> UnixTime? {
        guard let rules = vertex.thread.rules, !rules.isQueueOnly || vertex.thread.isReleased else { return nil }
        switch vertex.state {
        case .held: return vertex.message.released
        case .waiting: return max(vertex.nextAttempt, vertex.thread.wakeup)
        case .ready, .suspect: return max(now, vertex.thread.wakeup)
        case .active, .done: return nil
        }
    }

    /// All threads with mail, by channel and host.
    public var threadDescriptions: [ThreadDescription] {
        var counts: [ThreadKey: (recipients: Int, messages: Int, next: UnixTime?)] = [:]
        for message in messages.values {
            for vertex in message.vertices where vertex.state != .done {
                var entry = counts[vertex.thread.key] ?? (0, 0, nil)
                entry.recipients += vertex.open
                entry.messages += 1
                if let next = nextAttempt(vertex) { entry.next = min(next, entry.next ?? next) }
                counts[vertex.thread.key] = entry
            }
        }
        return threads.values.map { thread in
            let entry = counts[thread.key] ?? (0, 0, nil)
            return ThreadDescription(
                channel: thread.key.channel, host: thread.key.host, recipients: entry.recipients,
                messages: entry.messages, active: thread.active, nextAttempt: entry.next, attempts: thread.attempts,
                isMatched: thread.rules != nil, status: thread.status,
                last: thread.rules == nil ? "no clause of scheduler.conf has a command for it" : thread.problem)
        }.sorted { ($0.channel, $0.host) < ($1.channel, $1.host) }
    }
}

public struct MessageDescription: Hashable, Sendable {
    public var id: SpoolID
    public var size: Int
    public var arrived: UnixTime
    /// Empty for `<>`.
    public var sender: String
    /// −9...9 (RFC 6710).
    public var priority: Int
    /// While it waits for its release (RFC 4865).
    public var heldUntil: UnixTime?
    /// The deliver-by-time (RFC 2852), also when it has passed.
    public var deliverBy: UnixTime?
    public var recipients: [RecipientDescription]
}

public struct RecipientDescription: Hashable, Sendable {
    public enum State: String, Sendable {
        case held, waiting, active, delivered, failed, deferred
    }
    public var offset: Int
    public var address: String
    public var original: String
    public var channel: String
    public var host: String
    public var state: State
    public var attempts: Int
    /// `nil`: none is planned, or it is at work or done.
    public var nextAttempt: UnixTime?
    public var expires: UnixTime?
    public var status: String
    public var last: String
}

public struct ThreadDescription: Hashable, Sendable {
    public var channel: String
    public var host: String
    public var recipients: Int
    public var messages: Int
    /// Jobs being worked on.
    public var active: Int
    public var nextAttempt: UnixTime?
    public var attempts: Int
    /// `false`: no clause has a command for it.
    public var isMatched: Bool
    public var status: String
    public var last: String
}
