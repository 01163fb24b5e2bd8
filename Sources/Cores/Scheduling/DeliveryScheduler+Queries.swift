import SpoolFormat

// What the queue is, for those who ask.
extension DeliveryScheduler {
    /// All messages, oldest first.
    public var messageIDs: [SpoolID] { messages.keys.sorted() }

    public func describe(_ id: SpoolID) -> MessageDescription? {
        guard let message = messages[id] else { return nil }
        var description = MessageDescription(
            id: id, size: message.size, arrived: message.arrived, sender: message.sender, priority: message.priority,
            heldUntil: message.times?.isHeld ?? false ? message.deliverableFrom : nil,
            heldSince: operators.holds[id]?.time,
            deliverBy: message.times?.deliverBy, recipients: [])
        for vertex in message.vertices {
            let thread = vertex.thread
            let reason = self.reason(vertex)
            let isKeptBack = self.isKeptBack(vertex)
            let next = nextAttempt(vertex)
            for (index, recipient) in vertex.recipients.enumerated() {
                let state = self.state(vertex, index, isKeptBack: isKeptBack)
                let isHeld = recipient.problem.isEmpty && thread.wakeup > now
                description.recipients.append(
                    RecipientDescription(
                        offset: Int(recipient.offset), address: recipient.address,
                        original: recipient.original ?? recipient.address, channel: thread.key.channel,
                        host: thread.key.host, state: state, attempts: vertex.attempts,
                        nextAttempt: recipient.state == .open ? next : nil,
                        expires: thread.rules.map { message.deliverableFrom + $0.expiry },
                        status: isHeld ? thread.status : recipient.status,
                        last: isHeld ? thread.problem : recipient.problem, reason: recipient.isDone ? nil : reason))
            }
        }
        description.recipients.sort { $0.offset < $1.offset }
        return description
    }

    /// `isKeptBack`: of its vertex, as ``isKeptBack(_:)`` has it; it looks at all recipients.
    func state(_ vertex: Vertex, _ index: Int, isKeptBack: Bool) -> RecipientDescription.State {
        switch vertex.recipients[index].state {
        case .delivered: return .delivered
        case .failed: return .failed
        case .removed: return .removed
        case .awaiting: return .active
        case .open: break
        }
        if vertex.message.times?.isHeld ?? false { return .held }
        if isKeptBack { return isHeldByOperator(vertex) ? .held : .suspended }
        return vertex.attempts > 0 || vertex.thread.wakeup > now ? .deferred : .waiting
    }

    private func isHeldByOperator(_ vertex: Vertex) -> Bool {
        operators.holds[vertex.message.id] != nil || operators.moves[vertex.message.id] != nil
    }

    /// Why an operator keeps it back; `nil`: none does.
    private func reason(_ vertex: Vertex) -> String? {
        if !operators.moves.isEmpty, operators.moves[vertex.message.id] != nil { return "is being moved" }
        if !operators.holds.isEmpty, let note = operators.holds[vertex.message.id] { return "held by \(note.text)" }
        guard !operators.suspensions.isEmpty, let suspension = operators.suspensions.first(for: vertex) else {
            return nil
        }
        let name = "suspended by \(suspension.operatorName) (\(suspension.number))"
        return suspension.reason.isEmpty ? name : "\(name): \(suspension.reason)"
    }

    private func nextAttempt(_ vertex: Vertex) -> UnixTime? {
        if vertex.state == .held, isKeptBack(vertex) {
            return isHeldByOperator(vertex) ? nil : operators.suspensions.first(for: vertex)?.until
        }
        guard let rules = vertex.thread.rules, !rules.isQueueOnly || vertex.thread.isReleased else { return nil }
        switch vertex.state {
        case .held: return vertex.message.deliverableFrom
        case .waiting: return max(vertex.nextAttempt, vertex.thread.wakeup)
        case .ready, .suspect: return max(now, vertex.thread.wakeup)
        case .active, .done: return nil
        }
    }

    /// All threads with mail, by channel and host. Looks at every message.
    public var threadDescriptions: [ThreadDescription] {
        for thread in threads.values { thread.tally = ThreadTally() }
        for message in messages.values {
            for vertex in message.vertices where vertex.state != .done {
                let thread = vertex.thread
                thread.tally.recipients += vertex.open
                thread.tally.messages += 1
                thread.tally.oldest = min(thread.tally.oldest, message.arrived)
                if vertex.state == .held { thread.tally.held += 1 }
                // What is suspended is not compared with every pattern for it.
                if vertex.state == .held, !(message.times?.isHeld ?? false) { continue }
                if let next = nextAttempt(vertex) { thread.tally.next = min(next, thread.tally.next ?? next) }
            }
        }
        let agents = agentsByThread()
        return threads.values.map { thread in
            let entry = thread.tally
            return ThreadDescription(
                channel: thread.key.channel, host: thread.key.host, recipients: entry.recipients,
                messages: entry.messages, active: thread.active, nextAttempt: entry.next, attempts: thread.attempts,
                isMatched: thread.rules != nil, status: thread.status,
                last: thread.rules == nil ? "no clause of scheduler.conf has a command for it" : thread.problem,
                ring: thread.rules?.ring, isAgentPerHost: thread.rules?.isAgentPerHost ?? false,
                isBlocked: thread.pool?.isBlocked ?? false, oldest: entry.oldest, held: entry.held,
                agents: agents[ObjectIdentifier(thread)] ?? [])
        }.sorted { ($0.channel, $0.host) < ($1.channel, $1.host) }
    }

    /// In the order of their numbers. Looks at each job that is handed out once.
    private func agentsByThread() -> [ObjectIdentifier: [AgentDescription]] {
        var found: [ObjectIdentifier: [AgentDescription]] = [:]
        for agent in agents.values.sorted(by: { $0.number < $1.number }) where !agent.jobs.isEmpty {
            let description = describe(agent)
            for thread in Set(agent.jobs.map { ObjectIdentifier($0.thread) }) {
                found[thread, default: []].append(description)
            }
        }
        return found
    }

    private func describe(_ agent: Agent) -> AgentDescription {
        let state: AgentDescription.State =
            agent.isStarting ? .starting : agent.isRetiring ? .retiring : agent.jobs.isEmpty ? .idle : .working
        return AgentDescription(
            number: agent.number, state: state, jobs: agent.jobs.count, hungrySince: agent.lastCredit,
            fedAt: agent.jobs.last?.lastAttempt)
    }

    /// All rings with threads or agents, in the order of their clauses. Looks at threads alone.
    public var ringDescriptions: [RingDescription] {
        var rings: [Int: RingDescription] = [:]
        func add(_ rules: ThreadRules, _ change: (inout RingDescription) -> Void) {
            change(&rings[rules.ring, default: RingDescription(ring: rules.ring, rules: rules)])
        }
        for thread in threads.values {
            guard let rules = thread.rules else { continue }
            add(rules) {
                $0.threads += 1
                $0.jobs += thread.vertices
            }
        }
        for pool in pools.values where !pool.agents.isEmpty {
            add(pool.rules) {
                $0.agents += pool.agents.count
                $0.idle += pool.agents.count { $0.jobs.isEmpty && !$0.isStarting }
            }
        }
        return rings.values.sorted { $0.ring < $1.ring }
    }

    /// Agents without a job.
    public var idleAgentCount: Int { agents.values.count { $0.jobs.isEmpty && !$0.isStarting } }

    /// Messages with recipients of this thread that are not done, oldest first. Looks at every message.
    public func messageIDs(channel: String, host: String) -> [SpoolID] {
        guard let thread = threads[ThreadKey(channel: channel, host: host)] else { return [] }
        return messages.values.filter { $0.vertices.contains { $0.thread === thread && $0.state != .done } }
            .map(\.id).sorted()
    }

    /// What one message has in one thread; `nil`: nothing any more.
    public func describe(_ id: SpoolID, channel: String, host: String) -> JobDescription? {
        let key = ThreadKey(channel: channel, host: host)
        guard let message = messages[id],
            let vertex = message.vertices.first(where: { $0.thread.key == key && $0.state != .done })
        else { return nil }
        return JobDescription(
            id: id, sender: message.sender,
            recipients: vertex.recipients.filter { !$0.isDone }.map {
                JobDescription.Recipient(
                    offset: Int($0.offset), last: $0.problem.isEmpty ? vertex.thread.problem : $0.problem)
            },
            expires: vertex.thread.rules.map { message.deliverableFrom + $0.expiry }, nextAttempt: nextAttempt(vertex),
            lastAttempt: vertex.lastAttempt, attempts: vertex.attempts, isActive: vertex.state == .active,
            isBlocked: vertex.thread.pool?.isBlocked ?? false)
    }
}

/// What ``DeliveryScheduler/threadDescriptions`` has counted for a thread: with it, so that no name is looked up for each message.
struct ThreadTally {
    var recipients = 0
    var messages = 0
    var held = 0
    var next: UnixTime?
    var oldest: UnixTime = .max
}
