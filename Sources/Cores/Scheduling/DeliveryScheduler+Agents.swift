import AgentProtocol
import MailModel
import SpoolFormat

extension DeliveryScheduler {
    /// Deaths of agents with the same job in hand: at the second it is tried alone, at the third it waits.
    static let deathsUntilAlone = 2
    static let deathsUntilDeferred = 3
    /// Seconds after which a job counts as lost: beyond what SMTP's timeouts allow (RFC 5321 §4.5.3.2) for a large message on a slow line.
    static let longestJob: Int64 = 3 * 3600

    /// A line of an agent's standard output.
    public func received(_ message: AgentMessage, from number: Int) {
        guard let agent = agents[number] else { return }
        switch message {
        case .hungry: credit(agent)
        case .report(let report): take(report, from: agent)
        case .resync(let id): resync(id, from: agent)
        case .remark: break
        }
    }

    private func credit(_ agent: Agent) {
        agent.credits += 1
        agent.owed = max(0, agent.owed - 1)
        agent.lastCredit = now
        markDirty(agent.pool)
        hasStarted(agent)
        // A credit that was used ahead now stands for a job being worked on: only as many jobs as are owed credits are still ahead.
        if agent.credits <= 0, agent.jobs.count(where: { !$0.isCounted }) > -agent.credits,
            let next = agent.jobs.first(where: { !$0.isCounted })
        {
            count(next)
        }
        if agent.jobs.isEmpty { timers.arm(.agent(agent), at: now + agent.pool.rules.idleLimit) }
    }

    /// It has said something, or is gone.
    private func hasStarted(_ agent: Agent) {
        guard agent.isStarting else { return }
        agent.isStarting = false
        agent.pool.starting -= 1
        for count in [total, agent.pool.channel, agent.pool.ring] {
            count.starting -= 1
            unblock(count)
        }
    }

    /// Its idle time is over, or its oldest job should have been.
    func fire(_ agent: Agent) {
        guard let oldest = agent.jobs.first else { return retire(agent) }
        let end = oldest.lastAttempt + Self.longestJob
        if end > now { return timers.arm(.agent(agent), at: end) }
        actions.append(.log(.hungAgent(agent: agent.number, id: oldest.message.id, seconds: now - oldest.lastAttempt)))
        actions.append(.killAgent(agent.number))
    }

    func retire(_ agent: Agent) {
        guard !agent.isRetiring else { return }
        agent.isRetiring = true
        if agent.jobs.isEmpty { timers.cancel(agent) }
        actions.append(.closeAgent(agent.number))
    }

    /// The process has ended or could not be started. What it had goes to the next one.
    public func agentEnded(_ number: Int) {
        guard let agent = agents.removeValue(forKey: number) else { return }
        let pool = agent.pool
        timers.cancel(agent)
        pool.agents.removeAll { $0 === agent }
        let hasSaidNothing = agent.isStarting
        hasStarted(agent)
        // One that dies before it has done anything, again and again, is started less and less often.
        if agent.hasWorked || (agent.isRetiring && !hasSaidNothing) {
            pool.failures = 0
            pool.notBefore = 0
        } else {
            pool.failures += 1
            pool.notBefore = now + (pool.failures < 3 ? 0 : min(60, 1 << Int64(min(pool.failures - 3, 6))))
        }
        for vertex in agent.jobs.reversed() { takeBack(vertex, from: agent) }
        agent.jobs = []
        markDirty(pool)
        if pools[pool.key] !== pool, let current = pools[pool.key] { markDirty(current) }
        dropIfEmpty(pool)
    }

    /// The job's agent has gone without reporting all of it.
    private func takeBack(_ vertex: Vertex, from agent: Agent) {
        let wasWorkedOn = vertex.isCounted
        uncount(vertex)
        vertex.agent = nil
        vertex.thread.handedOut -= 1
        reopen(vertex)
        vertex.state = .waiting
        defer { beginMove(vertex.message) }
        carryOutPromises(vertex)
        if isPastDeadline(vertex.message) { returnLate(vertex) }
        if vertex.open == 0 { return leaveIfDone(vertex) }
        if hasExpired(vertex) { return expire(vertex) }
        if wasWorkedOn, !agent.isRetiring { vertex.deaths += 1 } else { vertex.attempts -= 1 }
        if park(vertex) { return }
        if vertex.deaths >= Self.deathsUntilDeferred {
            // When its time comes it is tried alone again.
            vertex.deaths = Self.deathsUntilAlone - 1
            for index in vertex.recipients.indices where vertex.recipients[index].state == .open {
                vertex.recipients[index].last = strings.result(
                    status: "4.3.0", problem: "the delivery agent died over this message")
            }
            deferAlone(vertex)
            actions.append(
                .log(
                    .poison(
                        id: vertex.message.id, channel: vertex.thread.key.channel, host: vertex.thread.key.host,
                        next: vertex.nextAttempt)))
        } else if vertex.deaths >= Self.deathsUntilAlone, let pool = vertex.thread.pool {
            vertex.state = .suspect
            pool.suspects.append(vertex)
            arm(vertex)
            markDirty(pool)
        } else {
            placeReady(vertex, first: true)
        }
    }

    private func reopen(_ vertex: Vertex) {
        vertex.awaiting = 0
        for index in vertex.recipients.indices where vertex.recipients[index].state == .awaiting {
            vertex.recipients[index].state = .open
        }
    }

    private func resync(_ id: SpoolID, from agent: Agent) {
        actions.append(.log(.resync(agent: agent.number, id: id)))
        guard let vertex = agent.jobs.first(where: { $0.message.id == id }) else { return }
        reopen(vertex)
        for index in vertex.recipients.indices where vertex.recipients[index].state == .open {
            vertex.recipients[index].last = strings.result(
                status: "4.3.0", problem: "the agent found nothing to deliver in the control file")
        }
        end(vertex, at: agent)
        actions.append(.reread(id))
    }

    /// The job's last report has come: back to the queue with what is left of it.
    func end(_ vertex: Vertex, at agent: Agent) {
        if let index = agent.jobs.firstIndex(where: { $0 === vertex }) { agent.jobs.remove(at: index) }
        let wasWorkedOn = vertex.isCounted
        agent.owed += 1
        uncount(vertex)
        // What was handed ahead comes next, without a word of ours: nobody else may have its place.
        if wasWorkedOn, agent.credits < 0, let next = agent.jobs.first(where: { !$0.isCounted }) { count(next) }
        vertex.agent = nil
        vertex.state = .waiting
        vertex.deaths = 0
        let thread = vertex.thread
        thread.handedOut -= 1
        carryOutPromises(vertex)
        if isPastDeadline(vertex.message) { returnLate(vertex) }
        if vertex.open == 0 {
            leaveIfDone(vertex)
        } else if hasExpired(vertex) {
            expire(vertex)
        } else if vertex.isHeldByThread {
            placeReady(vertex)
        } else {
            deferAlone(vertex)
        }
        beginMove(vertex.message)
        makeRunnable(thread)
        if agent.isReserved { markDirty(agent.pool) }
    }

    /// By the schedule, this job alone: one deferred recipient does not hold the others of its host.
    private func deferAlone(_ vertex: Vertex) {
        guard let rules = vertex.thread.rules else { return placeReady(vertex) }
        vertex.nextAttempt = rules.nextAttempt(after: now, index: &vertex.retryIndex, random: &random)
        if park(vertex) { return }
        vertex.state = .waiting
        arm(vertex)
    }
}
